"""What to try next, and what follows from it: short runs, each annealed to zero, twice as long for those that stay.

Un-annealed curves rank rules wrongly, for ranks flip while the rate falls (Wen et al. 2025, arXiv:2509.02046); runs
that are annealed themselves rank like long ones far earlier. So every run here is a whole training of fewer steps. A
level tries every rule that is left at some rates of the lattice; then the length doubles, rules go, and rates draw
closer. All runs of a level share their seeds, so what makes a seed easy cancels.

This file knows losses alone: it trains nothing, and is the same for a task of the lab and for a model of yours.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..trials.trial import Trial
from .candidates import prior
from .lattice import grown, nearest, rate
from .reading import Valley, extrapolated, valley

SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # of the horizon: the lengths of runs
BEGIN = 1 / 16  # the first of them, where the budget allows
FEWEST = 16  # steps of the shortest run: below, a schedule means nothing
WIDE, CLOSE, NARROW = (-4, -2, 0, 2, 4), (-2, -1, 0, 1, 2), (-1, 0, 1)  # quarter decades around the expected rate
WIDEST = 12  # rates of a level, when its best keeps lying at an end
KEPT = (4, 2, 2, 2, 2, 2, 2)  # rules that stay after each level
HOPELESS = 0.3  # of what the best has gained: a rule that is so far behind goes at once
TOLD = 2  # levels of short runs that tell the rates, where the budget has ENOUGH runs of the full length to follow
ENOUGH = 3
MOST_SEEDS = 3
ROOM = 0.4  # of what is left, for a level that others may follow
CHEAP = 1.1  # steps that cost less than so many times the first rule's count as equally cheap
LATE = 1.3  # times what runs of half the length have gained: the loss falls late
OTHER = "cosine"  # tried beside linear at the end


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: its final loss (infinite if it diverged), the loss before any step, seconds of a step."""

    trial: Trial
    loss: float
    start: float
    step_s: float


def cliff(outcomes: Iterable[Outcome], rule: str) -> float:
    """The lowest place of the lattice above the good ones at which the longest runs of a rule gained nothing."""
    runs = [o for o in outcomes if o.trial.rule == rule]
    longest = max((o.trial.steps for o in runs), default=0)
    runs = [o for o in runs if 2 * o.trial.steps >= longest]
    good = max((o.trial.lr for o in runs if o.loss < o.start), default=math.inf)
    fell = [o.trial.lr for o in runs if not o.loss < o.start and o.trial.lr > good]
    return nearest(min(fell)) if fell else math.inf


class TooLittle(ValueError):
    """A budget that is not enough for one rule at a few rates; it says how much would be."""

    def __init__(self, budget: float, needed: float) -> None:
        times = needed / budget
        digit = 10 ** (math.floor(math.log10(times)) - 1)  # the second: rounded up, or it would not be enough
        super().__init__(
            f"the budget is {budget:.2g} of the training that is chosen for; the shortest runs of one rule take "
            f"{needed:.2g}: give {digit * math.ceil(times / digit):.2g} times as much"
        )


@dataclass(frozen=True)
class Asked:
    """What is to be chosen, for how long a training, within which budget.

    Args:
        rules: their names; the first is the one whose steps the horizon counts.
        horizon: steps of the training that is chosen for.
        runs: what may be spent, in trainings of that length.
        seconds: what may be spent, in seconds of training; the smaller of both holds.
        seed: of the trials.
        by_seconds: whether a rule whose steps cost more gets fewer of them. False: all get the same.
        shortest: of the lengths of runs, as a share of the horizon.
    """

    rules: tuple[str, ...]
    horizon: int
    runs: float = math.inf
    seconds: float = math.inf
    seed: int = 0
    by_seconds: bool = True
    shortest: float = SHARES[0]

    def seeds(self, count: int) -> list[int]:
        return [1000 * self.seed + k for k in range(count)]

    def fitted(self, step_s: float) -> "Asked":
        """The same; where the time is too little for two rules at all first rates, with shorter runs.

        Args:
            step_s: about the seconds that a step takes.
        """
        share = self.shortest
        needed = 2 * len(WIDE) * step_s * self.horizon
        while share * needed > self.seconds and round(share * self.horizon / 2) >= FEWEST:
            share /= 2
        return replace(self, shortest=share)

    @property
    def lengths(self) -> list[float]:
        """The shares of the horizon that are long enough for a schedule: of a short training not the smallest."""
        shares = [self.shortest]
        while shares[-1] < SHARES[0]:
            shares.append(2 * shares[-1])
        return [share for share in (*shares, *SHARES[1:]) if round(share * self.horizon) >= FEWEST] or [1.0]


def a_first_level(rules: int, horizon: int) -> float:
    """What so many rules cost at all their first rates, in trainings."""
    return rules * len(WIDE) * Asked((), horizon).lengths[0]


