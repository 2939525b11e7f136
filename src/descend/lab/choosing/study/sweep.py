"""The exhaustive sweep of a task: six rules, nine rates, two schedules, three seeds; and short horizons with six seeds.

A first scan in half decades at an eighth of the steps finds where the rates of a rule lie. Runs are kept at once in the
study's own store, so a sweep that is stopped goes on where it was.
"""

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import monotonic

from ...race.space import usual
from ...store import Store
from ...tasks.source import Source
from ...trials.trial import Run, Trial
from ...trials.workers import RuleFailed, RunDone, Workers
from ..lattice import grown, nearest, rate, shortened, trials

RULES = ("adamw", "nadamw", "nesterov_accumulation", "lion", "muon", "adamw+cautious")
SHORT = (1 / 16, 1 / 8, 1 / 4)
SHORT_SEEDS = [0, 1, 2, 3, 4, 5]
FULL_SEEDS = [100, 101, 102]
SCHEDULES = ("linear", "cosine")
SCAN = 1 / 8


@dataclass(frozen=True)
class Sweep:
    """What a sweep of a task asks for, as far as its runs tell."""

    steps: int
    rules: tuple[str, ...] = RULES
    failed: frozenset[str] = frozenset()

    def missing(self, runs: dict[Trial, Run]) -> list[Trial]:
        """The trials of the first stage that is not complete; none when the sweep is."""
        rules = [rule for rule in self.rules if rule not in self.failed]
        scan = shortened(self.steps, SCAN)
        middle = {}
        todo = []
        for rule in rules:
            places = [k + 2 * j for k in [_even(rule)] for j in range(-3, 4)]
            places, lacks = _settled(runs, rule, places, SHORT_SEEDS[:1], scan, "linear", 13)
            todo += lacks
            if not lacks:
                middle[rule] = min(places, key=lambda k: (_loss(runs, rule, k, SHORT_SEEDS[:1], scan, "linear"), k))
        if todo:
            return todo
        for share, seeds, schedule in [
            *((share, SHORT_SEEDS, "linear") for share in SHORT),
            *((1.0, FULL_SEEDS, schedule) for schedule in SCHEDULES),
        ]:
            steps = shortened(self.steps, share)
            for rule in rules:
                places = list(range(middle[rule] - 4, middle[rule] + 5))
                todo += _settled(runs, rule, places, seeds, steps, schedule, 15)[1]
            if todo:
                return todo
        return []


class Study:
    """The store of the study: for each task its runs, and the seconds of a processor that they took."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)

    def race(self, task: str) -> str:
        """The name under which the runs of a task are kept."""
        found = next((kept.id for kept in self.store.races() if kept.asked.get("study") == task), None)
        return found or self.store.begin(f"study-{task}", {"study": task}, {})

    def runs(self, task: str) -> dict[Trial, Run]:
        return self.store.runs(self.race(task))

    def failed(self, task: str) -> dict[str, str]:
        kept = self.store.race(self.race(task))
        return dict(kept.told.get("failed", {})) if kept else {}


def sweep(study: Study, task: str, processes: int, seconds: float) -> Iterator[tuple[int, int]]:
    """Run what is missing of a task's sweep; (runs there are, runs missing of the present stage) after each.

    Ends when the sweep is complete, or after so many seconds.
    """
    source, end = Source(task), monotonic() + seconds
    steps, name = source.card().steps, study.race(task)
    runs, failed = study.runs(task), study.failed(task)
    with Workers(source, processes) as workers:
        while todo := Sweep(steps, failed=frozenset(failed)).missing(runs):
            left = len(todo)
            with closing(workers.run(todo)) as events:
                for event in events:
                    if isinstance(event, RuleFailed):
                        failed[event.rule] = event.reason
                        study.store.tell(name, "running", {"failed": failed})
                    if isinstance(event, RunDone):
                        runs[event.run.trial] = event.run
                        study.store.keep(name, event.run)
                        left -= 1
                        yield len(runs), left
                        if monotonic() > end:
                            return
    study.store.tell(name, "finished", {"failed": failed})


def _even(rule: str) -> int:
    from .... import rules

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
