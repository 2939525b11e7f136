"""Every two rules, once the verdict against the leader is in: who is better, who is equal.

Of pairs with the leader the verdict is known. All others are a family of their own, with the false coverage rate kept
at 5 %: of the verdicts given, at most a twentieth is expected to be wrong (Benjamini & Yekutieli 2005, "False discovery
rate-adjusted multiple confidence intervals for selected parameters"). So where R of m pairs are decided, intervals have
the level 1 - 5 % R/m: nearly that of one interval where most are decided, that of Bonferroni where few are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from .sequential import LEVEL, Interval
from .standing import BEHIND, BETTER, LEADER, UNDECIDED, Standings, compare

TURNED = {BETTER: BEHIND, BEHIND: BETTER}


@dataclass(frozen=True)
class Pair:
    """The first rule against the second, on the seeds both have; as `Standing`, without ranks."""

    standing: str
    n: int
    interval: Interval | None
    scale: float
    log: bool = False

    @property
    def relative(self) -> tuple[float, float, float] | None:
        """Mean, low and high of the difference as shares of the second rule's loss; None where a run diverged."""
        return None if self.interval is None else self.interval.relative(self.scale, self.log)

    @property
    def turned(self) -> str:
        """What the second is against the first."""
        return TURNED.get(self.standing, self.standing)


def against_leader(standings: Standings | None) -> dict[tuple[str, str], Pair]:
    """What the standings say of pairs with the leader: each rule against it."""
    if standings is None or standings.leader is None:
        return {}
    return {
        (row.name, standings.leader): Pair(row.standing, row.n, row.interval, row.scale, row.log)
        for row in standings.rows
        if row.standing != LEADER
    }


@dataclass(frozen=True)
class Judge:
    """Judges pairs of rules. `known` are verdicts that stand, of either order of the two."""

    plan: tuple[int, ...]
    delta: float
    log: bool
    doubts: Mapping[str, float]
    known: Mapping[tuple[str, str], Pair]

    def of(self, losses: Mapping[str, Sequence[float]]) -> dict[tuple[str, str], Pair]:
        """Every two rules, by their losses on fresh seeds, the same seeds in the same order; the known ones first."""
        values = {rule: tuple(some) for rule, some in losses.items()}
        asked = [(a, b) for a, b in combinations(losses, 2) if (a, b) not in self.known and (b, a) not in self.known]
        decided = len(asked)
        found: dict[tuple[str, str], Pair] = {}
        while True:  # the largest number that agrees with itself, from above
            alpha = (1 - LEVEL) * max(decided, 1) / max(len(asked), 1)
            found = {
                (a, b): judged(
                    values[a], values[b], self.plan, alpha, self.delta, self.log,
                    (self.doubts.get(a, 0.0), self.doubts.get(b, 0.0)),
                )
                for a, b in asked
            }  # fmt: skip
            again = sum(pair.standing != UNDECIDED for pair in found.values())
            if again >= decided or again == 0:
                return {**self.known, **found}
            decided = again


@lru_cache(8192)
def judged(
    mine: tuple[float, ...],
    theirs: tuple[float, ...],
    plan: tuple[int, ...],
    alpha: float,
    delta: float,
    log: bool,
    doubts: tuple[float, float],
) -> Pair:
    """The verdict of the first look that decides, else that of the last."""
    least = min(len(mine), len(theirs))
    found = Pair(UNDECIDED, least, None, 1.0)
    for n in plan:
        if n > least:
            break
        said, between, scale = compare(mine[:n], theirs[:n], plan, alpha, delta, log, doubts)
        found = Pair(said, n, between, scale, log and min(*mine[:n], *theirs[:n]) > 0)
        if said != UNDECIDED:
            break
    return found
