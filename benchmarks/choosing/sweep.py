"""The exhaustive sweep of a task: six rules, nine rates, two schedules, three seeds; and short horizons with six seeds.

A first scan in half decades at an eighth of the steps finds where the rates of a rule lie. Runs are kept at once, so a
sweep that is stopped goes on where it was.
"""

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from statistics import fmean
from time import monotonic

from descend.lab.choosing.lattice import grown, nearest, rate, shortened, trials
from descend.lab.notebook import Notebook
from descend.lab.race.space import usual
from descend.lab.trials.runners.runner import RuleFailed, RunDone
from descend.lab.trials.trial import Run, Trial

RULES = ("adamw", "nadamw", "nesterov_accumulation", "lion", "muon", "adamw+cautious")
SHORT = (1 / 16, 1 / 8, 1 / 4)
SHORT_SEEDS = [0, 1, 2, 3, 4, 5]
FULL_SEEDS = [100, 101, 102]
SCHEDULES = ("linear", "cosine")
SCAN = 1 / 8
NEAR = 0.05  # of what the best has gained: what a thin sweep looks at again


@dataclass(frozen=True)
class Sweep:
    """What a sweep of a task asks for, as far as its runs tell."""

    steps: int
    rules: tuple[str, ...] = RULES
    failed: frozenset[str] = frozenset()
    short: bool = True  # whether the short lengths are swept, too; what is judged needs the full one alone
    thin: bool = False  # at first with one seed, linear; all of it where that is near the best

    def missing(self, runs: dict[Trial, Run]) -> list[Trial]:
        """The trials of the first stage that is not complete; none when the sweep is."""
        rules = [rule for rule in self.rules if rule not in self.failed]
        todo = [trial for rule in rules for trial in self._scan(runs, rule)[1]]
        if todo:
            return todo
        middle = self.middles(runs)
        if self.thin:
            return self._thinly(runs, rules, middle)
        for share, seeds, schedule in [
            *((share, SHORT_SEEDS, "linear") for share in SHORT * self.short),
            *((1.0, FULL_SEEDS, schedule) for schedule in SCHEDULES),
        ]:
            steps = shortened(self.steps, share)
            for rule in rules:
                places = list(range(middle[rule] - 4, middle[rule] + 5))
                todo += _settled(runs, rule, places, seeds, steps, schedule, 15)[1]
            if todo:
                return todo
        return []

    def _thinly(self, runs: dict[Trial, Run], rules: list[str], middle: dict[str, int]) -> list[Trial]:
        """All rates at the full length with the first seed; near the best the others, by both schedules."""
        first, there, todo = FULL_SEEDS[:1], list[tuple[str, int]](), list[Trial]()
        for rule in rules:
            places = list(range(middle[rule] - 4, middle[rule] + 5))
            wider, lacks = _settled(runs, rule, places, first, self.steps, "linear", 15)
            there += [(rule, k) for k in wider]
            todo += lacks
        if todo:
            return todo
        losses = {(rule, k): _loss(runs, rule, k, first, self.steps, "linear") for rule, k in there}
        best = min(losses.values())
        start = runs[Trial(there[0][0], rate(there[0][1]), first[0], self.steps, "linear")].val_loss[0]
        near = [of for of, loss in losses.items() if loss - best <= NEAR * (start - best)]
        every = [t for rule, k in near for s in SCHEDULES for t in trials(rule, [k], FULL_SEEDS, self.steps, s)]
        return [trial for trial in every if trial not in runs]

    def middles(self, runs: dict[Trial, Run]) -> dict[str, int]:
        """Where the best rate of each rule lies in the scan, in places of the lattice."""
        found = {}
        for rule in (rule for rule in self.rules if rule not in self.failed):
            losses = {k: _loss(runs, rule, k, *self._scanned) for k in self._scan(runs, rule)[0]}
            found[rule] = min(losses, key=lambda k: (losses[k], k))
        return found

    @property
    def _scanned(self) -> tuple[list[int], int, str]:
        return SHORT_SEEDS[:1], shortened(self.steps, SCAN), "linear"

    def _scan(self, runs: dict[Trial, Run], rule: str) -> tuple[list[int], list[Trial]]:
        """The places of the scan of a rule, and what it still lacks."""
        return _settled(runs, rule, [_even(rule) + 2 * j for j in range(-3, 4)], *self._scanned, 13)


def sweep(notebook: Notebook, seconds: float, short: bool = True, thin: bool = False) -> Iterator[tuple[int, int]]:
    """Run what is missing of a task's sweep; (runs there are, runs missing of the present stage) after each.

    Ends when the sweep is complete, or after so many seconds.
    """
    end, failed = monotonic() + seconds, set[str]()
    while todo := Sweep(notebook.card.steps, failed=frozenset(failed), short=short, thin=thin).missing(notebook.known):
        left = len(todo)
        with closing(notebook.events(todo)) as events:
            for event in events:
                if isinstance(event, RuleFailed):
                    failed.add(event.rule)
                if isinstance(event, RunDone):
                    left -= 1
                    yield len(notebook.known), left
                    if monotonic() > end:
                        return


def _even(rule: str) -> int:
    from descend import rules

    k = nearest(usual(rule, float(rules.get(rule).settings["lr"])).lr)
    return k + k % 2


def _settled(
    runs: dict[Trial, Run], rule: str, places: list[int], seeds: list[int], steps: int, schedule: str, widest: int
) -> tuple[list[int], list[Trial]]:
    """The places that a stage needs, and the trials among them that are not there yet."""
    while True:
        lacks = [t for t in trials(rule, places, seeds, steps, schedule) if t not in runs]
        if lacks:
            return places, lacks
        wider = grown(places, lambda k: _loss(runs, rule, k, seeds, steps, schedule), 2, widest)
        if wider == places:
            return places, []
        places = wider


def _loss(runs: dict[Trial, Run], rule: str, k: int, seeds: list[int], steps: int, schedule: str) -> float:
    losses = [runs[Trial(rule, rate(k), seed, steps, schedule)].loss for seed in seeds]
    return fmean(losses) if all(math.isfinite(x) for x in losses) else math.inf
