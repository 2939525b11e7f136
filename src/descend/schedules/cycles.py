"""Schedules that come back: warm restarts, triangles, one cycle."""

from __future__ import annotations

import functools
import math
from itertools import pairwise

from .checks import CHECKS, Count, Mode, Positive, Real, number, positive
from .decay import cosine, linear
from .formula import schedule
from .schedule import Schedule
from .words import blend, cos, exp2, fitting, index, pi, raised, take, turns, where

LAST = 2.0**53  # beyond it float64 cannot tell one step from the next


@functools.lru_cache(maxsize=64)
def _cycles(first: float, times: float, decay: float, cycles: int | None) -> tuple[tuple[float, ...], ...]:
    """Where each cycle starts (and the last one ends), how long it is, and what its height is multiplied by."""
    starts, lengths = [0.0], [float(first)]
    while len(starts) <= cycles if cycles else starts[-1] < LAST:
        starts.append(starts[-1] + lengths[-1])
        lengths.append(lengths[-1] * times)
    return tuple(starts), tuple(lengths), tuple(float(decay) ** n for n in range(len(starts)))


def _ends(first: float, times: float, cycles: int | None, *_: float) -> float:
    return math.inf if cycles is None else first * cycles if times == 1 else _cycles(first, times, 1.0, cycles)[0][-1]


def _growing(first: float, times: float, cycles: int | None, *_: float) -> None:
    if times != 1 and cycles is None and times < 1.01:
        raise ValueError(f"cosine_restarts: without end, times must be 1, or 1.01 or more; got {times}. Or give cycles")


@schedule(length=_ends, check=_growing)
def cosine_restarts(
    k,
    first: Positive,
    times: Positive = 1,
    cycles: Count | None = None,
    start: Real = 1.0,
    end: Real = 0.0,
    decay: Positive = 1.0,
):
    """Cosines one after the other, each ``times`` as long as the one before (SGDR, Loshchilov & Hutter 2017, eq. 5).

    ``first`` is T₀ and ``times`` T_mult of torch's CosineAnnealingWarmRestarts. Without ``cycles`` it never ends; with
    them it ends at ``end``. ``decay``: what each cycle starts at, as a share of the one before (timm's cycle_decay).
    """
    if times == 1:
        n, x = turns(k, first, cycles)
        u, top = x / first, start if decay == 1 else start * raised(float(decay), n)
    else:
        starts, lengths, heights = _cycles(first, times, decay, cycles)
        n = index(k, starts[1:-1])
        u = (k - take(starts, n)) / take(lengths, n)
        top = start if decay == 1 else start * take(heights, n)
    return blend((1 + cos(pi * u)) / 2, top, end)


@schedule()
def cyclic(
    k,
    up: Positive,
    low: Real,
    high: Real = 1.0,
    down: Positive | None = None,
    mode: Mode = "triangular",
    gamma: Positive = 1.0,
):
    """From ``low`` to ``high`` in ``up`` steps and back in ``down`` (default: as many), without end (Smith 2017, §3.2).

    ``mode``: ``"triangular"``; ``"triangular2"``, where each cycle rises half as high; ``"exp_range"``, where the rise
    is multiplied by gamma^k. torch's CyclicLR.
    """
    down = up if down is None else down
    n, x = turns(k, up + down)
    rise = where(x <= up, x / up, (fitting(k, up + down) - x) / down)
    if mode == "triangular2":
        rise = rise * exp2(-n)
    elif mode == "exp_range":
        rise = rise * raised(float(gamma), k)
    return blend(rise, high, low)


_SHAPES = {"cos": cosine, "linear": linear}


def _annealed(shape: str, *joints: tuple[float, float]) -> Schedule:
    """From joint to joint, each a step and the value there."""
    if shape not in _SHAPES:
        raise ValueError(f"one_cycle: shape must be one of {', '.join(_SHAPES)}; got {shape!r}")
    parts = []
    for (here, start), (there, end) in pairwise(joints):
        if there <= here:
            raise ValueError(f"one_cycle: no time from step {here:g} to {there:g}; take more steps or move pct_start")
        parts.append(_SHAPES[shape](there - here, start, end))
    made = parts[0]
    for part in parts[1:]:
        made = made >> part
    return made


def one_cycle(
    steps: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    shape: str = "cos",
    three_phase: bool = False,
) -> Schedule:
    """Up to 1 and down to almost nothing (Smith & Topin 2018), as torch's OneCycleLR; its arguments.

    From 1/div_factor to 1 at step pct_start·steps − 1 and to 1/(div_factor·final_div_factor) at step steps − 1, the
    last one of the run. ``three_phase``: back to 1/div_factor as fast as it rose, then down.

    Raises:
        ValueError: so few steps that a phase has no length.
    """
    steps = positive("one_cycle", "steps", steps)
    top = number("one_cycle", "pct_start", pct_start) * steps - 1
    low = 1 / positive("one_cycle", "div_factor", div_factor)
    last = low / positive("one_cycle", "final_div_factor", final_div_factor)
    joints = [(0, low), (top, 1.0), *([(2 * top, low)] if three_phase else []), (steps - 1, last)]
    return _annealed(shape, *joints).until(steps)


def one_cycle_momentum(
    steps: float,
    pct_start: float = 0.3,
    low: float = 0.85,
    high: float = 0.95,
    shape: str = "cos",
    three_phase: bool = False,
) -> Schedule:
    """The momentum (or beta1) that goes with ``one_cycle``: ``high`` where the rate is low, and the other way round."""
    steps = positive("one_cycle_momentum", "steps", steps)
    top = number("one_cycle_momentum", "pct_start", pct_start) * steps - 1
    joints = [(0, high), (top, low), *([(2 * top, high)] if three_phase else []), (steps - 1, high)]
    return _annealed(shape, *joints).until(steps)


def one_cycle_fastai(steps: float, pct_start: float = 0.25, div: float = 25.0, div_final: float = 1e5) -> Schedule:
    """``fit_one_cycle``: from 1/div to 1 at pct_start·steps, and to 1/div_final at ``steps``, one after the last."""
    low, end = 1 / positive("one_cycle_fastai", "div", div), 1 / positive("one_cycle_fastai", "div_final", div_final)
    steps = positive("one_cycle_fastai", "steps", steps)
    top = number("one_cycle_fastai", "pct_start", pct_start) * steps
    return _annealed("cos", (0, low), (top, 1.0), (steps, end))


def one_cycle_fastai_momentum(
    steps: float, pct_start: float = 0.25, moms: tuple[float, float, float] = (0.95, 0.85, 0.95)
) -> Schedule:
    """The momentum of ``fit_one_cycle``: its value at the start, at pct_start·steps and at ``steps``."""
    of = "one_cycle_fastai_momentum"
    values = CHECKS["Reals"](of, "moms", moms)
    if len(values) != 3:
        raise ValueError(f"{of}: moms must be three numbers, at the start, the top and the end; got {moms!r}")
    steps = positive(of, "steps", steps)
    return _annealed("cos", *zip((0, number(of, "pct_start", pct_start) * steps, steps), values, strict=True))
