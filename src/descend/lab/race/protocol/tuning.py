"""The learning rate of a rule: a range test, a grid around it, more seeds near its best, and a parabola at the end.

Every rule gets the same number of trials: what one needs beyond the grid, all get. The tuned rate is the lowest point
of a parabola through the losses near the best rate, not the best of some rates: so it moves little from one set of
tuning seeds to another, and a rule is not punished for where the points of its grid happen to lie.
"""

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

from ...trials.trial import RAMP_HIGH, RAMP_LOW, Run, Settings

SIDE = 3  # half decades on each side of the centre: seven rates
EXTENSIONS, WIDER = 3, 2  # the grid grows at most so often, by so many rates
NEAR = (-0.5, -0.25, 0.0, 0.25, 0.5)  # decades from the best rate at which more seeds are spent
RAMP_STEPS = 200
SMOOTH = 0.9
BELOW = 4.0  # the best annealed rate lies about so many times below the one at which a range test turns
MOST_EXACT, SOME = 6, 400  # seeds up to which every resample is gone through; else so many of them
BAD = 20.0  # of log losses: that of rates at which a seed diverged
FIT = math.log(1.3)  # scores up to so much above the best belong to the parabola


@dataclass(frozen=True)
class Rate:
    """A learning rate with its final losses, one per tuning seed."""

    lr: float
    losses: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Their mean; infinite if a run diverged."""
        return fmean(self.losses)

    @property
    def score(self) -> float:
        """What rates are compared by: the mean logarithm, from which cancels what makes a seed easy for every rate."""
        if not math.isfinite(self.loss):
            return math.inf
        return fmean(math.log(x) for x in self.losses) if min(self.losses) > 0 else self.loss


@dataclass(frozen=True)
class Choice:
    """The tuned rate, whether it sits at an end of the grid (`""`, `"low"` or `"high"`), and the tuned settings."""

    lr: float
    edge: str = ""
    settings: Settings = ()
    deviation: float = 0.0  # of its log10, were the tuning seeds others
    doubt: float = 0.0  # share of its loss that a rule loses so far away, on the worse side


def rounded(lr: float) -> float:
    """A rate in three digits: what is shown is what was trained with."""
    return float(f"{lr:.3g}")


def half_decade(lr: float) -> int:
    """The nearest power of the square root of ten."""
    return round(2 * math.log10(lr))


def centre(ramp: Run | None, usual_lr: float) -> int:
    """The middle of a rule's grid in half decades, from its range test, or from its usual rate where that is flat."""
    losses = [x for x in ramp.train_loss if math.isfinite(x)] if ramp else []
    smooth, average = [], 0.0
    for k, x in enumerate(losses, 1):
        average = SMOOTH * average + (1 - SMOOTH) * x
        smooth.append(average / (1 - SMOOTH**k))
    if ramp is None or not smooth or min(smooth) > 0.95 * smooth[0]:
        return half_decade(usual_lr)
    turn = min(range(len(smooth)), key=lambda k: smooth[k])
    return half_decade(RAMP_LOW * (RAMP_HIGH / RAMP_LOW) ** (turn / ramp.steps) / BELOW)


def grid(low: int, high: int) -> list[float]:
    """The rates from one half decade to another, ascending."""
    return [rounded(10 ** (k / 2)) for k in range(low, high + 1)]


def side_of(rates: Sequence[Rate]) -> int:
    """-1 if the best rate is the lowest of them, +1 if it is the highest, else 0."""
    best = best_of(rates)
    return -1 if best == 0 else 1 if best == len(rates) - 1 else 0


def best_of(rates: Sequence[Rate]) -> int:
    """Which of ascending rates has the best score; of equals the smaller rate."""
    return min(range(len(rates)), key=lambda k: (rates[k].score, k))


def near(lr: float) -> list[float]:
    """The rates around the best of a grid that get more seeds; three of them are of the grid."""
    return [rounded(10 ** (half_decade(lr) / 2 + decades)) for decades in NEAR]


