"""Checks of what runs the rule: every engine against the oracle, and the torch class with its checkpoints."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import rules
from ...core.rule import Rule
from ...engines import load
from ...engines.base import Engine
from ..traces import gradients, shapes_for
from .compare import ulps
from .report import Outcome, Report, Result, green, red, skipped
from .run import check
from .runs import Subject, run, sentence

STEPS = 20
# Units in the last place after 20 steps of float64. Rounding happens once per operation.
STATED = 16
# Products of matrices and eigenvectors are computed by different libraries, in different orders.
OF_MATRICES = 1 << 10
NEAR = 1e-9  # of the largest number: far above roundings, far below another formula


def distance(rule: Rule, engine: str | Engine) -> tuple[float, float]:
    """How far the engine ends from the oracle after 20 steps, and how far it may; units in the last place.

    A rule that subtracts nearly equal numbers magnifies what is rounded: where a unit in the last place more or
    less in start, gradients and settings moves the oracle itself, an engine may be 16 times as far.
    """
    start, grads = gradients(shapes_for(rule), STEPS, holes=rule.name != "soap")
    settings = dict(rule.settings)
    oracle = run(rule, start, grads, settings)[-1]
    found = ulps(oracle, run(rule, start, grads, settings, engine=engine)[-1])
    bound = STATED if rule.vectors is None else OF_MATRICES
    if found <= bound:
        return found, bound
    shaken = [_shaken(seed, start, grads, settings) for seed in range(4)]
    return found, max(bound, *(16 * ulps(oracle, run(rule, *near)[-1]) for near in shaken))


def _shaken(seed: int, start: Any, grads: Any, settings: dict[str, float]) -> tuple[Any, Any, dict[str, float]]:
    """All of it, each number moved by one rounding or none; a whole number is a count and stays."""
    rng = np.random.default_rng(seed)

    def near(x: Any) -> Any:
        return x * (1 + rng.choice((-1, 0, 1), size=np.shape(x)) * 2.0**-52)

    moved = {name: value if value == round(value) else float(near(value)) for name, value in settings.items()}
    return [near(x) for x in start], [[near(g) for g in step] for step in grads], moved


def against_oracle(rule: Rule, engine: str | Engine) -> Outcome:
    """An engine and the NumPy oracle on the same gradients."""
    try:
        made = load(engine) if isinstance(engine, str) else engine
    except ImportError as error:
        return skipped(str(error))
    if reason := made.refuses(rule, "float64"):
        return skipped(f"not fused, because {reason}")
    found, bound = distance(rule, made)
    if found <= bound:
        return green(f"{found:.3g} units in the last place from the oracle after {STEPS} steps (bound {bound:.3g})")
    return red(
        f"{found:.3g} units in the last place from the oracle after {STEPS} steps; the bound is {bound:.3g}",
        "Write the rule with the words of descend alone, so that all engines read the same arithmetic.",
    )


@check("llvm", "The fused engine computes what the oracle computes.")
def _llvm(it: Subject) -> Outcome:
    return skipped("left out by --quick: it compiles") if it.quick else against_oracle(it.rule, "llvm")


@check("torch", "The eager torch engine computes what the oracle computes.")
def _torch(it: Subject) -> Outcome:
    return against_oracle(it.rule, "torch")


@check("class", "Its torch class does as the oracle; saved and loaded, it goes on with the same bits.")
def _class(it: Subject) -> Outcome:
    try:
        import torch
    except ImportError:
        return skipped("torch is not installed: pip install 'descend[torch]'")
    from ...torch import optimizer

    made: Any = optimizer(it.rule)
    engine = "torch" if it.quick else "auto"
    start, grads = gradients(it.shapes, steps=8, holes=False)

    def begun(values: Any) -> tuple[list[torch.nn.Parameter], Any]:
        on = [torch.nn.Parameter(torch.tensor(x, dtype=torch.float64)) for x in values]
        return on, made(on, engine=engine)

    def steps(on: list[torch.nn.Parameter], opt: Any, some: list[Any]) -> None:
        for step in some:
            for p, g in zip(on, step, strict=True):
                p.grad = torch.tensor(g, dtype=torch.float64)
            opt.step()

    def values(on: list[torch.nn.Parameter]) -> list[np.ndarray]:
        return [p.detach().numpy().copy() for p in on]

    here, whole = begun(start)
    steps(here, whole, grads[:4])
    saved, half = io.BytesIO(), values(here)
    torch.save(whole.state_dict(), saved)
    steps(here, whole, grads[4:])
    there, loaded = begun(half)
    saved.seek(0)
    loaded.load_state_dict(torch.load(saved, weights_only=True))
    steps(there, loaded, grads[4:])
    oracle = run(it.rule, start, grads, it.settings[0], fed=False)[-1]["p"]
    for what, bound, others in (
        ("loaded after 4 steps and taken on for 4, against the run that was not stopped", 0.0, values(there)),
        ("8 steps, against the oracle", NEAR, oracle),
    ):
        for ours, other in zip(values(here), others, strict=True):
            apart = np.where((ours == other) | (np.isnan(ours) & np.isnan(other)), 0.0, np.abs(ours - other))
            largest = max(1.0, float(np.abs(other).max(initial=0.0)))
            if not bool((apart <= bound * largest).all()):
                most = np.nan_to_num(apart, nan=np.inf).max()
                return red(
                    f"{what}: the tensor of shape {ours.shape} is up to {most:.3g} away",
                    "Keep in state slots all that lasts from step to step, each saved under a name of its own.",
                )
    return green(f"4 steps, saved, loaded, 4 more: the same bits ({whole.engine})")


def check_engine(engine: str | Engine, on: Mapping[str, Rule] | None = None) -> Report:
    """Run an engine on rules (default: the catalogue) beside the NumPy oracle; a result per rule.

    ``engine`` is a name, or an object with what ``engines.base.Engine`` asks for; it is given C-ordered NumPy
    arrays of float64 (or, if it is called "torch", tensors).

    Raises:
        ValueError: there is no engine of that name.
    """
    report = Report(engine if isinstance(engine, str) else engine.name)
    for name, rule in (rules.all() if on is None else on).items():
        try:
            outcome = against_oracle(rule, engine)
        except ValueError as error:
            if "unknown engine" in str(error):
                raise
            outcome = red(sentence(error), "Make the engine run it, or refuse it with a reason.")
        except Exception as error:
            outcome = red(sentence(error), "Make the engine run it, or refuse it with a reason.")
        report.results.append(Result(name, f"It computes {name} as the oracle does.", outcome))
    return report
