"""How far something is: a bar with the time left, on stderr or in a notebook; else a line now and then on stderr."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

EVERY = 2.0  # seconds between the first lines of progress
PART = 0.1  # of the time so far, which lies between later ones: a run of an hour says some fifty
REFRESH = 0.2  # seconds between two pictures of a bar in a notebook
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
    if in_notebook():
        with noticed(title) as report:
            yield report
        return
    from .terminal import watched  # rich takes a while to load, and a search or a range test may want no bar

    if not watched(sys.stderr):
        print(f"{title}: loading", file=sys.stderr, flush=True)
        yield lines(unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, force_jupyter=False), transient=True) as bar:
        at = bar.add_task(title, total=None)
        yield lambda done, most: bar.update(at, completed=done, total=most)


def lines(unit: str = "step", clock: Callable[[], float] = time.monotonic) -> Report:
    """Progress in lines: the first at the first call, then ever fewer (`EVERY`, `PART`), with the time left."""
    begun = said = clock()
    first = True

    def report(done: float, most: float) -> None:
        nonlocal said, first
        if not first and clock() - said < max(EVERY, PART * (said - begun)):
            return
        said = clock()
        left = "" if first or not done else f", at most {(said - begun) / done * (most - done):.0f} s left"
        first = False
        at = f"{100 * done / most:.0f} %" if unit == "%" else f"{unit} {done:.0f} of at most {most:.0f}"
        print(f"{at}{left}", file=sys.stderr, flush=True)

    return report


def in_notebook() -> bool:
    """Whether this is the process of a notebook, where no terminal is."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class Pane:
    """A place below a cell of a notebook that shows one thing after the other."""

    def __init__(self) -> None:
        self._id: str | None = None

    def show(self, html: str, plain: str) -> None:
        """Instead of what was there; "" for nothing."""
        from IPython.display import display, update_display  # pyright: ignore[reportMissingImports] - it is loaded

        shown = {"text/html": html, "text/plain": plain}
        if self._id is None:
            handle: Any = display(shown, raw=True, display_id=True)
            self._id = str(handle.display_id)
        else:
            update_display(shown, raw=True, display_id=self._id)


@contextlib.contextmanager
def noticed(title: str, after: float = 0.0, clock: Callable[[], float] = time.monotonic) -> Iterator[Report | None]:
    """A bar below the cell of a notebook, gone at the end; None anywhere else. `after`: so many seconds have gone."""
    if not in_notebook():
        yield None
        return
    pane, begun, shown = Pane(), clock(), False
    next_ = begun + after

    def report(done: float, most: float) -> None:
        nonlocal shown, next_
        now = clock()
        if now < next_:
            return
        shown, next_ = True, now + REFRESH
        part = min(1.0, done / most) if most else 0.0
        left = f" · about {(now - begun) * (1 / part - 1):.0f} s left" if part > 0 and now - begun > 1 else ""
        said = f"{title} · {part:.0%}{left}"
        bar = f'<progress max="1" value="{part:.3f}" style="width:16em;vertical-align:middle"></progress>'
        pane.show(f"<div>{bar} {escape(said)}</div>", said)

    try:
        yield report
    finally:
        if shown:
            pane.show("", "")
