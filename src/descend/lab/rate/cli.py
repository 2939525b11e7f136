"""`descend lr`: the range test of `descend.torch.find_lr` on a task of the lab."""

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...draw import files
from ...draw.axes import refusal
from ...draw.progress import progress
from ...explain.named import named

if TYPE_CHECKING:
    from ...torch.learning_rate import LRFinding

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@click.command()
@click.argument("rule")
@click.argument("task", type=click.Choice(["digits"]), default="digits")
@click.option("--steps", type=click.IntRange(min=10), default=300, show_default=True, help="Steps of a sweep.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Sweeps.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Time budget.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of weights and order.")
@click.option(
    "-o",
    "--out",
    "target",
    metavar="FILE",
    help="Write the picture: .svg, .png, .pdf or .html. One that is there is replaced.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="Print the learning rate only.")
@click.pass_context
def lr(
    ctx: click.Context,
    rule: str,
    task: str,
    steps: int,
    repeats: int,
    seconds: float | None,
    seed: int,
    target: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find a learning rate for RULE on TASK (digits: a perceptron 64-64-10 on handwritten digits).

    Sweeps raise the rate from step to step; what their curves suggest is probed by short trainings. The same for
    a model of yours: descend.torch.find_lr(model, optimizer, loss_fn, loader).
    """
    if as_json and quiet:
        raise click.UsageError("--json and --quiet exclude each other.")
    out = None if target is None else Path(target)
    if out is not None and (reason := refusal(out)):
        raise click.BadParameter(f"{out}: {reason}", param_hint="-o")
    rule = named(rule, steps=True).name
    if target is not None:
        files.refuse_unwritable(target, "-o")
    if importlib.util.find_spec("sklearn") is None:
        raise click.UsageError("the digits come with scikit-learn: pip install 'descend[lab]'")
    try:
        with progress(f"range test of {rule}", quiet or as_json) as report:
            from torch.nn.functional import cross_entropy

            from ...torch.learning_rate import find_lr
            from ..tasks.torch_digits import Batches, model

            found = find_lr(
                model(seed), rule, cross_entropy, Batches(seed),
                steps=steps, repeats=repeats, seconds=seconds, progress=report,
            )  # fmt: skip
    except KeyboardInterrupt:
        click.echo("interrupted; no rate was found", err=True)
        ctx.exit(INTERRUPTED)
    except (ValueError, RuntimeError) as error:
        click.echo(f"Error: {rule} on {task}: {error}", err=True)
        ctx.exit(1)
    if quiet and found.confidence == "low":
        click.echo(f"low confidence: {found.doubts[0].partition(': ')[2]}", err=True)
    with _writing("standard output"):
        click.echo(_shown(found, f"{rule} on {task}", as_json, quiet))
    if out is not None:  # after that: the result is not lost where the disk is full
        was_there = out.exists()
        with _writing(str(out)):
            found.save(out)
        said = files.wrote(out, was_there)
        if not as_json and not quiet:
            with _writing("standard output"):
                click.echo(f"\n{said}")
        elif was_there:
            click.echo(said, err=True)


def _shown(found: "LRFinding", title: str, as_json: bool, quiet: bool) -> str:
    if as_json:
        return found.to_json()
    if quiet:
        return f"{found.lr:g}"
    return f"{title}\n\n{found.draw(_width())}"


@contextlib.contextmanager
def _writing(where: str) -> Iterator[None]:
    """One line where writing fails. Of a pipe whose reader has gone, click itself makes a quiet end."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if where == "standard output":
            from ...draw.terminal import drop_output

            drop_output()
        raise click.ClickException(f"could not write to {where}: {error.strerror or error}") from None


def _width() -> int:
    from ...draw.terminal import console

    return console(100).width
