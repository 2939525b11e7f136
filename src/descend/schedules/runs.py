"""Whole runs out of the parts: what a name stands for is what its repr shows."""

from .checks import number
from .decay import constant, cosine, linear, one_minus_sqrt, polynomial
from .schedule import Schedule
from .warmup import linear_warmup

TAILS = {"1-sqrt": one_minus_sqrt, "linear": linear, "cosine": cosine}


def wsd(
    warmup: float, stable: float, decay: float, tail: str = "1-sqrt", start: float = 0.0, end: float = 0.0
) -> Schedule:
    """Warm-up, stable, decay (Hu et al. 2024; the tail Hägele et al. 2024 found best).

    Args:
        warmup, stable, decay: their lengths in steps; the first two may be 0, for a run without.
        tail: the form of the decay: ``"1-sqrt"``, ``"linear"`` or ``"cosine"``.
        start, end: the first and the last value; 1 in between.
    Raises:
        ValueError: a negative length, an unknown tail.
    """
    if tail not in TAILS:
        raise ValueError(f"wsd: tail must be one of {', '.join(TAILS)}; got {tail!r}")
    made = TAILS[tail](decay, 1.0, end)
    if number("wsd", "stable", stable) != 0:
        made = constant().until(stable) >> made
    return made if number("wsd", "warmup", warmup) == 0 else linear_warmup(warmup, start) >> made


def power_cool(steps: float, fraction: float = 0.5, power: float = 1.0, end: float = 0.0) -> Schedule:
    """Flat at 1, then (1 − u)^power over the last ``fraction`` of the run, u from 0 to 1.

    Raises:
        ValueError: ``fraction`` is not in (0, 1].
    """
    cool = number("power_cool", "steps", steps) * number("power_cool", "fraction", fraction)
    if not 0 < fraction <= 1:
        raise ValueError(f"power_cool: fraction must be in (0, 1], got {fraction!r}")
    tail = polynomial(cool, 1.0, end, power)
    return tail if fraction == 1 else constant().until(steps - cool) >> tail
