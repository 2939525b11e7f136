"""Line searches: how far to go along a direction. They deal in numbers only, and combine with any direction.

A search yields a step length, is sent (value, slope) there, and returns the length it settles on, 0 if none is better
than none. The value is inf where the function is not finite.
"""

import math
from collections.abc import Generator
from typing import Any, NamedTuple

from ..method import Wanted
from .vectors import dot

Search = Generator[float, tuple[float, float], float]


class Point(NamedTuple):
    """Where a search has been: x (D,), its value and gradient."""

    x: Any
    f: float
    g: Any


def backtracking(
    f0: float, slope0: float, first: float = 1.0, *, c1: float = 1e-4, most: int = 40, noise: float = 0.0
) -> Search:
    """Shorten the step until the value falls enough (Armijo 1966; Nocedal and Wright 2006, section 3.5).

    The next length is the minimum of the parabola through what is known, between a tenth and a half of the last. Within
    ``noise``, the rounding of the values, a slope that has become flatter is taken for a fall.
    """
    t = first
    for _ in range(most):
        f, slope = yield t
        if f <= f0 + c1 * t * slope0 or (noise > 0 and f <= f0 + noise and abs(slope) <= 0.9 * -slope0):  # (3.4)
            return t
        curvature = 2 * (f - f0 - slope0 * t)
        best = -slope0 * t * t / curvature if math.isfinite(curvature) and curvature > 0 else 0.0  # (3.58)
        t = min(max(best, 0.1 * t), 0.5 * t)
    return 0.0


def strong_wolfe(
    f0: float,
    slope0: float,
    first: float = 1.0,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    most: int = 25,
    smallest: float = 1e-9,
    size: float = 1.0,
    noise: float = 0.0,
    lowest: bool = False,
) -> Search:
    """A length where the value has fallen enough and the slope is flat enough, by cubic interpolation.

    Bracketing and zoom are Algorithms 3.5 and 3.6 of Nocedal and Wright (2006) in the form of minFunc (Schmidt 2005),
    which ``torch.optim.LBFGS`` uses too.

    Args:
        c1, c2: of the strong Wolfe conditions (3.7). most: evaluations at most.
        smallest: a bracket whose step, times ``size`` (the largest entry of the direction), is below is given up.
        noise: the rounding of the values. Within it, the slope decides whether the value has fallen: the approximate
            Wolfe conditions of Hager and Zhang (2005), (4.1); 0: never.
        lowest: keep the lower end of a bracket even where it has not fallen enough, as torch does.
    """

    def fell(t: float, f: float, slope: float) -> bool:
        flat = f <= f0 + noise and slope <= (1 - 2 * c1) * -slope0 and noise > 0
        return f <= f0 + c1 * t * slope0 or flat

    t, calls = first, 0
    before = (0.0, f0, slope0)
    here = (t, *(yield t))
    while True:  # Algorithm 3.5
        t, f, slope = here
        if not fell(t, f, slope) or (calls > 1 and f >= before[1] and noise == 0):
            low, high = (here, before) if lowest and f < before[1] else (before, here)
            break
        if abs(slope) <= -c2 * slope0:
            return t
        if slope >= 0:
            low, high = (before, here) if before[1] <= f else (here, before)
            break
        if calls == most:
            low, high = (here, (0.0, f0, slope0)) if f < f0 else ((0.0, f0, slope0), here)
            break
        following = cubic(before, here, t + 0.01 * (t - before[0]), 10 * t, noise)
        before = here
        calls += 1
        here = (following, *(yield following))
    stuck = False
    while calls < most:  # Algorithm 3.6
        left, right = min(low[0], high[0]), max(low[0], high[0])
        if (right - left) * size < smallest:
            break
        t = cubic(low, high, left, right, noise)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:  # too near an end: once is admitted, twice is not
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        calls += 1
        f, slope = yield t
        here = (t, f, slope)
        if not fell(t, f, slope) or (f >= low[1] and (noise == 0 or f > low[1] + noise)):
            high = here
            if lowest and high[1] < low[1]:
                low, high = high, low
        else:
            if abs(slope) <= -c2 * slope0:
                return t
            if slope * (high[0] - low[0]) >= 0:
                high = low
            low = here
    return low[0]


def cubic(
    a: tuple[float, float, float], b: tuple[float, float, float], least: float, most: float, noise: float = 0.0
) -> float:
    """The minimum of the cubic through two points (t, value, slope), within limits (Nocedal and Wright, (3.59)).

    Where the values differ by no more than their rounding, the slopes decide: the secant's zero.
    """
    (x1, f1, g1), (x2, f2, g2) = (a, b) if a[0] <= b[0] else (b, a)
    if not math.isfinite(f1) or not math.isfinite(f2):  # the far side is unknown: come near to what is finite
        return least + (0.1 if math.isfinite(f1) else 0.9) * (most - least)
    if abs(f1 - f2) <= noise:
        return min(max((x1 * g2 - x2 * g1) / (g2 - g1), least), most) if g2 > g1 else most
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    d2 = math.sqrt(square) if square >= 0 else math.nan
    bottom = g2 - g1 + 2 * d2
    if not bottom or not math.isfinite(bottom):
        return (least + most) / 2
    return min(max(x2 - (x2 - x1) * ((g2 + d2 - d1) / bottom), least), most)


def along(search: Search, x: Any, d: Any, start: Point) -> Generator[Wanted, Any, Point | None]:
    """Answer a search along the direction ``d`` from ``x``; where it settles, None if nowhere.

    When the search gives up but has seen a lower value, that is where it settles.
    """
    seen: dict[float, Point] = {}
    best = 0.0
    t = next(search)
    while True:
        point = x + t * d
        f, g = yield Wanted("gradient", point[None])
        seen[t] = Point(point, f, g)
        if f < (seen[best].f if best else start.f):
            best = t
        try:
            t = search.send((f, dot(g, d)))
        except StopIteration as end:
            settled = end.value if end.value in seen else best
            return seen[settled] if settled and math.isfinite(seen[settled].f) else None
        if len(seen) > 6:  # they are large, and where the search settles is low
            del seen[max((one for one in seen if one not in (best, t)), key=lambda one: seen[one].f)]
