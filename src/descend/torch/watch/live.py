"""``live(optimizer)``: the measurements of a run in the terminal, while it trains."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from html import escape
from typing import Any

import torch
from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.text import Text

from ...core.untraced import untraced
from ...draw.progress import Pane, in_notebook
from ...draw.terminal import Table, by_notebook, count, print_line
from ...draw.terminal import text as plain
from ..optim.base import RuleOptimizer
from ..step.telemetry import RATIO, Measured, of_all
from ..step.telemetry_words import HINT, columns_of, first_line, short
from .alarms import Alarm, Alarms, summary

GAP = 2
WRAPS = 60  # characters from which on alarms are shown whole, on several lines
NAME = 8  # characters that a name keeps, whatever else gives way


def live(
    optimizer: RuleOptimizer,
    *,
    names: torch.nn.Module | Iterable[tuple[str, torch.Tensor]] | None = None,
    refresh: float = 0.5,
    interval: float = 10.0,
    alarms: Alarms | None = None,
    console: Console | None = None,
) -> View:
    """Show ``optimizer.telemetry`` while the block inside runs: ``with live(optimizer): train()``.

    In a terminal, a table of the tensors, those with alarms first, cut to its width and height; the last one stays.
    Elsewhere, as in a log file, one line per ``interval`` and one per alarm.

    Args:
        optimizer: made with ``telemetry=``. names: a model or ``model.named_parameters()``; else the groups' names.
        refresh, interval: seconds between two tables, or two lines; at a step, so no thread draws by itself.
        alarms: with thresholds of your own. console: where to draw; by default stdout.
    Raises:
        ValueError: the optimizer measures nothing, or a time is negative.
    """
    if not refresh >= 0 or not interval >= 0:
        raise ValueError(f"refresh and interval are seconds, 0 or more; got {refresh!r} and {interval!r}")
    names = names if names is None or isinstance(names, torch.nn.Module) else list(names)
    alarms = alarms or Alarms(optimizer, names=names)
    pane = Pane() if console is None and in_notebook() else None
    console = console or Console(force_jupyter=False)
    drawn = pane is not None or (console.is_terminal and not by_notebook())
    return View(optimizer, alarms, console, refresh if drawn else interval, pane)


@untraced
class View:
    """What ``live`` returns: a context manager."""

    def __init__(
        self, optimizer: RuleOptimizer, alarms: Alarms, console: Console, every: float, pane: Pane | None
    ) -> None:
        self.telemetry, self.alarms, self.console = alarms.telemetry, alarms, console
        self._optimizer, self._every, self._next = optimizer, every, 0.0
        self._live: RichLive | None = None
        self._pane = pane
        self._hook: Any = None
        self._said: list[str] = []
        self._shown = (-1, -1)

    def __repr__(self) -> str:
        return f"<live view of {self.telemetry!r}>"

    def __enter__(self) -> View:
        if self.console.is_terminal and not by_notebook() and not self.console.is_dumb_terminal:
            self._live = RichLive(console=self.console, auto_refresh=False, transient=False)
            self._live.start()
        self._next = 0.0
        self._hook = self._optimizer.register_step_post_hook(self._after)
        return self

    def __exit__(self, *_: Any) -> None:
        self._hook.remove()
        try:
            if self._shown != (self.telemetry.step, self.telemetry.skipped):
                self.show()
        finally:
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _after(self, *_: Any) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + self._every
            self.show()

    def show(self) -> None:
        """Draw the last step."""
        new, self._shown = self.alarms.look(), (self.telemetry.step, self.telemetry.skipped)
        if self._live is not None:
            self._said = (self._said + summary(new))[-3:]
            self._live.update(self.table(), refresh=True)
            return
        if self._pane is not None:
            self._said = (self._said + summary(new))[-3:]
            said = plain(self.table(), width=self.console.width)
            self._pane.show(f'<pre style="line-height:1.25">{escape(said)}</pre>', said)
            return
        print_line(self.console, self.line())
        for text in summary(new):
            print_line(self.console, f"  {text}")

    # ---------------------------------------------------------------- what is drawn

    def line(self) -> str:
        """One line: the step, the whole, and the tensor whose ratio is furthest from the hint."""
        tensors = self.telemetry.tensors
        total = of_all(tensors)
        if total is None:
            return f"{self._head()} · nothing measured yet"
        parts = [self._head(), f"gradient {short(total.gradient_norm)}", f"update/weight {short(total.ratio)}"]
        if total.nonfinite:
            parts.append(f"NaN/inf {short(total.nonfinite)}")
        furthest = max(tensors, key=_distance)
        if len(tensors) > 1 and math.isfinite(furthest.ratio):
            parts.append(f"furthest from 1e-3: {furthest.name} {short(furthest.ratio)}")
        if active := len(self.alarms.active):
            parts.append(count(active, "alarm"))
        return " · ".join(parts)

    def _head(self) -> str:
        return first_line(self.telemetry.step, self.telemetry.skipped, self.telemetry.lrs)

    def table(self) -> Group:
        """The whole, then the tensors that deserve it most, as many as there is room for."""
        width, tensors = self.console.width, self.telemetry.tensors
        total = of_all(tensors)
        trouble: dict[tuple[int, str], list[Alarm]] = {}
        for alarm in self.alarms.active:
            trouble.setdefault((alarm.group, alarm.name), []).append(alarm)
        height, said = self.console.height, self._said
        lines = sum(-(-len(text) // (width - 8)) for text in said) if width >= WRAPS else height
        wraps = lines <= height // 3
        if not wraps:
            said = said[-max(1, height - 8) :]
            lines = len(said)
        room = max(1, height - 6 - lines)
        ordered = sorted(tensors, key=lambda m: (_rank(trouble.get((m.group, m.name), ())), -_distance(m)))
        kept = {id(m) for m in ordered[:room]}
        shown = [m for m in (total, *tensors) if m is not None and (m is total or id(m) in kept)]
        words = {id(m): ", ".join(a.kind for a in trouble.get((m.group, m.name), ())) for m in shown}
        columns = _fitting(shown, list(words.values()), width)
        room = max(4, width - sum(_wide(column) + GAP for column in columns) - GAP)
        rows = []
        for i, m in enumerate(shown):
            style = "bold red" if words[id(m)] else "bold" if m is total else ""
            rows.append([Text(_cropped(m.name, room), style)])
            rows[-1] += [Text(cells[i], style if head == "alarm" else "") for head, cells in columns]
        drawn = Table(
            ["tensor", *(head for head, _ in columns)], rows, right=[head for head, _ in columns if head != "alarm"]
        )
        parts: list[Any] = [_one_line(self._head()), drawn]
        if hidden := len(tensors) - (len(shown) - (total is not None)):
            parts.append(_one_line(f"… and {count(hidden, 'more tensor')}", "dim"))
        parts += [Text(text, style="yellow") if wraps else _one_line(text, "yellow") for text in said]
        return Group(*parts, _one_line(HINT, "dim"))


def _fitting(shown: list[Measured], alarms: list[str], width: int) -> list[tuple[str, list[str]]]:
    """The columns that say something and fit beside the names: alarms first, then in their order."""
    columns = columns_of(shown)
    left = width - NAME - GAP
    kept: list[tuple[str, list[str]]] = []
    for column in ([("alarm", alarms)] if any(alarms) else []) + columns:
        if (left := left - _wide(column) - GAP) < 0:
            break
        kept.append(column)
    if kept and kept[0][0] == "alarm":
        kept = [*kept[1:], kept[0]]
    return kept


def _wide(column: tuple[str, list[str]]) -> int:
    return max(map(len, (column[0], *column[1])))


def _rank(alarms: Iterable[Alarm]) -> int:
    """Rare troubles first: everything explodes at once, but few tensors die."""
    return min((("nonfinite", "dead", "frozen", "exploding").index(alarm.kind) for alarm in alarms), default=4)


def _distance(m: Measured) -> float:
    """How far the ratio is from the hint, in powers of ten; infinite where it is no number."""
    if m.elements and m.ratio > 0 and math.isfinite(m.ratio):
        return abs(math.log10(m.ratio / RATIO))
    return math.inf if m.elements else -1.0


def _cropped(name: str, room: int) -> str:
    """Its end tells tensors of one layer apart, so the beginning goes."""
    return name if len(name) <= room else "…" + name[len(name) - room + 1 :]


def _one_line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
