"""What a range test has found: the sweeps and probes, and every rate that follows from them."""

from dataclasses import dataclass
from functools import cached_property

from . import curve as curves
from .arguments import lead
from .curve import Curve
from .strategy import Evidence, Probe


@dataclass(frozen=True)
class Found:
    """A learning rate and its evidence. Every rate is that of the first parameter group that is not at 0.

    Attributes:
        rule: name of the optimizer's class.
        evidence: all sweeps and probes.
        bases: lr of each group at the time; `.lrs` keeps their ratios.
        range: (low, high) of the sweeps.
        evaluations: gradients taken, over all.
        seconds: it took.
        late: whether the time budget ended it.
        free: whether the rule finds its rate itself, so that 1 is its usual lr.
    """

    rule: str
    evidence: Evidence
    bases: tuple[float, ...]
    range: tuple[float, float]
    evaluations: int
    seconds: float
    late: bool = False
    free: bool = False

    @cached_property
    def lr(self) -> float:
        """The learning rate to train with."""
        if self.evidence.plateau:
            return self.evidence.plateau[0]
        return self.median if self.fell else min(lead(self.bases), self.widest_stable)

    @property
    def fell(self) -> bool:
        """Whether the loss of any sweep fell by more than its noise."""
        return any(curves.fall(c) for c in self.curves)

    @property
    def median(self) -> float:
        """The geometric median of valley, steepest and minimum/10, over the repeats."""
        return curves.middle(self.evidence.medians)

    @property
    def lrs(self) -> list[float]:
        """The learning rate of each parameter group: `.lr`, in the ratios they had."""
        return [self.lr * (base / lead(self.bases)) for base in self.bases]

    @property
    def multiplier(self) -> float:
        """What to multiply every group's lr by."""
        return self.lr / lead(self.bases)

    @property
    def suggestions(self) -> dict[str, float]:
        """Rule of thumb -> lr: valley, steepest, minimum/10, slide."""
        return self.evidence.suggestions

    @property
    def band(self) -> tuple[float, float]:
        """Lowest and highest geometric median of the repeats."""
        return min(self.evidence.medians), max(self.evidence.medians)

    @property
    def plateau(self) -> tuple[float, float]:
        """Lowest and highest probed lr that does nearly as well as the best; without probes, `.band`."""
        found = self.evidence.plateau
        return (found[0], found[-1]) if found else self.band

    @property
    def widest_stable(self) -> float:
        """Half the lr from which training turns ragged or diverges."""
        return self.evidence.stable

    @property
    def one_cycle(self) -> tuple[float, float]:
        """Start and top of a one-cycle schedule (Smith 2018): where the loss begins to fall, the widest stable lr."""
        low = curves.middle(curves.begins_to_fall(c) for c in self.evidence.sweeps)
        return min(low, self.widest_stable / 10), self.widest_stable

    @property
    def curve(self) -> Curve:
        """The first sweep: arrays lr, raw, smoothed; diverged_at; val."""
        return self.evidence.sweeps[0]

    @property
    def curves(self) -> list[Curve]:
        """All sweeps."""
        return self.evidence.sweeps

    @property
    def probes(self) -> list[Probe]:
        """Short trainings at constant rates, in the order tried."""
        return self.evidence.probes

    @property
    def diverged_at(self) -> float | None:
        """The lowest lr at which a sweep diverged, or None."""
        return min((c.diverged_at for c in self.curves if c.diverged_at is not None), default=None)
