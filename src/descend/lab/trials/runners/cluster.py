"""Trials as tasks of a Ray cluster: of one that runs already, here or at `ray://host:port`, or of one started here.

A worker of Ray is used again for later tasks, so a task's data are loaded and a rule is compiled once in each. The
machines of a cluster need descend and the task's data, what somebody brings at the same path; numbers are those of
processes where the processors are of one kind.
"""

import importlib
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from typing import Any

from ...tasks.source import Source
from ..trial import Trial
from .inline import Trainer, said
from .runner import PROCESSES, Event, RuleFailed, RunDone

INSTALL = "racing on a cluster needs Ray: pip install 'descend[cluster]'"
AHEAD = 2  # tasks for each processor that are with the cluster
AGAIN = 1  # times a task is tried again whose worker was killed


@lru_cache(1)
def _trainer(source: Source) -> Trainer:
    return Trainer(source)


def train_there(source: Source, trial: Trial) -> list[Event]:
    """A task: one trial in a worker of the cluster."""
    return list(_trainer(source).events(trial))


@contextmanager
def connected(address: str, processes: int | None) -> Iterator[Any]:
    """The module `ray`, connected to a cluster; who has connected it, ends that on leaving.

    Args:
        address: "ray" for the cluster of this machine, started if there is none; or `ray://host:port`.
        processes: processors of a cluster that is started here.

    Raises:
        ImportError: Ray is not installed.
        ConnectionError: there is no cluster at that address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    try:
        ray = importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise ImportError(INSTALL) from error
    if ray.is_initialized():
        yield ray
        return
    quiet = {"log_to_driver": False, "logging_level": "error"}
    if address != "ray":
        try:
            ray.init(address, **quiet)
        except Exception as error:  # what the client raises differs by what is wrong
            raise ConnectionError(f"no Ray cluster answers at {address}: {said(error)}") from error
    else:
        try:
            ray.init("auto", **quiet)
        except ConnectionError:
            ray.init("local", num_cpus=processes or PROCESSES, include_dashboard=False, **quiet)
    try:
        yield ray
    finally:
        ray.shutdown()


def slots(processes: int | None) -> int:
    """Trainings at once on the cluster that is connected."""
    return processes or max(1, int(importlib.import_module("ray").cluster_resources().get("CPU", 1)))


class Cluster:
    """A Ray cluster that trains.

    Args:
        source: the task.
        processes: trainings at once; None for one on every processor of the cluster.
        address: as of `connected`, which raises what it cannot reach.
    """

    def __init__(self, source: Source, processes: int | None, address: str = "ray") -> None:
        self.source, self.processes = source, processes
        self._out: dict[Any, Trial] = {}  # what is with the cluster
        self._open = ExitStack()
        self._ray = self._open.enter_context(connected(address, processes))
        self._task = self._ray.remote(num_cpus=1, max_retries=AGAIN)(train_there)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def end(self) -> None:
        """Cancel what is with the cluster, from any thread; `run` then tells of each as cancelled."""
        for reference in list(self._out):
            with suppress(Exception):  # the cluster may be gone
                self._ray.cancel(reference, force=True)

    def run(self, trials: Sequence[Trial]) -> Generator[Event, None, None]:
        """The events of these trials as they happen; what is still with the cluster when it is closed is cancelled."""
        waiting, failed = list(trials), set[str]()
        out = self._out
        room = slots(None)
        most = AHEAD * room if self.processes is None or self.processes >= room else self.processes
        try:
            while waiting or out:
                while waiting and len(out) < most:
                    trial = waiting.pop(0)
                    if trial.rule not in failed:
                        out[self._task.remote(self.source, trial)] = trial
                if not out:
                    return
                done, _ = self._ray.wait(list(out), num_returns=1)
                for reference in done:
                    trial = out.pop(reference)
                    for event in self._events(reference, trial):
                        if isinstance(event, RunDone) or trial.rule not in failed:
                            yield event
                        if isinstance(event, RuleFailed):
                            failed.add(trial.rule)
        finally:
            self.end()
            out.clear()

    def _events(self, reference: Any, trial: Trial) -> list[Event]:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.WorkerCrashedError:
            return [RuleFailed(trial.rule, "its worker process was killed")]
        except self._ray.exceptions.RayError as error:
            return [RuleFailed(trial.rule, said(error))]
