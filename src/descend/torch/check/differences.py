"""The slope of a function along a line, by differences alone, with what can be known of its error.

Central differences have an error of h²·f‴/6 from the step and of about ε·|f|/h from rounding. The step is shortened
from 1e-3 of the scale; of neighbouring steps h and h/4 the h² term is eliminated (Richardson 1911), and the pair is
taken whose two estimates agree best (Ridders 1982), never the one that agrees best with what is to be checked.

How much rounding there is depends on what happens inside ``f``: a loss near 0 may be a difference of large numbers. So
it is measured (``measured_noise``), and never taken for less than a few sums have.

At a kink the one-sided slopes differ however short the step. Where they differ only for long steps, the kink is beside
the point, and short steps do not see it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ROUNDING = 16 * 2.0**-52  # of one evaluation, relative to |f|, at least: a few sums deep
SAMPLES, CLOSE = 13, 2.0**-23  # of ``measured_noise``: points, and how far they reach in units of the scale
GOLDEN = 0.6180339887498949
SURE = 8  # standard deviations, as they are known from so few points
FLAT = (
    2.0**-52
)  # what a loss that never moves may still do over the scale: log-softmax ends at 0 where it is below this
RATIO = 4.0
LEVELS = 8  # from 1e-3 of the scale to 6e-8, powers of two, so that x + h is mostly exact
LONGEST = 2.0**-10
ENOUGH = 1e-9


@dataclass(frozen=True)
class Slope:
    """What differences say.

    Attributes:
        value: of the slope; at a kink, the mean of both sides. error: how far off it may be.
        left, right: one-sided slopes. kink: they differ by more than step and rounding explain.
        kink_near: a kink lies beside the point, within the longest step tried.
        step: h of the estimate, in units of the line's parameter.
    """

    value: float
    error: float
    left: float
    right: float
    kink: bool
    kink_near: bool
    step: float


def measured_noise(f: Callable[[float], float], scale: float) -> float:
    """How far off one evaluation of ``f`` near 0 may be: what a parabola leaves of some, very close together.

    They lie on one side, as 0 itself may be a kink, and at uneven distances: even ones can all round alike. 0 where
    ``f`` is not finite.
    """
    at = np.arange(1, SAMPLES + 1) * GOLDEN % 1
    values = np.array([f(CLOSE * scale * x) for x in at])
    if not np.isfinite(values).all():
        return 0.0
    values -= values[0]
    left = values - np.polyval(np.polyfit(at, values, 2), at)
    return SURE * math.sqrt(float(left @ left) / (SAMPLES - 3))


def slope(
    f: Callable[[float], float], f0: float, scale: float, expected: float = math.nan, least: float = 0.0
) -> Slope:
    """The slope of ``f`` at 0, where it is ``f0``; ``scale`` is a length over which ``f`` changes by much.

    ``least``: how far off an evaluation may be at least, as ``measured_noise`` has it.
    Takes 4 evaluations where they confirm ``expected`` to nine digits, else at most 2·LEVELS. The slope is NaN where
    ``f`` is not finite nearby.
    """
    scale = 2.0 ** round(math.log2(scale))
    steps, central, jump, noise = [], [], [], []
    best: tuple[float, float, float] | None = None  # error, value, h
    for level in range(LEVELS):
        h = LONGEST * scale / RATIO**level
        up, down = f(h), f(-h)
        steps.append(h)
        central.append((up - down) / (2 * h))
        jump.append((up - f0) / h - (f0 - down) / h)
        moved = 2.0**-52 * scale / h * abs(central[-1])  # x + h is rounded
        noise.append(max(least, ROUNDING * max(abs(up), abs(down), abs(f0))) / h + moved)
        if not level:
            continue
        better = (RATIO**2 * central[-1] - central[-2]) / (RATIO**2 - 1)
        error = abs(better - central[-1]) + noise[-1]
        if math.isfinite(error) and (best is None or error < best[0]):
            best = (error, better, h)
        if level == 1 and abs(better - expected) <= ENOUGH * abs(better):
            break  # by chance once in 1e9
        if best is not None and level >= 3 and error > 100 * best[0] and noise[-1] > best[0]:
            break  # from here on rounding only grows
    if best is None:
        return Slope(math.nan, math.inf, math.nan, math.nan, False, False, steps[-1])
    seen = [_kinked(jump[i], jump[i + 1], noise[i + 1]) for i in range(len(jump) - 1)]
    at = _last_clear(jump, noise)
    kink = seen[at - 1] if at else False
    near = any(seen) and not kink
    error, value, h = best
    if not any(central) and not any(jump):
        error = max(error, FLAT / scale)
    if kink:
        value, error, h = central[at], abs(central[at] - central[at - 1]) + noise[at], steps[at]
    return Slope(value, error, value - jump[at] / 2, value + jump[at] / 2, kink, near, h)


def _kinked(before: float, after: float, noise: float) -> bool:
    """A quarter of the step leaves the jump as it was; curvature would leave a quarter of it."""
    return abs(after) > 50 * noise and abs(after) > 0.7 * abs(before)


def _last_clear(jump: list[float], noise: list[float]) -> int:
    """The shortest step at which a jump as large as the largest would stand out from rounding."""
    largest = max((abs(j) for j in jump if math.isfinite(j)), default=0.0)
    return max((i for i in range(len(jump)) if largest > 50 * noise[i]), default=0)
