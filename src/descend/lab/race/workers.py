"""The race in worker processes: whole rules are handed out, so each process compiles only its own kernels.

Processes are spawned, never forked: threads of BLAS do not survive a fork. BLAS gets one thread in
each, because two processes with one thread each finish sooner than one with two on matrices of this size.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait

from .race import Config, Entry, Event, RuleDone, RuleFailed, RuleReady, RuleStarted, lane

PROCESSES = 2


def processes_for(config: Config) -> int:
    """Two, or fewer where there are fewer cores or rules."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(PROCESSES, cores, len(config.rules)))


def run_race(config: Config, entries: Sequence[Entry], processes: int) -> Generator[Event, None, None]:
    """Events of all workers as they happen, until every rule is done or has failed. Closing it ends the workers.

    A rule that stops with an exception, and one whose worker is killed, is a ``RuleFailed``; the others go on.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(entries)
    busy: dict[Connection, str] = {}
    started = []

    def start() -> None:
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there, config), daemon=True)
        with _ignoring_ctrl_c():
            process.start()
        there.close()
        started.append((process, here))
        busy[here] = _hand_out(here, waiting)

    try:
        for _ in range(min(processes, len(waiting))):
            start()
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                try:
                    event: Event = ready.recv()
                except (EOFError, OSError):
                    yield RuleFailed(busy.pop(ready), "its worker process was killed")
                    if waiting:
                        start()
                    continue
                yield event
                if isinstance(event, RuleDone | RuleFailed):
                    del busy[ready]
                    if waiting:
                        busy[ready] = _hand_out(ready, waiting)
                    else:
                        ready.send(None)
    finally:
        for process, here in started:
            here.close()
            process.terminate()
            process.join()


def _hand_out(to: Connection, waiting: list[Entry]) -> str:
    entry = waiting.pop(0)
    to.send(entry)
    return entry.rule


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


def _work(connection: Connection, config: Config) -> None:
    """A worker: entries come in, events go out; None or a closed pipe ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the race was stopped
        while (entry := connection.recv()) is not None:
            connection.send(RuleStarted(entry.rule))
            try:
                for event in _raced(entry, config):
                    connection.send(event)
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:
                connection.send(RuleFailed(entry.rule, said(error)))


def said(error: BaseException) -> str:
    """What something stopped with, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _raced(entry: Entry, config: Config) -> Iterator[Event]:
    from threadpoolctl import threadpool_limits

    from .train import train, warm_up

    with threadpool_limits(limits=1):
        yield RuleReady(entry.rule, warm_up(entry.rule))
        yield from lane(entry, config, lambda rule, lr, seed: train(rule, lr, seed, config))
