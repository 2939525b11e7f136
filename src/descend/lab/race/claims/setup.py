"""One side of a claim: a rule on a task, tuned on some seeds and run on others; and how two sides compare."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .... import rules
from ...tasks.problem import Problem
from ...tasks.source import Source
from ...trials.train import train
from ...trials.trial import Run, Trial
from ..protocol import tuning
from ..protocol.sequential import LEVEL, Interval, interval
from ..space import usual

SEEDS_APART = 10_000
TUNING, FRESH = 4, 20  # seeds
DELTA = 0.02
LEAST = 1e-6  # a loss below it is 0
HOLDS, NOT_HERE, OPEN = "holds", "does not hold here", "cannot be told"


@cache
def problem_of(task: str) -> Problem:
    return Source(task).problem()


@dataclass(frozen=True)
class Side:
    """A rule on a task. `settings` are of the rule, `rates` the half decades around its usual rate that are tried."""

    rule: str
    task: str = "digits"
    schedule: str = "linear"
    steps: int = 0  # 0: the task's own
    settings: tuple[tuple[str, Any], ...] = ()
    rates: range = range(-2, 5)
    problem: Callable[[str], Problem] = field(default=problem_of)

    def run(self, lr: float, seed: int, steps: int = 0) -> Run:
        steps = steps or self.steps or Source(self.task).card().steps
        return train(Trial(self.rule, lr, seed, steps, self.schedule), self.problem(self.task), **dict(self.settings))

    def sweep(self, first: int, steps: int = 0, seeds: int = TUNING) -> list[tuning.Rate]:
        """The losses of every rate on the tuning seeds, ascending."""
        middle = tuning.half_decade(usual(self.rule, float(rules.get(self.rule).settings["lr"])).lr)
        rates = [tuning.rounded(10 ** ((middle + k) / 2)) for k in self.rates]
        return tuning.means({lr: [self.run(lr, first + k, steps) for k in range(seeds)] for lr in rates})

    def tuned(self, first: int, steps: int = 0) -> float:
        """The rate that its sweep chooses."""
        return tuning.choose(self.sweep(first, steps)).lr

    def fresh(self, lr: float, first: int) -> list[Run]:
        """Runs on the seeds that decide."""
        return [self.run(lr, first + 100 + k) for k in range(FRESH)]


@dataclass(frozen=True)
class Finding:
    """What came of a claim: the answer, the sentence that says why, the interval, and the numbers it is made of."""

    answer: str
    sentence: str
    quantity: str
    between: Interval
    numbers: dict[str, list[float]]


def span(values: Sequence[float]) -> Interval:
    """The 95 % interval of a mean."""
    return interval(list(values), (len(values),), 1 - LEVEL)


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Paired logarithms of one over the other; a diverged run counts a hundredfold, and none is below 1e-6."""
    worst = 100 * max(x for x in (*mine, *theirs) if math.isfinite(x))

    def told(x: float) -> float:
        return math.log(max(min(x, worst), LEAST))

    return [told(a) - told(b) for a, b in zip(mine, theirs, strict=True)]


def lower(between: Interval, delta: float = DELTA) -> str:
    """Whether a logarithm of two losses says that the first is lower, by more than what makes no difference."""
    if between.high < 0 and between.mean < -delta:
        return HOLDS
    if between.low > -delta:
        return NOT_HERE
    return OPEN


def per_cent(between: Interval) -> str:
    """An interval of a logarithm as a change in per cent, `-12 % (-16 to -8)`, or from tenfold on as a factor."""
    ends = (between.mean, between.low, between.high)
    if max(ends) > math.log(10):
        return "times {:.2g} ({:.2g} to {:.2g})".format(*map(math.exp, ends))
    mean, low, high = (100 * math.expm1(x) for x in ends)
    return f"{mean:+.1f} % ({low:+.1f} to {high:+.1f})"


def faced(mine: Side, theirs: Side, first: int) -> tuple[Interval, dict[str, list[float]], tuple[float, float]]:
    """Both sides tuned and run on the same fresh seeds: the logarithm of their losses, the losses, the rates."""
    rates = mine.tuned(first), theirs.tuned(first)
    losses = [[run.loss for run in side.fresh(lr, first)] for side, lr in zip((mine, theirs), rates, strict=True)]
    return span(ratio(*losses)), {"mine": losses[0], "theirs": losses[1]}, rates
