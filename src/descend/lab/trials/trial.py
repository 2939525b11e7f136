"""A trial: what fixes a training to the last bit; and a run: what came of it."""

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from statistics import fmean

LOOKS, TAIL_LOOKS = 24, 6
TAIL = 0.1  # the share of the steps over whose looks a run is judged
SCHEDULES = ("linear", "cosine", "wsd", "constant")
RAMP = "ramp"  # the schedule of a range test
RAMP_LOW, RAMP_HIGH = 1e-6, 1e2
WARMUP = 1 / 30  # of the steps

Settings = tuple[tuple[str, float], ...]


@dataclass(frozen=True, order=True)
class Trial:
    """One training of a task, all that fixes it to the last bit: the highest rate, the seed, how long, how annealed.

    `rule` may carry a stream, `adamw#2`: the same rule on seeds of its own, to race a rule against itself. `settings`
    are (name, value) pairs of the rule in the order of their names; what is not named stays at its default.
    """

    rule: str
    lr: float
    seed: int
    steps: int
    schedule: str = "linear"
    settings: Settings = ()

    @property
    def key(self) -> str:
        """The trial as text, for a store."""
        also = "".join(f" {name}={value!r}" for name, value in self.settings)
        return f"{self.rule} lr={self.lr!r} seed={self.seed} steps={self.steps} {self.schedule}{also}"


@dataclass(frozen=True)
class Run:
    """One complete training. Losses are the task's; `inf` and `nan` where it diverged.

    `val_loss` and `val_accuracy` belong to the steps of `look_at`, `train_loss` is the mean batch loss since
    the look before (first: the first batch alone). All three end where the run diverged. Of a range test (schedule
    `ramp`) `train_loss` has every step.
    """

    rule: str
    lr: float
    seed: int
    steps: int
    schedule: str
    val_loss: list[float]
    val_accuracy: list[float]
    train_loss: list[float]
    diverged_at: int | None
    step_ms: float  # median time of the optimizer's step alone
    train_step_ms: float  # median time of batch, forward, backward and optimizer together
    engine: str
    settings: Settings = ()

    @property
    def trial(self) -> Trial:
        return Trial(*(getattr(self, field.name) for field in fields(Trial)))

    @property
    def curve(self) -> list[tuple[int, float]]:
        """(step, validation loss) at every look until the end, or until it diverged."""
        return list(zip(look_at(self.steps), self.val_loss, strict=False))

    @property
    def seconds(self) -> float:
        """What the training took without the looks at the validation data: steps times their median."""
        return (self.diverged_at or self.steps) * self.train_step_ms / 1000

    @property
    def loss(self) -> float:
        """What the run is judged by: mean validation loss of the looks in the last tenth; infinite if it diverged."""
        return math.inf if self.diverged_at is not None else fmean(self.val_loss[-tail(self.steps) :])

    @property
    def accuracy(self) -> float:
        """Mean validation accuracy of the same looks, 0..1; 0 when the run diverged, NaN where there is none."""
        return 0.0 if self.diverged_at is not None else fmean(self.val_accuracy[-tail(self.steps) :])


@lru_cache
def look_at(steps: int) -> list[int]:
    """Steps after which the validation set is looked at: 0, evenly spread, six in the last tenth, and the last."""
    even = {round(k * steps / LOOKS) for k in range(LOOKS + 1)}
    return sorted(even | {steps - round(k * TAIL * steps / (TAIL_LOOKS - 1)) for k in range(TAIL_LOOKS)})


@lru_cache
def tail(steps: int) -> int:
    """How many looks the score of a run is the mean of."""
    return sum(at >= steps - round(TAIL * steps) for at in look_at(steps))


def warmup(steps: int) -> int:
    """Steps of the warm-up."""
    return max(1, round(WARMUP * steps))
