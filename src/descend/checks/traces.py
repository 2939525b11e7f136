"""Traces: a rule run on random gradients by the oracle, to be compared with an independent reference.

Gradients change sign and span 1e-4 … 1e2, because "the loss falls" notices a third of the mistakes that a
rule can have and such a trace notices all of them.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..core.rule import Rule
from ..engines import load
from ..engines.arrays import begun, take_first_gradients
from ..engines.base import Work

Tensors = list[np.ndarray]
SHAPES: tuple[tuple[int, ...], ...] = ((4, 3), (5,), (), (0,), (3, 3))
MATRICES: tuple[tuple[int, ...], ...] = ((4, 3), (3, 3), (3, 5))
SQUARES: tuple[tuple[int, ...], ...] = ((4, 4), (3, 3))
STEPS = 30
# A rule for vectors is checked against the reference of the rule it stands in for.
STANDS_FOR = {"adafactor_vector": "adafactor", "came_vector": "came"}


def shapes_for(rule: Rule) -> tuple[tuple[int, ...], ...]:
    """Shapes on which a rule and its reference are defined alike.

    SOAP on matrices that are not square begins with a singular preconditioner, whose null vectors are
    whatever the eigensolver returns.
    """
    if rule.name in STANDS_FOR:
        return ((7,), (), (0,))
    if rule.vectors is None:
        return SHAPES
    return SQUARES if rule.name == "soap" else MATRICES


def gradients(
    shapes: Sequence[tuple[int, ...]] = SHAPES, steps: int = STEPS, seed: int = 0, holes: bool = True
) -> tuple[Tensors, list[Tensors]]:
    """Start values of order 1, and for each step a gradient per tensor; float64, and the caller's own.

    With ``holes``, one element in eight is zero at a step, and the first of each tensor at every
    step. The second tensor has no gradient at all in the first two steps, and the last starts at zero.
    """
    start, made = _drawn(tuple(shapes), steps, seed, holes)
    return [a.copy() for a in start], [[a.copy() for a in step] for step in made]


@cache
def _drawn(shapes: tuple[tuple[int, ...], ...], steps: int, seed: int, holes: bool) -> tuple[Tensors, list[Tensors]]:
    rng = np.random.default_rng(seed)
    start = [np.asarray(rng.normal(size=shape)) for shape in shapes]
    made = []
    for _ in range(steps):
        size = 10 ** rng.uniform(-4, 2)
        made.append([np.asarray(rng.normal(size=s) * size * 10 ** rng.uniform(-1, 1, size=s)) for s in shapes])
        for g in made[-1] if holes else []:
            g[rng.random(g.shape) < 1 / 8] = 0.0
            if g.ndim:
                g[(slice(0, 1),) * g.ndim] = 0.0
    for step in made[:2] if holes else []:
        step[min(1, len(shapes) - 1)][...] = 0.0
    if holes:
        start[-1][...] = 0.0
    return start, made


def settings_of(rule: Rule) -> Iterator[dict[str, float]]:
    """Settings of a rule: its defaults, those without decay, and two in which nothing is zero or hides."""
    yield dict(rule.settings)
    yield {**rule.settings, **{name: 0.0 for name in ("weight_decay", "warmup_steps") if name in rule.settings}}
    for shift in (0.37, 0.81):
        yield {name: _moved(name, float(value), shift) for name, value in rule.settings.items()}


def changing(rule: Rule) -> Iterator[dict[str, Any]]:
    """Settings with a rate for each step, of rules whose references take one: it starts at 0, falls, and rises."""
    if rule.name == "ftrl":
        rates = [0.0] + [0.3] * 9 + [0.1, 0.05, 0.0] * 3
        yield {
            **rule.settings,
            "smoothing": 0.7,
            "l1": 0.01,
            "l2": 0.2,
            "lr": tuple(rates + [0.8] * (STEPS - len(rates))),
        }


_LARGER = {"lr": 30.0, "eps": 1e5, "update_decay": 300.0, "update_probability": 5.0}
_WITHIN = {
    "warmup_steps": 9.0,
    "t0": 7.0,
    "update_start": 5.0,
    "seed": 7.0,
    "max_norm": 1.0,
}  # so that a trace of 30 steps gets to see both sides


def _moved(name: str, value: float, shift: float) -> float:
    if name == "initial_accumulator" and shift > 0.5:
        return 0.0  # where a second moment stays zero as long as its gradient does
    if name in _WITHIN:
        return round(_WITHIN[name] * (0.5 + shift))
    if name == "beta2_decay":
        return value * (0.6 + shift)
    if name.startswith("eps") and value < 1e-12:
        return 1e-3 * (0.5 + shift)
    if name in _LARGER:
        return value * _LARGER[name] * (0.5 + shift)
    if name.startswith(("beta", "alpha", "momentum", "rho")) and value < 1:
        return round(0.5 * value + 0.4 * shift + 0.01 * (sum(map(ord, name)) % 7), 3)  # no two alike
    return value * (1 + shift) if value else 0.1 + 0.2 * shift


# State that something else than the step feeds: (slot, its value, what the reference calls it).
FED = {"sophia": ("h", 0.7, "h0"), "adahessian": ("h", 0.7, "d0")}


def oracle(rule: Rule, start: Tensors, grads: Sequence[Tensors], settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """After each step: ``"p"`` and each slot -> list of arrays (an array of numbers for per-tensor slots)."""
    rates = settings["lr"] if isinstance(settings.get("lr"), tuple) else ()
    settings = {**settings, "lr": rates[0]} if rates else settings
    work = begin(rule, start, settings)
    if rule.name in FED:
        slot, value, _ = FED[rule.name]
        for array in work.arrays[slot]:
            array[...] = value
    step = load("numpy").prepare([work])
    for t, g in enumerate(grads, 1):
        work.arrays["g"] = [np.array(x) for x in g]
        if t == 1:
            take_first_gradients(work)
        work.rows[0].t = t
        if rates:
            work.rows[0].settings["lr"] = rates[t - 1]
        step(1)
        names = ["p", *(slot.name for slot in rule.slots)]
        yield {n: [np.array(a) for a in (work.arrays | work.numbers)[n]] for n in names}


def begin(rule: Rule, start: Tensors, settings: dict[str, Any]) -> Work:
    """A Work on copies of ``start`` with fresh state."""
    return begun(rule, [np.array(x) for x in start], settings)


Reference = Callable[..., Iterator[tuple[Tensors, dict[str, Tensors]]]]


def distance(rule: Rule, reference: Reference, settings: dict[str, Any], seed: int = 0) -> float:
    """The largest difference between oracle and reference at any step, in p and in state of the same name.

    Relative to the largest magnitude of the tensor, or to 1 where it is smaller. NaN on one side only is infinite.
    """
    return max(distances(rule, reference, settings, seed), default=0.0)


def distances(rule: Rule, reference: Reference, settings: dict[str, Any], seed: int = 0) -> Iterator[float]:
    """What ``distance`` is the largest of, step by step: most mistakes show in the first of them."""
    start, grads = gradients(shapes_for(rule), seed=seed, holes=rule.name != "soap")
    fed = {FED[rule.name][2]: FED[rule.name][1]} if rule.name in FED else {}
    theirs = reference(start, grads, **settings, **fed)
    named = {slot.name: slot.saved_as for slot in rule.slots}
    for ours, (x, state) in zip(oracle(rule, start, grads, settings), theirs, strict=True):
        worst = 0.0
        pairs = [(ours["p"], x)]
        for slot, saved in named.items():
            there = state.get(slot, state.get(saved))
            if there is not None and len(there) == len(x):
                pairs.append((ours[slot], there))
        for mine, other in pairs:
            for a, b in zip(mine, other, strict=True):
                a, b = np.asarray(a), np.asarray(b)
                worst = max(worst, _apart(a, b.reshape(a.shape) if a.size == b.size else b))  # rows kept as size 1
        yield worst


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape:
        return float("inf")
    if not a.size:
        return 0.0
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf")
    finite = np.isfinite(a)
    if not finite.any():
        return 0.0
    return float(np.abs(a - b)[finite].max() / max(1.0, np.abs(b)[finite].max()))
