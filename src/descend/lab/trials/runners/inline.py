"""Trials in this process, one after the other."""

import os
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from ...tasks.source import Brings
from ..trial import Trial
from .runner import Event, RuleFailed, RuleReady, RunDone


class Trainer:
    """Trains trials of one task in this process, on one thread."""

    def __init__(self, source: Brings) -> None:
        self.source = source
        self._problem: Any = None
        self._ready: set[str] = set()
        self._failed: set[str] = set()
        self._ended = False

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def end(self) -> None:
        """Begin no further trial; the one that runs goes on to its end."""
        self._ended = True

    def run(self, trials: Sequence[Trial]) -> Generator[Event, None, None]:
        """The events of these trials, in their order."""
        for trial in trials:
            if not self._ended:
                yield from self.events(trial)

    def events(self, trial: Trial) -> Iterator[Event]:
        """What happens when a trial is trained; nothing if its rule has failed before."""
        from ..train import train, warm_up

        if trial.rule in self._failed:
            return
        try:
            if self._problem is None:
                one_thread()
                self._problem = self.source.problem()
            if trial.rule not in self._ready:
                yield RuleReady(trial.rule, warm_up(trial.rule, self._problem))
                self._ready.add(trial.rule)
            yield RunDone(train(trial, self._problem))
        except Exception as error:
            self._failed.add(trial.rule)
            yield RuleFailed(trial.rule, said(error))


def one_thread() -> None:
    """Keep BLAS, and torch if it is loaded later, to one thread in this process."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
    os.environ["OMP_NUM_THREADS"] = "1"


def said(error: BaseException) -> str:
    """What something stopped with, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
