"""The protocol of a race: who runs what, in which order, with which seeds. No clock, no process, no file.

For each rule: train once with each learning rate of its grid on the tuning seed, keep the one with the
lowest final validation loss, then train with that one and with the rule's default on fresh seeds. A seed
fixes the initial parameters and the order of the data for every rule alike, so runs are paired by seed.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

FIRST_FINAL_SEED = 100


@dataclass(frozen=True)
class Config:
    """What one race is asked to do. `seed` tunes; `seed + 100, seed + 101, ...` decide."""

    rules: tuple[str, ...]
    steps: int = 600
    seeds: int = 5
    seed: int = 0
    batch: int = 64

    @property
    def final_seeds(self) -> tuple[int, ...]:
        return tuple(self.seed + FIRST_FINAL_SEED + k for k in range(self.seeds))


@dataclass(frozen=True)
class Entry:
    """One rule as it enters the race: its search space and what the report says of it."""

    rule: str
    doc: str
    source: str
    settings: dict[str, float]
    default_lr: float
    usual_lr: float
    usual_reason: str
    grid: tuple[float, ...]
    state_bytes: int  # per float32 parameter


@dataclass(frozen=True)
class Run:
    """One complete training. Losses are mean cross entropies in nats; `inf` and `nan` where it diverged.

    `val_loss` and `val_accuracy` belong to the steps of `look_at`, `train_loss` is the mean batch loss since
    the look before (first: the first batch alone). All three end where the run diverged.
    """

    rule: str
    lr: float
    seed: int
    val_loss: list[float]
    val_accuracy: list[float]
    train_loss: list[float]
    diverged_at: int | None
    step_ms: float  # median time of the optimizer's step alone
    train_step_ms: float  # median time of batch, forward, backward and optimizer together
    engine: str

    @property
    def loss(self) -> float:
        """Final validation loss; infinite when the run diverged."""
        return math.inf if self.diverged_at is not None else self.val_loss[-1]

    @property
    def accuracy(self) -> float:
        """Final validation accuracy, 0..1; 0 when the run diverged."""
        return 0.0 if self.diverged_at is not None else self.val_accuracy[-1]


@dataclass(frozen=True)
class RuleStarted:
    rule: str


@dataclass(frozen=True)
class RuleReady:
    """The kernels of a rule are compiled; its runs begin."""

    rule: str
    compile_s: float


@dataclass(frozen=True)
class RunDone:
    run: Run


@dataclass(frozen=True)
class RuleDone:
    rule: str


@dataclass(frozen=True)
class RuleFailed:
    """A rule is out of the race: what it stopped with. The others go on."""

    rule: str
    reason: str


Event = RuleStarted | RuleReady | RunDone | RuleDone | RuleFailed
Train = Callable[[str, float, int], Run]


@dataclass(frozen=True)
class Choice:
    """The tuned learning rate and whether it sits at an end of the grid: `""`, `"low"` or `"high"`."""

    lr: float
    edge: str = ""


def choose(tuning: Iterable[Run]) -> Choice:
    """The learning rate with the lowest final validation loss; of equals the smaller one."""
    runs = sorted(tuning, key=lambda run: run.lr)
    best = min(range(len(runs)), key=lambda k: (runs[k].loss, k))
    edge = "low" if best == 0 else "high" if best == len(runs) - 1 else ""
    return Choice(runs[best].lr, edge)


def lane(entry: Entry, config: Config, train: Train) -> Iterator[Event]:
    """All runs of one rule, in order: tune, then the tuned and the default learning rate on fresh seeds.

    A default that equals the tuned learning rate is not trained twice: the same runs serve both tables.
    """
    tuning = []
    for lr in entry.grid:
        tuning.append(train(entry.rule, lr, config.seed))
        yield RunDone(tuning[-1])
    for lr in dict.fromkeys((choose(tuning).lr, entry.default_lr)):
        for seed in config.final_seeds:
            yield RunDone(train(entry.rule, lr, seed))
    yield RuleDone(entry.rule)


def most_runs(config: Config, entries: Iterable[Entry]) -> int:
    """Number of trainings if no tuned learning rate equals its default."""
    return sum(len(entry.grid) + 2 * config.seeds for entry in entries)


def look_at(steps: int, looks: int = 30) -> list[int]:
    """Steps at which the validation images are looked at: 0, evenly spread, and the last."""
    return sorted({round(k * steps / looks) for k in range(looks + 1)})
