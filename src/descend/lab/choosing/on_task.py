"""A choice for a task of the lab, or for what somebody brings: its runs go through worker processes and the store."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict
from time import perf_counter

from ..race.asked import MUST_AGREE
from ..race.record import environment
from ..store import Store, StoreError
from ..tasks.source import Source
from ..tasks.task import Task
from ..trials.trial import Run, Trial
from ..trials.workers import RuleFailed, RunDone, Workers
from .answer import Choice, answer
from .strategy import Asked, Choosing, Outcome


def outcome(run: Run) -> Outcome:
    """A run of the lab as the strategy reads it."""
    loss = run.loss
    return Outcome(run.trial, loss if math.isfinite(loss) else math.inf, run.val_loss[0], run.train_step_ms / 1e3)


def choose_on(
    source: Source,
    card: Task,
    asked: Asked,
    processes: int,
    store: Store | None,
    progress: Callable[[float, float], object] | None = None,
) -> Choice:
    """Choose for a task. What an earlier choice of the same task has run is not run again.

    Raises:
        ValueError: as `descend.lab.choosing.answer.answer`; a budget that is too small.
        KeyboardInterrupt: before there is anything to answer with.
    """
    begun = perf_counter()
    book = Book(store, source, card, asked)
    choosing, late = Choosing(asked), ""
    known = book.runs()
    end = begun + asked.seconds / processes if math.isfinite(asked.seconds) else math.inf
    try:
        with Workers(source, processes) as workers:
            while not late and (todo := choosing.missing()):
                for trial in [t for t in todo if t in known]:
                    choosing.take(outcome(known[trial]))
                todo = [t for t in todo if t not in known]
                with closing(workers.run(todo)) as events:
                    for event in events:
                        if isinstance(event, RuleFailed):
                            choosing.fail(event.rule, event.reason)
                        elif isinstance(event, RunDone):
                            choosing.take(outcome(event.run))
                            book.keep(event.run)
                        if progress is not None and choosing.budget:
                            spent = max(choosing.spent / choosing.budget, (perf_counter() - begun) / (end - begun))
                            progress(min(spent, 1.0), 1.0)
                        if perf_counter() > end:
                            late = "the time ended it: longer runs were still to come"
                            break
    except KeyboardInterrupt:
        late = "interrupted: longer runs were still to come"
        choosing.end()
        if not choosing.levels:
            raise
    choosing.end()
    return answer(choosing, card.name, perf_counter() - begun, late)


class Book:
    """The runs of one task in the store, whatever was chosen there and how often."""

    def __init__(self, store: Store | None, source: Source, card: Task, asked: Asked) -> None:
        self.store = store
        told = {key: value for key, value in environment(1).items() if key in MUST_AGREE}
        told["data"] = card.sha256[:16]
        told["rules"] = _texts(asked.rules)
        self.asked = {"choose": card.name, "source": asdict(source)}
        self.environment = told
        self.name = self._found()

    def _found(self) -> str:
        if self.store is None:
            return ""
        wanted = json.loads(json.dumps(self.asked))
        for kept in self.store.races():
            if kept.asked == wanted and kept.environment == self.environment:
                return kept.id
        name = self.store.begin(f"choose-{self.asked['choose']}", self.asked, self.environment)
        self.store.tell(name, "finished", {})  # there is nothing to resume: the next choice takes up what is there
        return name

    def runs(self) -> dict[Trial, Run]:
        return {} if self.store is None else self.store.runs(self.name)

    def keep(self, run: Run) -> None:
        if self.store is None:
            return
        try:
            self.store.keep(self.name, run)
        except StoreError:  # a full disk does not end a choice; the next one only begins anew
            self.store = None


def _texts(rules: Iterable[str]) -> str:
    """A digest of the rules' own lines: a run of another text is another run."""
    from ... import rules as catalogue

    found = [catalogue.get(rule) for rule in sorted(rules)]
    lines = ["\n".join(stage.source for stage in rule.stages or (rule,)) for rule in found]
    return hashlib.sha256("\n\n".join(lines).encode()).hexdigest()[:16]
