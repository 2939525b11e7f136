"""Trials in worker processes: each is handed out by itself, and comes back as soon as it is done.

Processes are spawned, never forked: threads of BLAS do not survive a fork. BLAS gets one thread in
each, because two processes with one thread each finish sooner than one with two on matrices of this size.
A worker gets a trial of a rule whose kernels it has already, while there is one.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ..tasks.source import Source
from .trial import Run, Trial

PROCESSES = 2
AHEAD = 2  # trials in a worker's hands, so that it never waits for the next


@dataclass(frozen=True)
class RuleReady:
    """The kernels of a rule are compiled in a worker; its runs begin."""

    rule: str
    compile_s: float


@dataclass(frozen=True)
class RunDone:
    run: Run


@dataclass(frozen=True)
class RuleFailed:
    """A rule is out: what it stopped with. The others go on."""

    rule: str
    reason: str


Event = RuleReady | RunDone | RuleFailed


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
        yield
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


class Trainer:
    """Trains trials of one task in this process, on one thread."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._problem: Any = None
        self._ready: set[str] = set()
        self._failed: set[str] = set()

    def events(self, trial: Trial) -> Iterator[Event]:
        """What happens when a trial is trained; nothing if its rule has failed before."""
        from .train import train, warm_up

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
