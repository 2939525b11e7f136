"""How far the work is: a bar with the time that is left on a terminal, a line every few seconds in a pipe."""

from collections import Counter
from time import perf_counter
from typing import Self

from rich.console import Console
from rich.text import Text

from ...draw.terminal import by_notebook

EVERY = 5.0  # seconds between two lines


class Silent:
    """What is told how far the work is, and shows nothing; a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def more(self, count: int) -> None:
        """So many candidates more are to be looked at."""

    def step(self, reason: str) -> None:
        """One has been looked at; "" where it is fit."""


class Lines(Silent):
    """Plain lines; on a terminal the same line, drawn again and again over itself, and gone at the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = self.done = 0
        self.left_out: Counter[str] = Counter()
        self.begin = self.said = perf_counter()
        self.live = None
        if console.is_terminal and not by_notebook() and not console.is_dumb_terminal:
            from rich.live import Live

            self.live = Live(get_renderable=self._line, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self.begin = self.said = perf_counter()
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            self.live.stop()

    def more(self, count: int) -> None:
        self.total += count

    def step(self, reason: str) -> None:
        self.done += 1
        self.left_out[reason] += 1
        if not self.live and perf_counter() - self.said > EVERY:
            self.said = perf_counter()
            self.console.print(Text(self.summary()), soft_wrap=True)

    def _line(self) -> Text:
        return Text(f"  {self.summary()} · Ctrl-C keeps what is finished", no_wrap=True, overflow="ellipsis")

    def summary(self) -> str:
        """`1,204 of 3,324 looked at · 31 unfit · 180/s · about 12 s left`."""
        taken = perf_counter() - self.begin
        unfit = self.done - self.left_out[""]
        parts = [f"{self.done:,} of {self.total:,} looked at"] + [f"{unfit:,} unfit"] * bool(unfit)
        if self.done and taken > 1:
            rate = self.done / taken
            parts += [
                f"{rate:,.0f}/s" if rate >= 1 else f"{60 * rate:,.0f}/min",
                f"about {_time((self.total - self.done) / rate)} left",
            ]
        return " · ".join(parts)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
