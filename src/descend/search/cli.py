"""``descend minimize``: a function in a file, its minimum on the terminal."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core import script
from ..core.jsonable import jsonable
from ..draw.verb import INTERRUPTED, json_or_quiet, refusing

if TYPE_CHECKING:
    from .result import OptimizeResult

EVERY = 2.0  # seconds between two lines of progress


@click.command()
@click.argument("target", metavar="FILE.py:FUNCTION")
@click.option("-m", "--method", default="auto", show_default=True, help="Name of a method, SciPy's spelling too.")
@click.option("--x0", "start", metavar="NUMBERS", help="Where to start: -1.2,1. Default: x0 in the file.")
@click.option("--bounds", "limits", metavar="LOW,HIGH", help="Of every coordinate. Default: bounds in the file.")
@click.option("--arrays", type=click.Choice(["numpy", "torch", "jax"]), default="numpy", help="What --x0 is made of.")
@click.option("--budget", type=click.IntRange(min=1), help="Evaluations at most.")
@click.option("--target", "goal", type=float, help="Stop at a value of at most that.")
@click.option("--tol", type=click.FloatRange(min=0), help="When the method is content.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of methods that use chance.")
@click.option("-o", "--option", "options", multiple=True, metavar="NAME=VALUE", help="Of the method; may be repeated.")
@json_or_quiet("Print the point only.", "Print one JSON document.")
@click.pass_context
def minimize(
    ctx: click.Context,
    target: str,
    method: str,
    start: str | None,
    limits: str | None,
    arrays: str,
    budget: int | None,
    goal: float | None,
    tol: float | None,
    seed: int,
    options: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Search for the minimum of FUNCTION, which takes an array and returns a number.

    A function FUNCTION_gradient beside it is its gradient. `descend explain METHOD` says what a method takes.
    Exit code 0: converged, or the budget is spent; 1: the method could not go on; 2: what was asked cannot be meant.
    """
    from . import names
    from .minimizing import minimize as search

    with contextlib.redirect_stdout(sys.stderr), refusing(ValueError, TypeError):  # a module may print
        module, name = loaded(target)
        progress, interrupted = Progress(quiet or as_json), False
        try:
            uses = names.find(method).uses
            ignored = names.spelled(method) != "auto" and uses is not None and not uses & {"gradient", "jacobian"}
            result = search(
                getattr(module, name),
                array(start, arrays) if start is not None else getattr(module, "x0", None),
                method,
                numbers(limits, "--bounds") if limits is not None else getattr(module, "bounds", None),
                jac=None if ignored else getattr(module, f"{name}_gradient", None),
                budget=budget,
                target=goal,
                tol=tol,
                seed=seed,
                callback=progress,
                **dict(map(option, options)),
            )
        except KeyboardInterrupt as interruption:
            result, interrupted = getattr(interruption, "result", None), True
            if result is None or not math.isfinite(result.fun):
                click.echo("interrupted before there was a value", err=True)
                ctx.exit(INTERRUPTED)
    click.echo(shown(result, as_json, quiet))
    ctx.exit(INTERRUPTED if interrupted else 1 if result.status in (2, 4) else 0)


def shown(result: OptimizeResult, as_json: bool, quiet: bool) -> str:
    import numpy as np

    if as_json:
        return json.dumps(jsonable(result), ensure_ascii=False, allow_nan=False, indent=1)
    if quiet:
        return " ".join(f"{one:.17g}" for one in np.ravel(result.x))
    return repr(result)


def loaded(target: str) -> tuple[Any, str]:
    """The module of FILE.py:FUNCTION, and the function's name."""
    file, colon, name = target.rpartition(":")
    if not colon or not file.endswith(".py"):
        raise click.UsageError(f"{target!r} must be FILE.py:FUNCTION")
    with refusing(script.BadScript):
        module = script.run(Path(file))
    if not callable(getattr(module, name, None)):
        from ..core.nearest import did_you_mean

        functions = [other for other, value in vars(module).items() if callable(value)]
        raise click.UsageError(f"{file} has no function {name!r}.{did_you_mean(name, functions)}")
    return module, name


def numbers(text: str, what: str) -> list[float]:
    try:
        return [float(one) for one in text.split(",")]
    except ValueError:
        raise click.UsageError(f"{what} must be numbers with commas, got {text!r}") from None


def array(text: str, library: str) -> Any:
    found = numbers(text, "--x0")
    if library == "torch":
        import torch

        return torch.tensor(found, dtype=torch.float64)
    if library == "jax":
        import jax

        return jax.numpy.asarray(found)
    return found


def option(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as Python writes it; a bare word is a string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--option must be NAME=VALUE, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


class Progress:
    """A line on stderr every few seconds, after each iteration."""

    def __init__(self, silent: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.silent, self.clock, self.said = silent, clock, clock()

    def __call__(self, result: OptimizeResult) -> None:
        if not self.silent and self.clock() - self.said >= EVERY:
            self.said = self.clock()
            click.echo(f"iteration {result.nit}, {result.nfev} evaluations, best {result.fun:.6g}", err=True)
