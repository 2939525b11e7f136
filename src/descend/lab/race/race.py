"""What a race is asked to do, and who enters it."""

from dataclasses import dataclass, field, replace

from ..trials.trial import Run, look_at, warmup
from .protocol import sequential
from .protocol.settings import BEST, Range
from .protocol.tuning import NEAR

__all__ = ["Config", "Entry", "Run", "look_at"]

SEEDS_APART = 10_000  # the seeds of one race end where those of the next begin
FIRST_FINAL_SEED = 100
QUICK_SEEDS = 12


@dataclass(frozen=True)
class Config:
    """What one race is asked to do.

    `seeds` is the most fresh seeds it may spend, `delta` the relative difference of losses that does not matter. `log`:
    geometric means and ratios, as the task's card says. With `against`, every rule is held against that one instead of
    the leader. Tuning: `2 * side + 1` rates on the first `grid_seeds` of `tuning` seeds, then five near the best on all
    of them. `tune` trials of every rule search its other settings, too; 0: they stay at their
    defaults. `pairs`: once all is decided against the leader, the race goes on until every two rules are.
    """

    rules: tuple[str, ...]
    task: str = "digits"
    steps: int = 600
    batch: int = 64
    seeds: int = 80
    seed: int = 0
    delta: float = 0.02
    schedule: str = "linear"
    against: str = ""
    log: bool = False
    side: int = 3
    grid_seeds: int = 2
    tuning: int = 8
    tune: int = 0
    pairs: bool = True

    def quick(self, keep_seeds: bool) -> "Config":
        """The same race for about half the time: five rates on one seed, then two, and twelve fresh seeds at most."""
        seeds = self.seeds if keep_seeds else min(self.seeds, QUICK_SEEDS)
        return replace(self, side=2, grid_seeds=1, tuning=2, seeds=seeds, pairs=False)

    @property
    def least_runs(self) -> int:
        """Trainings until there is a first verdict, if no grid is widened and no default rate is the tuned one."""
        near = len(NEAR) * self.tuning - 3 * self.grid_seeds
        settings = self.tune * self.grid_seeds + (
            BEST * (self.tuning - self.grid_seeds) + self.tuning if self.tune else 0
        )
        return len(self.rules) * (1 + settings + (2 * self.side + 1) * self.grid_seeds + near + 2 * self.looks[0])

    @property
    def tuning_seeds(self) -> tuple[int, ...]:
        return tuple(self.seed * SEEDS_APART + k for k in range(self.tuning))

    @property
    def final_seeds(self) -> tuple[int, ...]:
        """Seeds that decide and never tune."""
        return tuple(self.seed * SEEDS_APART + FIRST_FINAL_SEED + k for k in range(self.seeds))

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of fresh seeds after which the race asks whether it is decided."""
        return sequential.looks(self.seeds)

    @property
    def warmup(self) -> int:
        """Steps of the warm-up."""
        return 0 if self.schedule == "constant" else warmup(self.steps)


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
    state_bytes: int  # per float32 parameter
    space: dict[str, Range] = field(default_factory=dict)  # of the settings that are searched: low, high, how