@dataclass(frozen=True)
class Level:
    """What runs of one length said: a valley for each rule."""

    share: float
    seeds: int
    valleys: Mapping[str, Valley]

    @property
    def ranked(self) -> list[str]:
        return sorted(self.valleys, key=lambda rule: self.valleys[rule].loss)


@dataclass
class Choosing:
    """A choice on its way: ask for what is `missing()`, `take` what came of it, until nothing is missing."""

    asked: Asked
    seen: dict[Trial, Outcome] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    levels: list[Level] = field(default_factory=list)  # the complete ones
    again: Level | None = None  # the best rule once more, with another seed
    other: tuple[float, float] | None = None  # the winner's loss by each schedule, on the same seeds
    over: bool = False  # nothing more will come: a level that is not complete is read as far as it is
    late: str = ""  # why it ended before its last level
    interrupted: bool = False

    def take(self, outcome: Outcome) -> None:
        """Keep what came of a trial."""
        self.seen[outcome.trial] = outcome

    def fail(self, rule: str, reason: str) -> None:
        """A rule that stopped with an exception is out."""
        self.failed[rule] = reason

    def hurry(self, runs: float) -> None:
        """The clock has time for so many more runs like the first: the budget, where it is too little for all rules.

        A machine that is busy takes longer than its steps usually do.
        """
        if runs < len(WIDE) * len(self.rules):
            trainings = self.spent + runs * self.asked.lengths[0]
            self.asked = replace(self.asked, seconds=trainings * self._unit() * self.asked.horizon)

    @property
    def rules(self) -> list[str]:
        return [rule for rule in self.asked.rules if rule not in self.failed]

    @property
    def start(self) -> float:
        """The loss before any step, mean over the trials."""
        starts = [o.start for o in self.seen.values() if math.isfinite(o.start)]
        return sum(starts) / len(starts) if starts else math.nan

    @property
    def falls_late(self) -> bool:
        """Whether short runs mislead: when they got twice as long, the loss fell by a third more, or further.

        As it does behind a saddle or a plateau. Where it falls at once, it is an eighth at most (docs/choose.md).
        """
        gained = [self.start - level.valleys[level.ranked[0]].loss for level in self.levels if level.share < 1]
        return any(b > LATE * max(a, 0.0) for a, b in itertools.pairwise(gained))

    @property
    def spent(self) -> float:
        """In trainings of the horizon's length."""
        return sum(self._cost(trial) for trial in self.seen)

    @property
    def budget(self) -> float:
        """In trainings of the horizon's length; infinite while no step was timed."""
        step = self._unit()
        return min(self.asked.runs, self.asked.seconds / (step * self.asked.horizon) if step else math.inf)

    def missing(self) -> list[Trial]:
        """What to run next, all of which may run at the same time; nothing when the choice is made.

        Raises:
            RuntimeError: every rule has failed.
        """
        if not self.rules:
            raise RuntimeError(
                "every rule has stopped with an error: " + "; ".join(dict.fromkeys(self.failed.values()))
            )
        self.levels, self.again, self.other = [], None, None
        for wanted in self._stages():
            lacks = [t for t in wanted if t not in self.seen and t.rule not in self.failed]
            if lacks and not self.over:
                return lacks
        return []

    def end(self) -> None:
        """Read what there is: the time is over."""
        self.over = True
        self.missing()

    def interrupt(self) -> None:
        """Read what there is, for the user has pressed Ctrl-C; that goes on where there is nothing to answer with."""
        self.late, self.interrupted = "interrupted: longer runs were still to come", True
        self.end()
        if not self.levels:
            raise KeyboardInterrupt

    def price(self, rule: str) -> float:
        """What a step of a rule costs, in steps of the first rule; 1 where it is close to that, or less.

        A cheaper rule gets no more steps than were asked for. By powers of the fourth root of two, so that a
        disturbance of a few per cent changes no run.
        """
        mine, first = self.step_s(rule), self._unit()
        if not self.asked.by_seconds or not mine or not first:
            return 1.0
        return 1.0 if mine / first < CHEAP else 2 ** (round(4 * math.log2(mine / first)) / 4)

    def steps(self, rule: str, share: float = 1.0) -> int:
        """How long a run of a rule is at a share of the horizon: as many seconds for all."""
        return max(FEWEST, round(share * self.asked.horizon / self.price(rule)))

    def step_s(self, rule: str) -> float:
        """Seconds of a training step of a rule; 0 while none was timed."""
        seen = self.seen.get(self._first(rule))
        return seen.step_s if seen else 0.0

    def _unit(self) -> float:
        """Seconds of a step of the first rule that has not failed; 0 where all have, or while none was timed."""
        return next((self.step_s(rule) for rule in self.rules), 0.0)

    def _first(self, rule: str) -> Trial:
        """The run that tells what a step of a rule costs."""
        steps = max(FEWEST, round(self.asked.lengths[0] * self.asked.horizon))
        return Trial(rule, rate(nearest(prior(rule))), self.asked.seeds(1)[0], steps)

    def _cost(self, trial: Trial) -> float:
        return trial.steps * self.price(trial.rule) / self.asked.horizon

    def _stages(self) -> Iterator[list[Trial]]:
        """What is wanted, stage after stage; each is asked for only when all before it is there."""
        fewest = len(WIDE) * self.asked.lengths[0]
        if self.asked.runs < fewest:  # known before a step is timed
            raise TooLittle(self.asked.runs, fewest)
        left, begin = self.budget, self._begin()
        if left < len(NARROW) * begin:
            raise TooLittle(left, len(WIDE) * begin)
        rules = self.rules if left == math.inf else self.rules[: max(1, int(left / (len(WIDE) * begin)))]
        middle = {rule: nearest(prior(rule)) for rule in rules}
        yield [self._first(rule) for rule in rules]
        if left == math.inf:  # the time was over before one step was timed
            return
        for share in [s for s in self.asked.lengths if s == begin or begin < s < 1]:
            number = len(self.levels)
            if number >= TOLD and left >= ENOUGH:  # short runs have told the rates; rules are told by long ones
                break
            offsets = (WIDE, CLOSE)[number] if number < TOLD else NARROW
            if number == 0 and left < len(WIDE) * share:
                offsets = WIDE[1:-1]
            each = len(rules) * len(offsets) * share
            seeds = min(MOST_SEEDS, max(0, int(left * ROOM / each)))
            if number == 0:
                seeds = min(max(seeds, 1), 2)
            elif seeds == 0 and len(rules) * len(NARROW) * share <= left:
                offsets, seeds = NARROW, 1
            elif seeds == 0:
                break
            places = {rule: [middle[rule] + offset for offset in offsets] for rule in rules}
            while True:
                wanted = [t for rule in rules for t in self._trials(rule, places[rule], seeds, share)]
                yield sorted(wanted, key=lambda t: (t.seed, abs(nearest(t.lr) - middle[t.rule])))
                rules = [rule for rule in rules if rule not in self.failed]
                if any(t not in self.seen for t in wanted if t.rule in rules):
                    self._read_part(rules, places, share)
                    return
                wider = {rule: self._grown(rule, places[rule], seeds, share) for rule in rules}
                cost = share * seeds * sum(len(of) for of in wider.values())
                if wider == {rule: places[rule] for rule in rules} or cost > left:
                    break
                places = wider
            left -= sum(self._cost(t) for t in wanted if t.rule in rules)
            level = self._level(rules, places, seeds, share)
            self.levels.append(level)
            rules = self._kept(level, max(KEPT[number], int((left - 1) / len(NARROW))))
            if not rules:
                return
            if self.falls_late and left >= ENOUGH:  # nor is their order to be trusted: none is dropped by it
                rules = sorted(self.rules, key=self._rank)
                break
            middle = {rule: level.valleys[rule].middle for rule in rules}
        if self.levels and self.levels[-1].share < 1 and left >= 1:
            left = yield from self._ends(rules, left)
        if not self.levels:
            return
        last, winner = self.levels[-1], self.levels[-1].ranked[0]
        place, steps = last.valleys[winner].best, self.steps(winner, last.share)
        twice = [[Trial(winner, rate(place), seed, steps, schedule) for seed in self.asked.seeds(last.seeds)]
                 for schedule in ("linear", OTHER)]  # fmt: skip
        if last.seeds * last.share <= max(left, 0.0) or self.budget == math.inf:
            yield twice[1]
            if any(t not in self.seen for t in twice[1]):
                return
            a, b = (sum(self.seen[t].loss for t in of) / len(of) for of in twice)
            self.other = (a, b)

    def _ends(self, rules: list[str], left: float) -> Iterator[list[Trial]]:
        """Runs of the full length: each rule at the rate that is expected for it, then beside the best of them.

        Where the budget allows, the best rule has another seed near its best rate: it was chosen as the lowest of many
        on the first. Returns what is left of the budget.
        """
        seeds = 1 if self.falls_late else min(MOST_SEEDS, max(1, int(left / (len(NARROW) * len(rules)))))
        rules = rules[: int(left / seeds)]
        again = len(NARROW) if seeds == 1 and left >= len(rules) + 2 * len(NARROW) else 0
        places = {rule: [self._ahead(rule)] for rule in rules}
        while True:
            wanted = [t for rule in rules for t in self._trials(rule, places[rule], seeds, 1.0)]
            yield sorted(wanted, key=lambda t: t.seed)
            rules = [rule for rule in rules if rule not in self.failed]
            if not rules or any(t not in self.seen for t in wanted if t.rule in rules):
                self._read_part(rules, places, 1.0)
                return left
            level = self._level(rules, places, seeds, 1.0)
            room = left - sum(self._cost(t) for t in wanted if t.rule in rules)
            more = self._beside(level, places, int((room - again) / seeds + 1e-9))
            if more:
                for rule, place in more:
                    places[rule] = sorted([*places[rule], place])
                continue
            self.levels.append(level)
            if not again:
                return room
            break
        winner = level.ranked[0]
        near = [k for k in places[winner] if abs(k - level.valleys[winner].best) <= 1]
        wanted = self._trials(winner, near, 2, 1.0)
        yield wanted
        if all(t in self.seen for t in wanted):
            self.again = self._level([winner], {winner: near}, 2, 1.0)
            room -= len(near)
        return room

    def _beside(self, level: Level, places: dict[str, list[int]], room: int) -> list[tuple[str, int]]:
        """The next rates of the best rule whose best has not been tried from both sides; as many as there is room for.

        Where short runs do not tell where the best rates are, in steps of half a decade first, for every rule.
        """
        for step in (2, 1)[not self.falls_late :]:
            for rule in level.ranked:
                best, tried = level.valleys[rule].best, places[rule]
                open_to = [side for side in (-1, 1) if not {best + side * k for k in range(1, step + 1)} & set(tried)]
                if open_to:
                    return [(rule, best + side * step) for side in open_to][: max(room, 0)]
        return []

    def _rank(self, rule: str) -> tuple[float, float]:
        """Where a rule stood in the longest runs that it had, those with longer ones first."""
        level = max((of for of in self.levels if rule in of.valleys), key=lambda of: of.share, default=None)
        return (0.0, 0.0) if level is None else (-level.share, level.valleys[rule].loss)

    def _level(self, rules: list[str], places: dict[str, list[int]], seeds: int, share: float) -> Level:
        return Level(share, seeds, {rule: valley(self._losses(rule, places[rule], seeds, share)) for rule in rules})

    def _ahead(self, rule: str) -> int:
        """Where the best rate of a rule is expected in runs of the full length."""
        levels = [level for level in self.levels if rule in level.valleys]
        return round(extrapolated([level.valleys[rule].place for level in levels], [level.share for level in levels]))

    def _read_part(self, rules: list[str], places: dict[str, list[int]], share: float) -> None:
        """A level in which runs are missing: its rates that have a run on the first seed, if they say anything new.

        One rate says something of a rule where there is nothing else, and at the full length.
        """
        there = {r: {k: of for k in places[r] if (of := self._seen(r, k, share))} for r in rules}
        least = 2 if self.levels and share < 1 else 1
        valleys = {rule: valley(of) for rule, of in there.items() if len(of) >= least}
        if not self.levels and sum(map(len, there.values())) <= len(rules):  # hardly more than what a step costs
            return
        if valleys and (not self.levels or set(self.levels[-1].ranked[:1]) <= set(valleys)):
            self.levels.append(Level(share, 1, valleys))

    def _seen(self, rule: str, place: int, share: float) -> list[float]:
        run = self._trials(rule, [place], 1, share)[0]
        return [self.seen[run].loss] if run in self.seen else []

    def _begin(self) -> float:
        """The shortest length: a sixteenth, or what the first level can have for its part of the budget."""
        first = len(self.rules) * len(WIDE)
        fits = [s for s in self.asked.lengths if s <= BEGIN and s * first <= ROOM * self.budget]
        return max([self.asked.lengths[0], *fits])

    def _trials(self, rule: str, places: list[int], seeds: int, share: float) -> list[Trial]:
        steps = self.steps(rule, share)
        return [Trial(rule, rate(k), seed, steps) for k in places for seed in self.asked.seeds(seeds)]

    def _losses(self, rule: str, places: list[int], seeds: int, share: float) -> dict[int, list[float]]:
        return {k: [self.seen[t].loss for t in self._trials(rule, [k], seeds, share)] for k in places}

    def _grown(self, rule: str, places: list[int], seeds: int, share: float) -> list[int]:
        """The places of a rule, with more of them at the end where its best lies."""
        losses = self._losses(rule, places, seeds, share)
        return grown(places, lambda k: sum(losses[k]), 2, WIDEST)

    def _kept(self, level: Level, most: int) -> list[str]:
        """The rules that go on: the best few, without those that are far behind the best."""
        best = level.valleys[level.ranked[0]].loss
        gained = self.start - best
        if not math.isfinite(best):
            return []
        close = [r for r in level.ranked if level.valleys[r].loss - best <= HOPELESS * max(gained, 0.0)]
        return (close or level.ranked[:1])[:most]
