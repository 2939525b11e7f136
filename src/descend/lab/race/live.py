"""What the terminal shows: a live table during the race, plain lines where nobody watches, the final tables.

Wide or narrow, nothing wraps inside a table: columns give way.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table as Grid
from rich.text import Text

from ...draw import terminal
from ...draw.terminal import Column, Table, count, paper, print_line, written
from ..tasks.task import Task
from ..trials.runners.runner import Event, RuleFailed
from .drive import Drive
from .protocol.stages import Round, Stages
from .race import Config
from .record import Record
from .results import Line, Results, mean_curve, results
from .table import CURVE, DEFAULT, TUNED, TUNING, cells, duration, rate, spark, tuning_cells
from .verdict import limits, verdict
from .watch import Watch

WIDE = 96  # characters from which on a table carries its loss curves
STYLES = {"leader": "bold green", "equal": "green", "better": "bold green", "undecided": "yellow"}


def view_for(console: Console, record: Record, watch: Watch, quiet: bool) -> "Silent":
    """Nothing, a live table, or plain lines: what suits the console."""
    if quiet:
        return Silent()
    drawn = terminal.watched(console.file) and not console.is_dumb_terminal
    return LiveTable(console, record, watch) if drawn else Lines(console, watch)


def watched(drive: Drive, console: Console, quiet: bool) -> bool:
    """A race to its end, or as far as its time or Ctrl-C lets it come, kept and seen; whether it was Ctrl-C."""
    record, interrupted = drive.record, False
    watch = Watch(record.config, kept=len(record.runs))
    try:
        with closing(drive.events()) as events, view_for(console, record, watch, quiet) as view:
            for event, stages in events:
                watch.take(event, stages.standings)
                view.take(event, stages)
    except KeyboardInterrupt:
        interrupted = True
    drive.finish(interrupted)
    return interrupted


class Silent:
    """What is told events as they come, and shows nothing; a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def take(self, event: Event | Round, stages: Stages) -> None:
        pass


class Lines(Silent):
    """A line for each part of the race, and every few seconds within a long one."""

    EVERY = 5.0  # seconds

    def __init__(self, console: Console, watch: Watch) -> None:
        self.console, self.watch = console, watch
        self.said = 0.0

    def take(self, event: Event | Round, stages: Stages) -> None:
        if isinstance(event, RuleFailed):
            print_line(self.console, f"{event.rule}: failed, {event.reason}")
        elif isinstance(event, Round):
            if event.name == "look 1":
                print_line(self.console, f"tuned: {tuned_rates(stages)}")
            if stages.standings and (leader := stages.standings.leader):
                n = stages.standings.of(leader).n
                print_line(self.console, f"{n} seeds: {leader} leads, {self.watch.decided()}")
        if isinstance(event, Round) or self.watch.elapsed - self.said > self.EVERY:
            self.said = self.watch.elapsed
            print_line(self.console, self.watch.summary())


def tuned_rates(stages: Stages) -> str:
    """`adam 1e-2, lion 1e-3`."""
    return ", ".join(f"{rule} {rate(found.choice.lr)}" for rule, found in stages.tuned.items())


