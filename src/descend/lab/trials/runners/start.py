"""The runner that was asked for."""

from ...tasks.source import Source
from .cluster import Cluster
from .processes import Workers
from .runner import PROCESSES, Runner


def runner_for(source: Source, processes: int | None, on: str | None = None) -> Runner:
    """The runner that was asked for.

    Args:
        source: the task.
        processes: trainings at once; None for as many as there is room for.
        on: "" for worker processes, "ray" for the Ray cluster of this machine (started if there is none), or
            `ray://host:port` for one elsewhere.

    Raises:
        ImportError: Ray is asked for and not installed.
        ConnectionError: there is no cluster at that address.
    """
    if on:
        return Cluster(source, processes, on)
    return Workers(source, processes or PROCESSES)
