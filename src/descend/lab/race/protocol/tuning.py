"""The learning rate of a rule: a range test, a grid around it, more seeds near its best, and a parabola at the end.

Every rule gets the same number of trials: what one needs beyond the grid, all get. The tuned rate is the lowest point
of a parabola through the losses near the best rate, not the best of some rates: so it moves little from one set of
tuning seeds to another, and a rule is not punished for where the points of its grid happen to lie.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ...trials.trial import RAMP_HIGH, RAMP_LOW, Run

SIDE = 3  # half decades on each side of the centre: seven rates
EXTENSIONS, WIDER = 3, 2  # the grid grows at most so often, by so many rates
NEAR = (-0.5, -0.25, 0.0, 0.25, 0.5)  # decades from the best rate at which more seeds are spent
RAMP_STEPS = 200
SMOOTH = 0.9
BELOW = 4.0  # the best annealed rate lies about so many times below the one at which a range test turns
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
    """The tuned learning rate and whether it sits at an end of the grid: `""`, `"low"` or `"high"`."""

    lr: float
    edge: str = ""


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
    fit = [rate for rate in rates if rate.score <= best.score + FIT]
    if len(fit) < 3:
        return Choice(best.lr)
    import numpy as np

    x = [math.log10(rate.lr / best.lr) for rate in fit]
    bend, slope, _ = np.polyfit(x, [rate.score for rate in fit], 2)
    if bend <= 0:
        return Choice(best.lr)
    return Choice(rounded(best.lr * 10 ** min(max(-slope / (2 * bend), x[0]), x[-1])))


def means(runs: Mapping[float, Sequence[Run]]) -> list[Rate]:
    """The runs of each rate as rates, ascending."""
    return [Rate(lr, tuple(run.loss for run in runs[lr])) for lr in sorted(runs)]
