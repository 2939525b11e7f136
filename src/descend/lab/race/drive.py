"""A race on its way: stage after stage through the workers, every finished run in the store before it is told of."""

import contextlib
from collections.abc import Generator
from time import perf_counter

from ..store import Store, StoreError
from ..tasks.source import Source
from ..trials.runners.runner import Event, RunDone, Runner
from ..trials.runners.start import runner_for
from .asked import told
from .protocol.stages import Round, Stages
from .record import Record


class Drive:
    """Runs what is missing of a record. `stopped` says why it ended early: "", "seconds" or "asked"."""

    def __init__(
        self,
        record: Record,
        source: Source,
        processes: int | None,
        store: Store | None,
        seconds: float | None = None,
        on: str | None = None,
    ) -> None:
        self.record, self.source, self.processes, self.on = record, source, processes, on
        self.store, self.seconds = store, seconds
        self.stopped = ""
        self.unstored = ""  # why runs could not be kept
        self._workers: Runner | None = None
        self._begun = perf_counter() - record.seconds

    def stop(self) -> None:
        """End it from another thread: what is finished stays, what runs is lost."""
        self.stopped = "asked"
        if self._workers is not None:
            self._workers.end()

    def events(self) -> Generator[tuple[Event | Round, Stages], None, None]:
        """Rounds and what happens in them, each with the stages before the round."""
        end = None if self.seconds is None else perf_counter() + self.seconds
        runs = {run.trial: run for run in self.record.runs}
        with runner_for(self.source, self.processes, self.on) as workers:
            self._workers = workers
            while not self.stopped:
                stages = Stages(self.record.config, self.record.entries, runs, self.record.failed)
                if (todo := stages.next()) is None:
                    return
                yield todo, stages
                with contextlib.closing(workers.run(todo.trials)) as happening:
                    for event in happening:
                        if self.stopped:  # a worker that was ended looks like a rule that failed
                            return
                        if isinstance(event, RunDone):
                            runs[event.run.trial] = event.run
                            self._keep(event)
                        self.record.take(event)
                        yield event, stages
                        if end is not None and perf_counter() > end:
                            self.stopped = "seconds"
                            return

    def finish(self, early: bool = False) -> None:
        """Close the record, partial where the race was stopped (`early`: by others), and tell the store."""
        self.record.finish(perf_counter() - self._begun, partial=early or bool(self.stopped))
        if self.store is not None:
            self.store.tell(self.record.id, "stopped" if self.record.partial else "finished", told(self.record))

    def _keep(self, event: RunDone) -> None:
        if self.store is None:
            return
        try:
            self.store.keep(self.record.id, event.run)
        except StoreError as error:  # a full disk does not end a race; it only cannot be resumed from here
            self.store, self.unstored = None, str(error)
