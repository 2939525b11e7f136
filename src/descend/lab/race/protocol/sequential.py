"""Intervals that stay valid although a race looks at them again and again, and stops when they suffice.

Looks are planned: after so many seeds the differences are looked at. An error-spending function (Lan & DeMets 1983; of
the power family of Kim & DeMets 1987) says how much of the 5 % each look may use; the critical values follow from the
joint normal distribution of the statistics at all looks (Armitage, McPherson & Rowe 1969). For Student's t they are
carried over by their significance level (Pocock 1977; Jennison & Turnbull 2000, section 11.4). The intervals are
repeated confidence intervals (Jennison & Turnbull 1989): together they cover at every look, whatever ended the race.

Student's t is misled by skewed differences, above all at early looks. So little may be spent early (the cube of the
share of seeds used), the first look waits for eight seeds, and an interval is the union of Student's and of Hall's at
the same level (1992, "On the removal of skewness by transformation"). How often it errs on made-up differences:
tests/lab/race/test_sequential.py; docs/race.md has the table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

LEVEL = 0.95
FIRST, GROWTH = 8, 1.5
POWER = 3  # of the share of the seeds used: the part of the error that may have been spent until then
GRID = 120  # points of the numerical integration, Gauss-Legendre


def looks(most: int) -> tuple[int, ...]:
    """The numbers of seeds after which a race of at most `most` seeds looks at its differences."""
    found = [min(FIRST, most)]
    while found[-1] < most:
        found.append(min(most, math.ceil(found[-1] * GROWTH)))
    if len(found) > 1 and found[-1] < 1.2 * found[-2]:
        del found[-2]  # a last look so soon after another would tell nothing new
    return tuple(found)


@lru_cache
def critical_levels(plan: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """The two-sided significance level of each look of a plan that together spend `alpha`."""
    import numpy as np
    from scipy.special import ndtr

    times = np.array([0, *plan]) / plan[-1]
    spent = alpha * times**POWER
    points, gauss = np.polynomial.legendre.leggauss(GRID)
    # The score process, a Brownian motion, on the paths that have crossed no boundary yet: mass on points x.
    x, mass = np.zeros(1), np.ones(1)
    levels: list[float] = []
    for k in range(1, len(times)):
        step = math.sqrt(times[k] - times[k - 1])
        z, low, high = 0.0, 0.0, 40.0
        for _ in range(60):  # the boundary z of the statistic that just spends this look's share
            z = (low + high) / 2
            edge = z * math.sqrt(times[k])
            crossing = mass @ (ndtr((x - edge) / step) + ndtr((-edge - x) / step))
            low, high = (z, high) if crossing > spent[k] - spent[k - 1] else (low, z)
        levels.append(float(2 * ndtr(-z)))
        new = points * edge
        density = np.exp(-((new[:, None] - x) ** 2) / (2 * step**2)) @ mass / (math.sqrt(2 * math.pi) * step)
        x, mass = new, gauss * edge * density
    return tuple(levels)


@dataclass(frozen=True)
class Interval:
    """The mean of paired differences and its repeated confidence interval after `n` seeds."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2

    def relative(self, scale: float, log: bool) -> tuple[float, float, float]:
        """Mean, low and high as shares: of `scale`, or where they are logarithms, as what these make of 1."""
        mean, low, high = (math.expm1(min(x, 700)) if log else x / scale for x in (self.mean, self.low, self.high))
        return mean, low, high

    def widened(self, by: float) -> "Interval":
        """The interval with another, independent source of error, which reaches so far to either side."""
        low, high = (math.hypot(end - self.mean, by) for end in (self.low, self.high))
        return Interval(self.mean, self.mean - low, self.mean + high, self.n) if by else self


def interval(differences: Sequence[float], plan: tuple[int, ...], alpha: float) -> Interval:
    """The interval of the mean difference after as many seeds as there are differences, a look of the plan.

    Raises:
        ValueError: fewer than two differences, one that is not finite, or a number of them that is no look.
    """
    n = len(differences)
    if n < 2 or not all(math.isfinite(d) for d in differences):
        raise ValueError(f"a paired interval needs at least 2 finite differences, got {list(differences)}")
    if n not in plan:
        raise ValueError(f"{n} differences, but the race looks after {', '.join(map(str, plan))}")
    mean = math.fsum(differences) / n
    from_mean = [d - mean for d in differences]
    error = math.sqrt(math.fsum(d**2 for d in from_mean) / (n - 1) / n)
    if error == 0:
        return Interval(mean, mean, mean, n)
    from scipy.special import stdtrit

    freedom = n - 1 - min(2, (n - 1) // 3)  # two are spent on the skewness, which is estimated as well
    t = -float(stdtrit(freedom, critical_levels(plan, alpha)[plan.index(n)] / 2))
    ends = [mean - error * x for x in (t, -t, _less_skewed(from_mean, t), _less_skewed(from_mean, -t))]
    return Interval(mean, min(ends), max(ends), n)


def _less_skewed(from_mean: Sequence[float], t: float) -> float:
    """Hall's transformation of a studentised mean, inverted: the value that it takes to `t`."""
    n = len(from_mean)
    if n < 3:
        return t
    spread = math.fsum(d**2 for d in from_mean) / n
    skew = math.fsum(d**3 for d in from_mean) / n / spread**1.5 * math.sqrt(n * (n - 1)) / (n - 2)
    if abs(skew) < 1e-6:
        return t
    return math.sqrt(n) * (math.cbrt(1 + skew * (t / math.sqrt(n) - skew / (6 * n))) - 1) * 3 / skew
