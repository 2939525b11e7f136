"""How far something is: a bar with the time left, on stderr; where that is no terminal, a line every few seconds."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

EVERY = 2.0  # seconds between two lines of progress
Report = Callable[[float, float], object]
"""Called with what is done and what there is at most, in any unit."""


@contextlib.contextmanager
def progress(title: str, silent: bool = False, unit: str = "step") -> Iterator[Report | None]:
    """What to call with (done, most); None where nothing is to be seen. It speaks at once.

    Args:
        unit: of what is counted, for lines; "%": it is a part of 1.
    """
    if silent:
        yield None
        return
    if not sys.stderr.isatty():
        print(f"{title}: loading", file=sys.stderr, flush=True)
        yield lines(unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        at = bar.add_task(title, total=None)
        yield lambda done, most: bar.update(at, completed=done, total=most)


def lines(unit: str = "step", clock: Callable[[], float] = time.monotonic) -> Report:
    """Progress in lines: the first at the first call, then one every EVERY seconds, with the time left."""
    begun = said = clock()
    first = True

    def report(done: float, most: float) -> None:
        nonlocal said, first
        if not first and clock() - said < EVERY:
            return
        said = clock()
        left = "" if first or not done else f", at most {(said - begun) / done * (most - done):.0f} s left"
        first = False
        at = f"{100 * done / most:.0f} %" if unit == "%" else f"{unit} {done:.0f} of at most {most:.0f}"
        print(f"{at}{left}", file=sys.stderr, flush=True)

    return report
