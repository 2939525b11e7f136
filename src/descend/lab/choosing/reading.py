"""What the losses of annealed runs say: the rate in the middle of a valley, and what a longer run will come to.

The constants are the study's (docs/choose.md): `python -m benchmarks.choosing fit` prints what they rest on.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance

DRIFT = -0.2  # quarter decades by which the best rate moves when runs get twice as long
DRIFT_SPREAD = 0.35  # by which that differs among tasks and rules
PLACE_SPREAD = 0.8  # quarter decades by which the middle of a valley errs
FLAT = 0.01  # relative differences of losses that do not matter
FADING = 0.6  # what the next doubling gains, of what the last one did (in logarithms)
USUAL_GAIN = -0.3  # of the first doubling, where only one length was seen
MOST_GAIN = -1.0  # no doubling is expected to divide the loss by more than e
STEEP = 0.4  # half the interval: of what the last doubling gained
WIDTH, LEAST_WIDTH = 0.5, 0.05  # half the interval: of what is still to be gained, and of the logarithm, a doubling
SPREAD = 0.08  # standard deviation of the logarithm of the final loss over seeds, before any were compared
NINE_OF_TEN = 1.645
CALIBRATED = 1.6  # by which the interval had to be widened to hold nine of ten of the study's answers


@dataclass(frozen=True)
class Valley:
    """What one level says of one rule: `place` of the lattice, between its points, and the `losses` of the best one."""

    place: float
    best: int
    losses: tuple[float, ...]  # by seed
    middle: int  # around which the next level tries rates

    @property
    def loss(self) -> float:
        return fmean(self.losses)


def valley(losses: dict[int, list[float]]) -> Valley:
    """The middle of the rates that come near the best one; losses by place, one per seed, the same seeds everywhere.

    Places weigh exp(-excess / tolerance), the excess being relative to the best mean loss, the tolerance what does not
    matter and what the seeds cannot tell apart. On a flat valley that is its middle, away from the cliff; the lowest
    point of a few noisy numbers would jump from one end to the other. In a steep one the better neighbour of the best
    weighs 1/e, so that the middle lies between places and does not jump from one to the next.
    """
    means = {k: _mean(of) for k, of in losses.items()}
    best = min(means, key=lambda k: (means[k], k))
    if not math.isfinite(means[best]):
        return Valley(float(best), best, tuple(losses[best]), best)
    scale = abs(means[best]) or 1.0
    excess = {k: (mean - means[best]) / scale for k, mean in sorted(means.items()) if math.isfinite(mean)}
    noise = [_error([a - b for a, b in zip(losses[k], losses[best], strict=True)]) / scale for k in excess if k != best]
    at = list(excess).index(best)
    beside = list(excess.values())[max(at - 1, 0) : at] + list(excess.values())[at + 1 : at + 2]
    tolerance = FLAT + min(noise, default=0.0)
    place = _middle(excess, max(tolerance, min(beside, default=0.0)))
    return Valley(place, best, tuple(losses[best]), round(_middle(excess, tolerance)))


def _middle(excess: dict[int, float], tolerance: float) -> float:
    weight = {k: math.exp(-of / tolerance) for k, of in excess.items()}
    return sum(k * w for k, w in weight.items()) / sum(weight.values())


def _mean(losses: Sequence[float]) -> float:
    return fmean(losses) if all(map(math.isfinite, losses)) else math.inf


def _error(differences: Sequence[float]) -> float:
    """Standard error of the mean of paired differences; of one, what such runs usually have."""
    return stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else FLAT * abs(differences[0] or 0)


def extrapolated(places: Sequence[float], shares: Sequence[float]) -> float:
    """Where the valley lies at the whole horizon, from where it lay at ascending shares of it.

    A line through the places over the doublings that are still to come, by least squares: places err by about
    PLACE_SPREAD at an eighth of the horizon and less in longer runs; the slope is the usual drift, give or take
    DRIFT_SPREAD.
    """
    left = [math.log2(1 / share) for share in shares]
    weights = [1 / (0.3 + max(x, 0.0) / 3) for x in left]
    trust = (PLACE_SPREAD / DRIFT_SPREAD) ** 2
    middle, place = (fmean(of, weights) for of in (left, places))
    spread = sum(w * (x - middle) ** 2 for w, x in zip(weights, left, strict=True))
    slope = sum(w * (x - middle) * y for w, x, y in zip(weights, left, places, strict=True))
    drift = (trust * DRIFT - slope) / (trust + spread)
    return place + drift * middle


@dataclass(frozen=True)
class Expected:
    """The loss of the whole training, and the interval that nine of ten lie in."""

    loss: float
    low: float
    high: float


def spread(seeds: Iterable[Iterable[Sequence[float]]]) -> float:
    """The standard deviation of the logarithm of a loss over seeds (of its size, where losses are not positive).

    The mean variance over rules of each level that has more than one seed; what is usual counts as one level more.

    Args:
        seeds: level by level, and rule by rule, the losses of the best rate by seed.
    """
    variances = [SPREAD**2]
    for level in seeds:
        found = [_relative(losses) for losses in level if len(losses) > 1 and all(map(math.isfinite, losses))]
        variances += [fmean(found)] if found else []
    return math.sqrt(fmean(variances))


def _relative(losses: Sequence[float]) -> float:
    unit = abs(fmean(losses)) or 1.0
    return variance([math.log(x) for x in losses] if min(losses) > 0 else [x / unit for x in losses])


def expected(losses: Sequence[float], shares: Sequence[float], luck: float = SPREAD, seeds: int = 1) -> Expected:
    """What the best loss of a rule comes to at the whole horizon, from what it was at ascending shares of it.

    Every further doubling gains a fixed part of what the one before it gained, in logarithms where losses are positive.
    The interval has room for that guess and for the luck of a seed.

    Args:
        luck: the standard deviation over seeds, of the logarithm of a loss. `seeds`: that the longest runs had.
    """
    positive = min(losses) > 0
    y = [math.log(x) if positive else x for x in losses]
    doublings = math.log2(1 / shares[-1])
    gain = (y[-1] - y[-2]) / math.log2(shares[-1] / shares[-2]) if len(y) > 1 else USUAL_GAIN if positive else 0.0
    further = (max(min(gain, 0.0), MOST_GAIN) if positive else min(gain, 0.0)) * sum(
        FADING**j for j in range(1, round(doublings) + 1)
    )
    unit = 1.0 if positive else abs(y[-1])
    error = NINE_OF_TEN * luck * unit * math.sqrt(1 + 1 / seeds)
    half = CALIBRATED * math.hypot(WIDTH * further, STEEP * abs(gain), LEAST_WIDTH * unit * doublings, error)
    low, middle, high = y[-1] + further - half, y[-1] + further, y[-1] + further + half
    return Expected(*(math.exp(v) if positive else v for v in (middle, low, high)))
