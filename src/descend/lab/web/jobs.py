"""Work that takes longer than an answer: a thread each, watched by snapshots and stopped by request.

A watcher is sent what has changed since it looked last, not every event: a slow one misses steps and holds up nobody.
"""

import itertools
import logging
import secrets
import threading
from collections.abc import Callable
from typing import Any

from .fields import Refused

KEPT = 8  # jobs that are over
RUNNING, DONE, STOPPED, FAILED = "running", "done", "stopped", "failed"
log = logging.getLogger("descend")


class Job:
    """One piece of work. `tell` is called by it, everything else by those who watch.

    Attributes:
        asked_to_stop: work looks at it between two of its steps. on_stop: what else wakes it.
    """

    def __init__(self, kind: str, work: "Callable[[Job], object]") -> None:
        self.id, self.kind = secrets.token_urlsafe(9), kind
        self.asked_to_stop = threading.Event()
        self.on_stop: Callable[[], None] = lambda: None
        self._work, self._lock, self._count = work, threading.Lock(), itertools.count(1)
        self._told: dict[str, tuple[int, Any]] = {}
        self.tell(state=RUNNING)
        self._thread = threading.Thread(target=self._run, name=f"descend-{kind}", daemon=True)
        self._thread.start()

    def tell(self, **what: Any) -> None:
        """Say how far it is: names -> what JSON can say, each replacing what was told under that name."""
        with self._lock:
            version = next(self._count)
            self._told |= {name: (version, value) for name, value in what.items()}

    def news(self, since: int) -> tuple[int, dict[str, Any]]:
        """What was told after that version, and the version now."""
        with self._lock:
            fresh = {name: value for name, (version, value) in self._told.items() if version > since}
            return max((version for version, _ in self._told.values()), default=0), fresh

    @property
    def state(self) -> str:
        return self._told["state"][1]

    @property
    def over(self) -> bool:
        return self.state != RUNNING

    def stop(self) -> None:
        self.asked_to_stop.set()
        self.on_stop()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._work(self)
        except Exception as error:  # the page says it; the server goes on
            log.info("%s failed", self.kind, exc_info=True)
            kind = "" if isinstance(error, Refused) else f"{type(error).__name__}: "
            self.tell(state=FAILED, error=f"{kind}{error}"[:1000])
        else:
            self.tell(state=STOPPED if self.asked_to_stop.is_set() else DONE)


class Jobs:
    """All jobs of a lab; one of a kind at a time."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def begin(self, kind: str, work: Callable[[Job], object]) -> Job:
        """Raises: Refused: one of this kind is running."""
        with self._lock:
            if any(job.kind == kind and not job.over for job in self._jobs.values()):
                raise Refused(f"a {kind} is running already; stop it first")
            over = [name for name, job in self._jobs.items() if job.over]
            for name in over[: max(0, len(over) - KEPT)]:
                del self._jobs[name]
            job = Job(kind, work)
            self._jobs[job.id] = job
            return job

    def latest(self, kind: str) -> str | None:
        """The id of the newest of a kind, running or over: for a page that is opened again."""
        return next((job.id for job in reversed(self._jobs.values()) if job.kind == kind), None)

    def get(self, name: str) -> Job:
        """Raises: Refused: there is none of that id."""
        if name not in self._jobs:
            raise Refused("there is no such job; it may be long over")
        return self._jobs[name]

    def end(self, seconds: float = 3.0) -> None:
        """Stop all, and wait a little for them."""
        running = [job for job in self._jobs.values() if not job.over]
        for job in running:
            job.stop()
        for job in running:
            job.join(seconds)
