"""What came of the runs of a choice, and what those of one length show."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from ..trials.trial import Trial
from .lattice import nearest

OTHER = "cosine"  # tried beside linear, in runs of the full length
NEAR = 1.5  # places of the lattice: rates that are nearly the same


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: its final loss (infinite if it diverged), the loss before any step, seconds of a step."""

    trial: Trial
    loss: float
    start: float
    step_s: float


@dataclass(frozen=True)
class Best:
    """The best rate of a rule at one length: its `place` of the lattice, and its mean loss over its seeds."""

    place: int
    loss: float


@dataclass(frozen=True)
class Level:
    """What runs of one length showed: of each rule that had some, the mean losses by (schedule, place)."""

    share: float
    losses: Mapping[str, Mapping[tuple[str, int], float]]

    @property
    def rules(self) -> dict[str, Best]:
        """The best of each rule, whatever its schedule."""
        return {rule: _best(of) for rule, of in self.losses.items()}

    @property
    def ranked(self) -> list[tuple[str, Best]]:
        return sorted(self.rules.items(), key=lambda of: (of[1].loss, of[0]))

    @property
    def cells(self) -> int:
        """How many rates and schedules were tried, of all rules."""
        return sum(map(len, self.losses.values()))

    def near(self, rule: str, place: float) -> Best | None:
        """The best of a rule within a place and a half of one, or the best there is; None where all diverged."""
        losses = {key: x for key, x in self.losses.get(rule, {}).items() if math.isfinite(x)}
        close = {key: x for key, x in losses.items() if abs(key[1] - place) <= NEAR}
        return _best(close or losses) if losses else None


def _best(losses: Mapping[tuple[str, int], float]) -> Best:
    at = min(losses, key=lambda key: (losses[key], key[1]))
    return Best(at[1], losses[at])


def levels(outcomes: Iterable[Outcome], shares: Mapping[Trial, float]) -> tuple[Level, ...]:
    """By the length of the runs, the shortest first."""
    found: dict[float, dict[str, dict[tuple[str, int], list[float]]]] = {}
    for o in outcomes:
        rules = found.setdefault(shares[o.trial], {})
        rules.setdefault(o.trial.rule, {}).setdefault((o.trial.schedule, nearest(o.trial.lr)), []).append(o.loss)
    return tuple(
        Level(share, {rule: {key: fmean(x) for key, x in of.items()} for rule, of in sorted(rules.items())})
        for share, rules in sorted(found.items())
    )


def cliff(outcomes: Iterable[Outcome], rule: str) -> float:
    """The lowest place of the lattice above the good ones at which the longest runs of a rule gained nothing."""
    runs = [o for o in outcomes if o.trial.rule == rule]
    longest = max((o.trial.steps for o in runs), default=0)
    runs = [o for o in runs if 2 * o.trial.steps >= longest]
    good = max((o.trial.lr for o in runs if o.loss < o.start), default=math.inf)
    return _lowest_above(good, [o.trial.lr for o in runs if not o.loss < o.start])


def diverging(outcomes: Iterable[Outcome], rule: str, start: float) -> float:
    """The lowest place of the lattice above the good ones at which a run of a rule diverged, however long it was."""
    runs = [o for o in outcomes if o.trial.rule == rule]
    lowest = min((o.loss for o in outcomes), default=start)
    good = max((o.trial.lr for o in runs if o.loss < start), default=0.0)
    return _lowest_above(good, [o.trial.lr for o in runs if not o.loss - start < start - lowest])


def _lowest_above(good: float, fell: Iterable[float]) -> float:
    """The place of the lowest of the rates that fell above a good one; infinite where none did."""
    return nearest(min(above)) if (above := [lr for lr in fell if lr > good]) else math.inf
