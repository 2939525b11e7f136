"""Signals held back while something must not be torn: a step that is written, a trial that is undone."""

import _signal  # pyright: ignore[reportMissingImports] - signal.signal converts to enums and back, which takes longer than a small step
import threading
from collections.abc import Callable
from typing import Any

_MAIN = threading.main_thread().ident
_getsignal, _set = _signal.getsignal, _signal.signal
_NUMBERS = [
    int(getattr(_signal, name))
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2")
    if hasattr(_signal, name)
]


class Held:
    """Signals that have a handler of Python's, between ``catch`` and ``release``; where handlers run: the main thread.

    Attributes:
        before: number -> the handler that was there. events: the signals that wait for it.
    """

    def __init__(self) -> None:
        main = threading.get_ident() == _MAIN
        self.before = {n: handler for n in _NUMBERS if callable(handler := _getsignal(n))} if main else {}
        self.events: list[tuple[int, Any]] = []

    def catch(self) -> None:
        for number in self.before:
            _set(number, self.take)

    def take(self, number: int, frame: Any) -> None:
        self.events.append((number, frame))

    def release(self) -> None:
        """The handlers of before, and the signals that waited."""
        for number, handler in self.before.items():
            _set(number, handler)
        for number, frame in self.events:
            self.before[number](number, frame)


def commit(run: Callable[[], bool]) -> bool:
    """Run a step to its end: what arrives meanwhile for a Python signal handler is handled afterwards."""
    held = Held()
    try:
        held.catch()
        return run()
    finally:
        held.release()
