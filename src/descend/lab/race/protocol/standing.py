"""Who is better, who is equal: every rule against the leader, by intervals of paired differences.

A difference within ±delta of the leader's loss does not matter: a rule whose whole interval lies there is *equal*. One
whose interval lies above 0 is *behind*; the rest are *undecided*. The leader is the rule with the lowest mean of those
that went on longest. Each interval has the level 1 − 5 %/(rules − 1), so that with 95 % confidence the best rule is
among those not behind (Hsu 1984, multiple comparisons with the best; Bonferroni).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

from .sequential import LEVEL, Interval, interval

LEADER, EQUAL, BEHIND, BETTER, UNDECIDED = "leader", "equal", "behind", "better", "undecided"


@dataclass(frozen=True)
class Standing:
    """One rule against the leader (or the rule all are held against). No interval: the leader itself, or divergence.

    The interval is in units of the loss, positive where the rule's loss is higher; `scale` is the leader's mean loss on
    the same seeds, which `relative` divides by. Where losses spread over decades (`log`) it is of their logarithms.
    """

    name: str
    rank: int
    mean: float  # over the runs that did not diverge
    standing: str
    diverged: int
    n: int  # fresh seeds it ran on
    interval: Interval | None = None
    scale: float = 1.0
    log: bool = False

    @property
    def relative(self) -> tuple[float, float, float]:
        """Mean, low and high of the difference as shares of the leader's loss."""
        if self.interval is None:
            return (0.0, 0.0, 0.0)
        return self.interval.relative(self.scale, self.log)


@dataclass(frozen=True)
class Standings:
    """All rules after a look, by rank."""

    rows: tuple[Standing, ...]
    leader: str | None

    def of(self, rule: str) -> Standing:
        return next(row for row in self.rows if row.name == rule)

    def still_open(self) -> set[str]:
        """The rules that go on after this look: the undecided ones and the one they are held against."""
        open_ = {row.name for row in self.rows if row.standing == UNDECIDED}
        return open_ | {self.leader} if open_ and self.leader is not None else set()


def compare(
    rule: Sequence[float],
    other: Sequence[float],
    plan: tuple[int, ...],
    alpha: float,
    delta: float,
    log: bool = False,
    doubts: tuple[float, float] = (0.0, 0.0),
) -> tuple[str, Interval | None, float]:
    """A rule against another on the seeds both have: the verdict, its interval, and the other's mean loss there.

    Two are equal at the rates that were chosen. To be better or behind, a rule must be so by more than the choice of
    the rates explains: `doubts` are what that may have cost either, as shares of its loss (standard deviations). A
    diverged run is an infinite loss: who has more of them is behind.
    """
    n = min(len(rule), len(other))
    mine, theirs = rule[:n], other[:n]
    lost = [sum(not math.isfinite(x) for x in values) for values in (mine, theirs)]
    if any(lost):
        return (BEHIND if lost[0] > lost[1] else BETTER if lost[0] < lost[1] else UNDECIDED), None, 1.0
    log = log and min(*mine, *theirs) > 0
    if log:
        mine, theirs = ([math.log(x) for x in values] for values in (mine, theirs))
    scale = 1.0 if log else abs(fmean(theirs)) or 1.0
    found = interval([a - b for a, b in zip(mine, theirs, strict=True)], plan, alpha)
    room = math.log1p(delta) if log else delta * scale
    if -room <= found.low and found.high <= room:
        return EQUAL, found, scale
    sizes = (1.0, 1.0) if log else (abs(fmean(mine)), scale)
    costs = [math.log1p(doubt) if log else doubt * size for doubt, size in zip(doubts, sizes, strict=True)]
    found = found.widened(NormalDist().inv_cdf(1 - alpha / 2) * math.hypot(*costs))
    if found.low > 0:
        return BEHIND, found, scale
    if found.high < 0:
        return BETTER, found, scale
    return UNDECIDED, found, scale


def standings_of(
    losses: Mapping[str, Sequence[float]],
    plan: tuple[int, ...],
    delta: float,
    against: str = "",
    log: bool = False,
    doubts: Mapping[str, float] | None = None,
) -> Standings:
    """All rules against the leader, or against one rule: `losses` by fresh seed, the same seeds in the same order.

    `doubts` as of `compare`, by rule.
    Ranks: the leader, its equals and the undecided are 1, the rest count on from there.
    """
    most = max(map(len, losses.values()))
    diverged = {name: sum(not math.isfinite(x) for x in values) for name, values in losses.items()}
    log = log and all(x > 0 for values in losses.values() for x in values)
    means = {name: middle([x for x in values if math.isfinite(x)], log) for name, values in losses.items()}
    order = sorted(losses, key=lambda name: (diverged[name], means[name]))
    going_on = [name for name in order if len(losses[name]) == most]
    leader = against if against in losses else going_on[0]
    if diverged[leader] and not against:
        lost = [
            Standing(name, k, means[name], BEHIND, diverged[name], len(losses[name])) for k, name in enumerate(order, 1)
        ]
        return Standings(tuple(lost), None)
    alpha = (1 - LEVEL) / max(1, len(losses) - 1)
    doubt = {name: (doubts or {}).get(name, 0.0) for name in losses}
    found = {
        name: compare(losses[name], losses[leader], plan, alpha, delta, log, (doubt[name], doubt[leader]))
        for name in order
        if name != leader
    }
    if not against:  # nobody is better than the leader: who seems to be ran on fewer seeds, and goes on
        found = {name: (UNDECIDED if said == BETTER else said, i, x) for name, (said, i, x) in found.items()}
    turn = {BETTER: 0, LEADER: 1, EQUAL: 1, UNDECIDED: 1, BEHIND: 2}
    said = {leader: LEADER, **{name: verdict for name, (verdict, *_) in found.items()}}
    order.sort(key=lambda name: (turn[said[name]], name != leader, order_key(name, found)))
    rows = []
    for position, name in enumerate(order, 1):
        rank = position if said[name] == BEHIND else 1
        _, between, scale = found.get(name, ("", None, 1.0))
        rows.append(
            Standing(name, rank, means[name], said[name], diverged[name], len(losses[name]), between, scale, log)
        )
    return Standings(tuple(rows), leader)


def order_key(name: str, found: Mapping[str, tuple]) -> float:
    between = found[name][1] if name in found else None
    return between.mean if between else math.inf if name in found else 0.0


def middle(losses: Sequence[float], log: bool = False) -> float:
    """The mean, or the geometric mean; infinite where there is nothing."""
    if not losses or not all(map(math.isfinite, losses)):
        return math.inf
    return math.exp(fmean(map(math.log, losses))) if log and min(losses) > 0 else fmean(losses)
