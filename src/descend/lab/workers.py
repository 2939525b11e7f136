"""The race in worker processes: whole rules are handed out, so each process compiles only its own kernels.

Processes are spawned, never forked: threads of BLAS or Numba do not survive a fork. BLAS gets one thread in
each, because two processes with one thread each finish sooner than one with two on matrices of this size.
"""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait

from .race import Config, Entry, Event, RuleDone, RuleReady, RuleStarted, lane

PROCESSES = 2


class WorkerError(RuntimeError):
    """A worker process failed or died; the message names the rule it was on."""


def processes_for(config: Config) -> int:
    """Two, or fewer where there are fewer cores or rules."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(PROCESSES, cores, len(config.rules)))


def run_race(config: Config, entries: Sequence[Entry], processes: int) -> Generator[Event, None, None]:
    """Events of all workers as they happen, until every rule is done. Closing the iterator ends the workers.

    Raises:
        WorkerError: an exception in a worker (with its traceback), or a worker that was killed.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(entries)
    busy: dict[Connection, str] = {}
    started = []
    try:
        for _ in range(processes):
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there, config), daemon=True)
            with _ignoring_ctrl_c():
                process.start()
            there.close()
            started.append((process, here))
            busy[here] = _hand_out(here, waiting)
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                event = _receive(ready, busy[ready])
                yield event
                if isinstance(event, RuleDone):
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


def _receive(connection: Connection, rule: str) -> Event:
    try:
        message = connection.recv()
    except (EOFError, OSError):
        raise WorkerError(f"the worker process on {rule} was killed") from None
    if isinstance(message, str):
        raise WorkerError(f"the worker process on {rule} failed\n{message}")
    return message


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
    try:
        from threadpoolctl import threadpool_limits

        from .train import train, warm_up

        with threadpool_limits(limits=1):
            while (entry := connection.recv()) is not None:
                connection.send(RuleStarted(entry.rule))
                connection.send(RuleReady(entry.rule, warm_up(entry.rule)))
                for event in lane(entry, config, lambda rule, lr, seed: train(rule, lr, seed, config)):
                    connection.send(event)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the race was stopped
    except Exception:
        connection.send(traceback.format_exc())
