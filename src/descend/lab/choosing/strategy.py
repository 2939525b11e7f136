"""What to try next: short runs of every rule, each annealed to zero, then whatever tells most of the end.

Un-annealed curves rank rules wrongly, for ranks flip while the rate falls (Wen et al. 2025, arXiv:2509.02046); runs
that are annealed themselves rank like long ones far earlier. So every run here is a whole training of fewer steps.
Every rule is tried at a few rates in the shortest runs; from then on a belief about the end of the training says which
runs are worth most for what they cost, of which rule, at which rate, how long. All runs of a length share their seeds,
so what makes a seed easy cancels.

This file knows losses alone: it trains nothing, and is the same for a task of the lab and for a model of yours.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ..trials.trial import Trial
from .belief import Belief, Try
from .candidates import prior
from .lattice import nearest, rate
from .outcomes import Level, Outcome, levels

SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # of the horizon: the lengths of runs
BEGIN = 1 / 16  # the first of them, where the budget allows
FEWEST = 16  # steps of the shortest run: below, a schedule means nothing
WIDE, NARROW = (-4, -2, 0, 2, 4), (-2, 0, 2)  # quarter decades around the expected rate: the first runs
STRIDE, FARTHEST = 2, 12  # places beyond an end at which a rule was best; the farthest from the expected rate
ROOM = 0.4  # of the budget, for the first runs of all rules
CHEAP = 1.1  # steps that cost less than so many times the first rule's count as equally cheap
EVERY = 3.3  # trainings for each rule: a budget from which on each has a run of the full length, whatever is believed
ENOUGH = 400  # runs after which nothing is left to learn
QUARTERS = 4  # of a doubling: lengths that differ by less are one


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

    @property
    def first_seed(self) -> int:
        return 1000 * self.seed

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


@dataclass
class Choosing:
    """A choice on its way: ask for what is `missing()`, `take` what came of it, until nothing is missing."""

    asked: Asked
    seen: dict[Trial, Outcome] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    over: bool = False  # nothing more will come
    late: str = ""  # why it ended before its budget was spent
    timed_out: bool = False  # by the clock, which often comes first where the budget is in seconds
    interrupted: bool = False
    wanted: list[Trial] = field(default_factory=list)  # what tells most, and may be on its way

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
        if self.over:
            return []
        for wanted in (self.wanted, *self._begun()):
            if lacks := self._lacking(wanted):
                return lacks
        self.wanted = self._told_most()
        return self._lacking(self.wanted)

    def _lacking(self, wanted: Iterable[Trial]) -> list[Trial]:
        return [t for t in wanted if t not in self.seen and t.rule not in self.failed]

    def end(self) -> None:
        """Read what there is: the time is over."""
        self.over = True

    def interrupt(self) -> None:
        """Read what there is, for the user has pressed Ctrl-C; that goes on where there is nothing to answer with."""
        self.late, self.interrupted = "interrupted: longer runs were still to come", True
        self.end()
        if not self.answerable:
            raise KeyboardInterrupt

    @property
    def answerable(self) -> bool:
        """Whether there is more than one run of each rule, which says what a step costs and hardly anything else."""
        tried = [t for t in self.seen if t.rule in self.rules]
        return len(tried) > len({t.rule for t in tried})

    @property
    def levels(self) -> tuple[Level, ...]:
        """The runs by their lengths, the shortest first."""
        return levels(self._outcomes, self._shares)

    def belief(self) -> Belief:
        """What the runs say of the end of the training."""
        asked = self.asked
        return Belief(self.rules, self._outcomes, self._shares, asked.first_seed, self.start, asked.horizon)

    @property
    def _outcomes(self) -> list[Outcome]:
        return [self.seen[trial] for trial in sorted(self.seen) if trial.rule in self.rules]

    @property
    def _shares(self) -> dict[Trial, float]:
        """How long the runs were, of what the horizon costs; but for the rounding of steps."""
        return {t: 2 ** (round(QUARTERS * math.log2(self._cost(t))) / QUARTERS) for t in self.seen}

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
        return Trial(rule, rate(nearest(prior(rule))), self.asked.first_seed, steps)

    def _cost(self, trial: Trial) -> float:
        return trial.steps * self.price(trial.rule) / self.asked.horizon

    def _begun(self) -> Iterator[list[Trial]]:
        """What times a step of each rule, the first runs of those that the budget is enough for, the best again."""
        fewest = len(WIDE) * self.asked.lengths[0]
        if self.asked.runs < fewest:  # known before a step is timed
            raise TooLittle(self.asked.runs, fewest)
        rules = self._affordable
        yield [self._first(rule) for rule in rules]
        places = WIDE if self.budget >= len(WIDE) * self._begin else NARROW
        first = [Try(r, nearest(prior(r)) + k, self._begin, 0, "linear") for k in places for r in rules]
        if self.budget == math.inf:  # the time was over before one step was timed
            return
        yield sorted(map(self._trial, first), key=lambda t: abs(nearest(t.lr) - nearest(prior(t.rule))))
        while wider := [t for r in rules if (t := self._beyond(r, first)) is not None]:
            if len(first) + len(wider) > ROOM * self.budget / self._begin:
                break
            first += wider
            yield [self._trial(t) for t in wider]
        if self.budget >= (len(WIDE) + 1) * len(rules) * self._begin:
            yield [self._trial(Try(r, self._best_of(r, first), self._begin, 1, "linear")) for r in rules]

    def _beyond(self, rule: str, tried: Iterable[Try]) -> Try | None:
        """The next rate of a rule whose best so far is at an end of those that were tried; None where it is not."""
        places = sorted(t.place for t in tried if t.rule == rule)
        best, steps = self._best_of(rule, tried), self.steps(rule, self._begin)
        moved = any(o.loss < o.start for t, o in self.seen.items() if t.rule == rule and t.steps == steps)
        if not moved or best == places[0]:
            place = places[0] - (STRIDE if moved else 2 * STRIDE)
        elif best == places[-1]:
            place = places[-1] + STRIDE
        else:
            return None
        if rule in self.failed or abs(place - nearest(prior(rule))) > FARTHEST:
            return None
        return Try(rule, place, self._begin, 0, "linear")

    def _best_of(self, rule: str, tried: Iterable[Try]) -> int:
        """The place at which a rule did best; it is tried with another seed, to see how much luck there is."""
        losses = {
            t.place: self.seen[trial].loss for t in tried if t.rule == rule and (trial := self._trial(t)) in self.seen
        }
        return min(losses, key=lambda place: (losses[place], place), default=nearest(prior(rule)))

    def _told_most(self) -> list[Trial]:
        """What is worth most of what is left of the budget; nothing where no run moved the loss."""
        moved = any(o.loss < o.start for o in self._outcomes)
        if not moved or len(self.seen) >= ENOUGH or self.budget == math.inf:
            return []
        belief, rules = self.belief(), self._affordable
        if self.budget >= EVERY * len(rules):
            whole = {t.rule for t, share in self._shares.items() if share >= 1}
            last = [Try(r, round(of.place), 1.0, 0, "linear") for r, of in belief.at_end().items() if r not in whole]
            if last := [t for t in last if t.rule in rules]:
                return [self._trial(t) for t in last]
        lengths = {rule: self._lengths(rule) for rule in rules}
        return [self._trial(t) for t in belief.next(self.budget - self.spent, lengths, self.spent)]

    @property
    def _affordable(self) -> list[str]:
        """The rules that the budget is enough for, all while no step was timed.

        Raises:
            TooLittle: for not even one.
        """
        budget, begin = self.budget, self._begin
        if budget < len(NARROW) * begin:
            raise TooLittle(budget, len(WIDE) * begin)
        return self.rules if budget == math.inf else self.rules[: max(1, int(budget / (len(WIDE) * begin)))]

    @property
    def _begin(self) -> float:
        """The shortest length: a sixteenth, or what the first runs can have for their part of the budget."""
        first = len(self.rules) * len(WIDE)
        fits = [s for s in self.asked.lengths if s <= BEGIN and s * first <= ROOM * self.budget]
        return max([self.asked.lengths[0], *fits])

    def _lengths(self, rule: str) -> list[float]:
        """The lengths of a rule, from the first runs on, that are long enough for a schedule at what its steps cost."""
        fewest = (FEWEST - 0.5) * self.price(rule) / self.asked.horizon
        return [share for share in self.asked.lengths if share >= max(self._begin, fewest)] or [1.0]

    def _trial(self, wanted: Try) -> Trial:
        seed = self.asked.first_seed + wanted.seed
        return Trial(wanted.rule, rate(wanted.place), seed, self.steps(wanted.rule, wanted.share), wanted.schedule)