def choose(rates: Sequence[Rate]) -> Choice:
    """The tuned rate: the lowest point of a parabola in log lr and score, within the rates that come near the best."""
    rates = sorted(rates, key=lambda rate: rate.lr)
    best = rates[best_of(rates)]
    side = side_of(rates)
    if side or not math.isfinite(best.score) or min(best.losses) <= 0:
        return Choice(best.lr, {-1: "low", 0: "", 1: "high"}[side])
    x = tuple(math.log10(rate.lr / best.lr) for rate in rates)
    return Choice(rounded(best.lr * 10 ** lowest(x, [rate.score for rate in rates])))


def lowest(x: tuple[float, ...], scores: Sequence[float]) -> float:
    """Where a parabola through the scores near the best is lowest, within them; or the best itself.

    The best it is where it is the first or last, where fewer than three come near it, or where they bend downwards.
    """
    k = min(range(len(x)), key=lambda k: (scores[k], k))
    fit = [j for j, score in enumerate(scores) if score <= scores[k] + FIT]
    if k in (0, len(x) - 1) or not math.isfinite(scores[k]) or len(fit) < 3:
        return x[k]
    near = tuple(x[j] for j in fit)
    bend, slope = (sum(c * scores[j] for c, j in zip(row, fit, strict=True)) for row in _bend_and_slope(near))
    return min(max(-slope / (2 * bend), near[0]), near[-1]) if bend > 0 else x[k]


@lru_cache(256)
def _bend_and_slope(x: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What the values at `x` are weighted with to give the square's and the line's share of their parabola."""
    import numpy as np

    bend, slope, _ = np.linalg.pinv(np.vander(x, 3)).tolist()
    return tuple(bend), tuple(slope)


@lru_cache(256)
def bagged(rates: tuple[Rate, ...]) -> Choice:
    """The tuned rate as it would come out on average, were the tuning seeds drawn again.

    All resamples of the seeds are gone through, each with its probability (of more than six seeds, some of them): the
    rate is the mean of their choices in log lr (Breiman 1996, bagging), which does not jump from one point of the grid
    to the next. How far that mean would move with other seeds is told by its infinitesimal jackknife (Efron 2014,
    "Estimation and accuracy after model selection"); what that costs, by the straight lines between the rates.
    """
    import numpy as np

    rates = tuple(sorted(rates, key=lambda rate: rate.lr))
    whole = choose(rates)
    losses = np.array([rate.losses for rate in rates])
    if not np.isfinite(rates[best_of(rates)].score) or losses.min() <= 0:
        return whole
    x = tuple(math.log10(rate.lr / whole.lr) for rate in rates)
    n = losses.shape[1]
    rows, weights = map(np.array, zip(*resamples(n), strict=True))
    drawn = np.stack([(rows == k).sum(axis=1) for k in range(n)])  # how often each seed is in each resample
    logs = np.log(np.where(np.isfinite(losses), losses, 1e300))  # one that diverged is out wherever it is drawn
    chosen = np.array([lowest(x, scores) for scores in (logs @ drawn / n).T.tolist()])
    mean = float(weights @ chosen)
    bias = math.sqrt(n / max(n - 1, 1))  # resamples vary less than seeds do
    deviation = bias * float(np.linalg.norm((drawn - 1) @ (weights * (chosen - mean))))
    curve = [min(rate.score, BAD) for rate in rates]
    below, here, above = np.interp([mean - deviation, mean, mean + deviation], x, curve)
    doubt = math.expm1(max(0.0, max(below, above) - here))
    return Choice(rounded(whole.lr * 10**mean), whole.edge, (), rounded(deviation), rounded(doubt))


def resamples(n: int) -> list[tuple[tuple[int, ...], float]]:
    """Ways to draw n of n with replacement, whatever the order, and how probable each is; of more than six some."""
    if n > MOST_EXACT:
        draw = random.Random(0)
        return [(tuple(draw.choices(range(n), k=n)), 1 / SOME) for _ in range(SOME)]
    return [
        (rows, math.factorial(n) / math.prod(math.factorial(rows.count(k)) for k in set(rows)) / n**n)
        for rows in itertools.combinations_with_replacement(range(n), n)
    ]


def means(runs: Mapping[float, Sequence[Run]]) -> list[Rate]:
    """The runs of each rate as rates, ascending."""
    return [Rate(lr, tuple(run.loss for run in runs[lr])) for lr in sorted(runs)]
