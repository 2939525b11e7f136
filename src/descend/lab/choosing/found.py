"""What was found: numbers alone. How they are said, drawn and used is written on top of this."""

import math
from dataclasses import dataclass, field

from .belief import Belief
from .outcomes import Level, Outcome


@dataclass(frozen=True)
class Expected:
    """The loss of the whole training, and the interval that nine of ten lie in."""

    loss: float
    low: float
    high: float


@dataclass(frozen=True)
class Option:
    """A rule at its best: the rate for the whole training, and what loss that is expected to reach."""

    rule: str
    lr: float
    expected: Expected
    seen: float  # its best loss in the longest runs it had near that rate
    share: float  # how long those were
    step_s: float
    price: float  # of a step, in steps of the first rule
    schedule: str


@dataclass(frozen=True)
class Found:
    """What `choose` found. Rates are peaks: the schedule warms up to them over 1/30 of the steps, then falls to zero.

    Attributes:
        rule, lr, schedule: what to train with; `schedule` is "linear" or "cosine".
        steps: of the training that was chosen for, of this rule: fewer than asked where its steps cost more.
        expected, interval: the final loss it will come to, and the interval that nine of ten trainings lie in.
        runner_up: the next best rule, or None; `behind`: by what part of the loss.
        options: all rules of which there is something to say, the best first. `dropped`: rule -> why there is not.
        doubts: what speaks against trusting the answer, worst first.
        spent: what it cost, in trainings of the asked length; `seconds` on the clock.
    """

    name: str
    asked_steps: int
    options: tuple[Option, ...]
    steps: int
    dropped: dict[str, str]
    doubts: tuple[str, ...]
    spent: float
    seconds: float
    start: float
    levels: tuple[Level, ...]  # the runs by their lengths, the shortest first
    outcomes: tuple[Outcome, ...]  # of every run
    belief: Belief = field(repr=False, compare=False)  # what they say of the end
    model: tuple[tuple[str, tuple[int, ...]], ...] = ()  # names and shapes of the parameters, where a model was given
    interrupted: bool = False  # by Ctrl-C, with longer runs still to come
    judged: str = "train"  # by which loss a run was judged: "train" or "val"
    mark: float = math.nan  # the loss of the first batch from fixed seeds, where a model was given

    @property
    def best(self) -> Option:
        return self.options[0]

    @property
    def rule(self) -> str:
        return self.best.rule

    @property
    def lr(self) -> float:
        return self.best.lr

    @property
    def schedule(self) -> str:
        return self.best.schedule

    @property
    def expected(self) -> float:
        return self.best.expected.loss

    @property
    def interval(self) -> tuple[float, float]:
        return self.best.expected.low, self.best.expected.high

    @property
    def runner_up(self) -> Option | None:
        return self.options[1] if len(self.options) > 1 else None

    @property
    def behind(self) -> float:
        """By how much of its loss the runner-up is expected to be behind; 0 where there is none."""
        other = self.runner_up
        return 0.0 if other is None or not self.expected else (other.expected.loss - self.expected) / abs(self.expected)

    @property
    def confidence(self) -> str:
        """ "high", "medium" or "low"."""
        return ("high", "medium")[len(self.doubts)] if len(self.doubts) < 2 else "low"
