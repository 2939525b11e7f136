"""Trials in worker processes: each is handed out by itself, and comes back as soon as it is done.

Processes are spawned, never forked: threads of BLAS do not survive a fork. BLAS gets one thread in
each, because two processes with one thread each finish sooner than one with two on matrices of this size.
A worker gets a trial of a rule whose kernels it has already, while there is one.
"""

import multiprocessing
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ...tasks.source import Source
from ..trial import Trial
from .inline import Trainer
from .runner import Event, RuleFailed, RuleReady, RunDone

AHEAD = 2  # trials in a worker's hands, so that it never waits for the next


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    hands: list[Trial] = field(default_factory=list)
    knows: set[str] = field(default_factory=set)


class Workers:
    """Some processes that train; a context manager that ends them."""

    def __init__(self, source: Source, processes: int) -> None:
        self.source, self.processes = source, processes
        self._workers: list[_Worker] = []
        self._started: list[_Worker] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._started:
            worker.pipe.close()
            worker.process.terminate()
            worker.process.join()

    def end(self) -> None:
        """Terminate what runs, from any thread; `run` then tells of each as killed."""
        for worker in list(self._started):
            worker.process.terminate()

    def run(self, trials: Sequence[Trial]) -> Generator[Event, None, None]:
        """The events of these trials as they happen, until all are done or their rule has failed.

        A rule that stops with an exception, and one whose worker is killed, is a `RuleFailed`.
        """
        waiting = list(trials)
        while len(self._workers) < min(self.processes, len(waiting)):
            self._start()
        for worker in self._workers * AHEAD:
            self._hand_out(worker, waiting)
        while busy := {worker.pipe: worker for worker in self._workers if worker.hands}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                try:
                    event: Event = worker.pipe.recv()
                except (EOFError, OSError):
                    self._workers.remove(worker)
                    event = RuleFailed(worker.hands.pop(0).rule, "its worker process was killed")
                    waiting[:0] = [trial for trial in worker.hands if trial.rule != event.rule]
                    if waiting:
                        self._start()
                        worker = self._workers[-1]
                match event:
                    case RuleReady(rule):
                        worker.knows.add(rule)
                    case RunDone(run) if run.trial in worker.hands:
                        worker.hands.remove(run.trial)
                    case RuleFailed(rule):
                        waiting[:] = [trial for trial in waiting if trial.rule != rule]
                        worker.hands[:] = [trial for trial in worker.hands if trial.rule != rule]
                while waiting and len(worker.hands) < AHEAD:
                    self._hand_out(worker, waiting)
                yield event

    def _hand_out(self, worker: _Worker, waiting: list[Trial]) -> None:
        if waiting:
            k = next((k for k, trial in enumerate(waiting) if trial.rule in worker.knows), 0)
            worker.hands.append(waiting.pop(k))
            with suppress(OSError):  # it was killed: its end of the pipe tells so
                worker.pipe.send(worker.hands[-1])

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there, self.source), daemon=True)
        with _ignoring_ctrl_c():
            process.start()
        there.close()
        self._workers.append(_Worker(process, here))
        self._started.append(self._workers[-1])


@contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    """A process started in here never sees Ctrl-C, not even while it is still importing."""
    if threading.current_thread() is not threading.main_thread():
        # only the main thread sets handlers, but a process is born with the signals blocked that this thread blocks
        if not hasattr(signal, "pthread_sigmask"):
            yield
            return
        resource_tracker.ensure_running()  # which would lift the mask again
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(pipe: Connection, source: Source) -> None:
    """A worker: trials come in, events go out; a closed pipe ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the race was stopped
        trainer = Trainer(source)
        while True:
            for event in trainer.events(pipe.recv()):
                pipe.send(event)