class LiveTable(Silent):
    """The standings so far and what runs now, drawn in place; it leaves no trace when it ends."""

    def __init__(self, console: Console, record: Record, watch: Watch) -> None:
        self.console, self.record, self.watch = console, record, watch
        self.found: Results | None = None
        self.tuned = ""
        self.live = Live(get_renderable=self._draw, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def take(self, event: Event | Round, stages: Stages) -> None:
        if isinstance(event, Round):
            self.tuned = tuned_rates(stages)
            self.found = results(self.record) if stages.standings else None

    def _draw(self) -> RenderableType:
        watch = self.watch
        room = max(6, min(24, self.console.width - 46))
        bar = ProgressBar(total=max(watch.total_here, 1), completed=watch.done_here, width=room)
        parts: list[RenderableType] = [
            Text(""),
            _row(bar, Text(watch.summary(), no_wrap=True, overflow="ellipsis")),
        ]
        if self.found and self.found.tuned:
            parts += [Text(""), table(self.console, TUNED, self.found.tuned, self.found, self.record)]
            parts.append(Text(f"  {watch.decided()}", style="dim"))
        elif self.tuned:
            parts += [Text(""), Text(f"  tuned: {self.tuned}", style="dim")]
        parts.append(Text("  Ctrl-C keeps what is finished", style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*parts)


def table(
    console: Console, columns: Mapping[str, Column], lines: Sequence[Line], found: Results, record: Record
) -> RenderableType:
    """One of the two tables, cut to the width of the console, and below it what that cost."""
    rows = [{**cells(line, found), "curve": curve} for line, curve in zip(lines, _sparks(lines, record), strict=True)]
    if columns is TUNED:
        rows += [{"rule": rule, "loss": "–", "status": "failed"} for rule in record.failed]
    shown = {**columns, **(CURVE if console.width >= WIDE else {})}
    body = []
    for row in rows:
        style = STYLES.get(row["status"], "")
        body.append([Text(row.get(key, ""), style if key in ("rule", "status", "loss") else "") for key in shown])
        for text in body[-1]:
            text.highlight_words([" edge", "diverged", "failed"], style="yellow")
    drawn = Table(list(shown.values()), body)
    gone = Table(list(columns.values()), [row[: len(columns)] for row in body]).hidden(console.width)
    return Group(drawn, Text(gone, style="dim")) if gone else drawn


def print_header(console: Console, config: Config, card: Task, processes: int) -> None:
    """What is about to happen, before anything slow is imported."""
    parts = (
        f"[bold]descend race[/bold]: {config.task}",
        card.model.split(",")[0],
        f"{count(len(config.rules), 'rule')} × {2 * config.side + 3} learning rates",
        f"up to {config.seeds} fresh seeds",
        f"{config.steps} steps, {config.schedule}",
        count(processes, "process", "processes"),
    )
    console.print(" · ".join(parts))
    if "unreadable" in card.data or "left out" in card.data:
        print_line(console, card.data)


def print_results(console: Console, record: Record, found: Results, report: Path, replay: str) -> None:
    """Both tables, the verdict and where the files are."""
    print_judged(console, record, found)
    console.print()
    size = report.stat().st_size / 1000
    print_line(console, f"Report: {report}  ({size:.0f} kB, one file, works offline)")
    print_line(console, f"Replay: descend race --from {replay}")
    took = f"{len(record.runs)} runs in {duration(record.seconds)}"
    print_line(console, f"{took}{', partial: stopped before the end' if record.partial else ''}")
    if record.partial and record.id:
        print_line(console, f"Go on: descend race --resume {record.id}")


def print_judged(console: Console, record: Record, found: Results) -> None:
    """Both tables and the verdict."""
    for heading, columns, lines in (
        ("Learning rate tuned, the same number of trials each", TUNED, found.tuned),
        ("Learning rate left at the default", DEFAULT, found.default),
    ):
        if lines:
            console.print()
            console.print(heading, style="bold")
            console.print(table(console, columns, lines, found, record))
    if found.tuned:
        console.print()
        console.print("What it takes: rates tried, how near they must be, what a step costs", style="bold")
        rows = [tuning_cells(line.rule, found, record.entry(line.rule).state_bytes) for line in found.tuned]
        shown = Table(list(TUNING.values()), [[row[key] for key in TUNING] for row in rows])
        console.print(shown)
        if gone := shown.hidden(console.width):
            console.print(gone, style="dim")
        for line in found.tuned if record.config.tune else ():
            space = ", ".join(f"{n} {low:g} to {high:g}" for n, (low, high, _) in record.entry(line.rule).space.items())
            print_line(console, f"  {line.rule}: searched {space or 'the rate alone'}")
    console.print()
    for sentence in verdict(record, found):
        console.print(sentence)
    console.print(limits(record), style="dim")


def plain(record: Record) -> str:
    """The same as text, for ``print``."""
    console = paper(WIDE)
    print_judged(console, record, results(record))
    return written(console).strip("\n")


def _sparks(lines: Sequence[Line], record: Record) -> list[str]:
    curves = [mean_curve(record.looks, line.runs).mean for line in lines]
    every = [x for curve in curves for x in curve]
    if not every:
        return ["" for _ in lines]
    return [spark(curve, curves[0][0] if curves[0] else max(every), min(every)) for curve in curves]


def _row(*parts: RenderableType) -> Grid:
    grid = Grid.grid(padding=(0, 1))
    grid.add_row(*parts)
    return grid
