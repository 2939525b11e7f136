"""The report of ``descend check``: a line per check as it is done, and at the end what is to be mended."""

import textwrap
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from ...core.shown import Shown
from ...draw.terminal import paper, written

GREEN, RED, WARNING, SKIPPED = "green", "red", "warning", "skipped"


@dataclass(frozen=True)
class Outcome:
    """What a check found: ``seen`` with its numbers, and ``advice`` where something is to be done."""

    status: str
    seen: str
    advice: str = ""


def green(seen: str) -> Outcome:
    return Outcome(GREEN, seen)


def red(seen: str, advice: str) -> Outcome:
    return Outcome(RED, seen, advice)


def warning(seen: str, advice: str = "") -> Outcome:
    return Outcome(WARNING, seen, advice)


def skipped(reason: str, advice: str = "") -> Outcome:
    return Outcome(SKIPPED, reason, advice)


@dataclass(frozen=True)
class Result:
    """A check and its outcome; ``seconds`` it took."""

    name: str
    promise: str
    outcome: Outcome
    seconds: float = 0.0

    @property
    def status(self) -> str:
        return self.outcome.status


@dataclass
class Report(Shown):
    """All results on one rule (or engine), in order."""

    of: str
    results: list[Result] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is red."""
        return not self.named(RED)

    def named(self, status: str) -> list[str]:
        """The names of the checks with this status."""
        return [result.name for result in self.results if result.status == status]

    def as_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        lines = [
            {"name": r.name, "promise": r.promise, **asdict(r.outcome), "seconds": r.seconds} for r in self.results
        ]
        return {"of": self.of, "ok": self.ok, "checks": lines}

    def __str__(self) -> str:
        return plain(self)


WIDTH = 100
MARKS = {GREEN: ("✓", "green"), RED: ("✗", "bold red"), WARNING: ("!", "yellow"), SKIPPED: ("·", "dim")}
NARROW = 60  # below it an explanation stands under its check and not beside


def print_result(to: Console, result: Result, column: int) -> None:
    """One check: mark, name, promise; what was seen where it matters; what to do about it."""
    mark, style = MARKS[result.status]
    beside = to.width >= NARROW
    left = 4 + column if beside else 4
    said = _said(result)
    head = Text.assemble((mark, style), " ", (result.name.ljust(column) if beside else result.name, "bold"))
    first = said.pop(0)
    if beside:
        lines = wrapped(first, to.width - left)
        to.print(head.append(f"  {lines[0]}"), no_wrap=True, overflow="ignore", crop=False)
        rest = lines[1:]
    else:
        to.print(head)
        rest = wrapped(first, to.width - left)
    for line in [*rest, *(line for part in said for line in wrapped(part, to.width - left))]:
        to.print(Text(" " * left + line), no_wrap=True, overflow="ignore", crop=False)


def _said(result: Result) -> list[str]:
    """The paragraphs of a result. What is green is one line; of what is not, everything is told."""
    outcome = result.outcome
    if outcome.status == GREEN:
        return [f"{result.promise} ({_short(outcome.seen)})" if outcome.seen else result.promise]
    if outcome.status == SKIPPED:
        return [f"Not checked: {outcome.seen}." if not outcome.seen.startswith("not ") else f"{outcome.seen}."] + (
            [outcome.advice] if outcome.advice else []
        )
    return [result.promise, f"Seen: {outcome.seen}.", *([f"Do: {outcome.advice}"] if outcome.advice else [])]


def _short(seen: str) -> str:
    return seen if len(seen) <= 160 else seen[:157] + "..."


def wrapped(text: str, width: int) -> list[str]:
    """Lines that fit; code in an advice keeps its own lines and its indentation."""
    lines = []
    for paragraph in text.split("\n"):
        indent = " " * (len(paragraph) - len(paragraph.lstrip()))
        lines += textwrap.wrap(paragraph, max(width, 12), subsequent_indent=indent, break_on_hyphens=False) or [""]
    return lines


def verdict(report: Report) -> str:
    """One sentence on all checks."""
    counts = {status: len(report.named(status)) for status in MARKS}
    words = [f"{counts[GREEN]} green"]
    words += [f"{counts[RED]} red: {', '.join(report.named(RED))}"] if counts[RED] else []
    words += [f"{counts[WARNING]} to look at: {', '.join(report.named(WARNING))}"] if counts[WARNING] else []
    words += [f"{counts[SKIPPED]} not checked"] if counts[SKIPPED] else []
    return f"{report.of}: {'; '.join(words)}"


def column_of(names: Any) -> int:
    return max(map(len, names), default=0)


def plain(report: Report, width: int = 80) -> str:
    """The whole report as text."""
    page = paper(width)
    column = column_of(result.name for result in report.results)
    for result in report.results:
        print_result(page, result, column)
    page.print(Text("\n".join(wrapped(verdict(report), width))))
    return written(page) + "\n"
