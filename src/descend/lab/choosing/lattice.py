"""The rates that are tried: powers of the fourth root of ten, so that a later choice finds an earlier one's runs."""

import math
from collections.abc import Callable

from ..trials.trial import Trial

PER_DECADE = 4


def rate(k: int) -> float:
    """The k-th rate of the lattice, in three digits: 10^(k/4)."""
    return float(f"{10 ** (k / PER_DECADE):.3g}")


def nearest(lr: float) -> int:
    """The place of the lattice's rate that is nearest to `lr`."""
    return round(PER_DECADE * math.log10(lr))


def grown(places: list[int], score: Callable[[int], float], by: int, widest: int) -> list[int]:
    """`places` (ascending) with `by` more of the same spacing where the best of them is at an end; as they are if not.

    `score`: what a place was found to cost, smaller is better; where all are infinite, smaller rates are tried. No more
    than about `widest` places.
    """
    step = places[1] - places[0]
    best = min(places, key=lambda k: (score(k), k))
    if len(places) >= widest or places[0] < best < places[-1]:
        return places
    if best == places[0]:
        return [places[0] - step * j for j in range(by, 0, -1)] + places
    return places + [places[-1] + step * j for j in range(1, by + 1)]


def shortened(steps: int, share: float) -> int:
    """The steps of a run that is a share of the whole; never so few that a schedule means nothing."""
    return max(8, round(share * steps))


def trials(rule: str, places: list[int], seeds: list[int], steps: int, schedule: str) -> list[Trial]:
    return [Trial(rule, rate(k), seed, steps, schedule) for k in places for seed in seeds]
