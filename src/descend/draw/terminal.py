"""The terminal: a console for signs of every kind, tables for any width, formulas that break at operators."""

import contextlib
import io
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

ROOM = 24  # an explanation with less room goes below what it explains


def by_notebook() -> bool:
    """Whether this is a `!command` of a notebook, whose terminal shows every picture of a bar below the other."""
    return "JPY_PARENT_PID" in os.environ and os.environ.get("TERM") == "xterm-color"


def watched(file: Any) -> bool:
    """Whether what is written there can be drawn over: a terminal, and none of a notebook's."""
    return bool(getattr(file, "isatty", lambda: False)()) and not by_notebook()


def console(widest: int = sys.maxsize) -> Console:
    """A console on stdout: plain text where that is no terminal or NO_COLOR is set."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure and (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        reconfigure(encoding="utf-8")  # formulas are made of signs that other encodings lack
    plain = bool(os.environ.get("NO_COLOR"))
    made = Console(
        highlight=False, emoji=False, markup=False, color_system=None if plain else "auto", force_jupyter=False
    )
    made.width = min(made.width, widest)
    return made


def show(*parts: RenderableType) -> None:
    """Print to stdout."""
    to = console()
    for part in parts:
        to.print(part)


def paper(width: int) -> Console:
    """A console that keeps plain text; ``written`` reads it."""
    # In a notebook rich would show each part below the cell, and leave the file empty.
    return Console(
        file=io.StringIO(), width=width, color_system=None, highlight=False, emoji=False, markup=False,
        legacy_windows=False, force_jupyter=False,
    )  # fmt: skip


def written(on: Console) -> str:
    """What was printed on paper, its lines without spaces at the end."""
    return "\n".join(line.rstrip() for line in on.file.getvalue().splitlines())  # type: ignore[attr-defined]


def text(*parts: RenderableType, width: int = 100) -> str:
    """The same as plain text."""
    to = paper(width)
    for part in parts:
        to.print(part)
    return written(to)


def print_line(to: Console, line: str) -> None:
    """A line that stays one line, whatever the width: paths and log lines are for copying and grepping."""
    to.print(Text(line), soft_wrap=True)


def count(n: int, one: str, many: str = "") -> str:
    """``1 seed``, ``1,200 seeds``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def drop_output() -> None:
    """After a write that failed: what stdout did not take would be tried again, and fail, at the very end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass(frozen=True)
class Column:
    """`gives_way`: its turn to go where room lacks, the highest first; 0: never. `long`: where there is room."""

    name: str = ""
    right: bool = False
    gives_way: float = 0
    long: str = ""


class Table:
    """Rows of equal columns, in the width of whatever console prints them.

    Where they do not fit, the spaces between them shrink, then columns go by their turn. `prose`: the last column is an
    explanation, which wraps in the room that is left; at its turn it does not go but stands below.
    A row of one cell is a heading between rows. `columns`: `Column`s, or headings only. `style`: of the first cells.
    """

    def __init__(
        self,
        columns: Sequence[Column | str],
        rows: Sequence[Sequence[str | Text]],
        right: Sequence[str] = (),
        prose: bool = False,
        indent: int = 0,
        style: str = "",
    ) -> None:
        self.columns = [c if isinstance(c, Column) else Column(c, c in right) for c in columns]
        self.rows = [[x.copy() if isinstance(x, Text) else Text(x) for x in row] for row in rows]
        if wrong := [len(row) for row in self.rows if len(row) not in (1, len(self.columns))]:
            raise ValueError(f"{len(self.columns)} columns, and a row of {wrong[0]} cells")
        for row in self.rows:
            if style and self._cells(row):
                row[0].stylize(style)
        self.prose, self.indent = prose, indent
        lengths = [[x.cell_len for x in row] for row in self.rows if self._cells(row)]
        self.widths = [max([cell_len(c.name), *(row[i] for row in lengths)]) for i, c in enumerate(self.columns)]

    def _cells(self, row: Sequence[Text]) -> bool:
        """Whether it is a row of cells, not a heading."""
        return len(row) == len(self.columns)

    def fit(self, width: int) -> tuple[list[int], int, bool]:
        """The columns that are kept, the spaces between them, and whether the explanation stands below."""
        last = len(self.columns) - 1
        room = width - self.indent
        turn = self.columns[last].gives_way

        def fits(kept: list[int], gap: int, below: bool) -> bool:
            ends = 0 if below else min(self.widths[last], ROOM) if self.prose else 0
            first = [self.widths[i] for i in kept if not (self.prose and i == last)]
            return sum(first) + gap * (len(kept) - 1) + ends <= room

        whole = list(range(last + 1))
        least = [i for i in whole if self.columns[i].gives_way <= turn]
        below = self.prose and not fits(least, 2, False)
        kept = whole
        while True:
            for gap in (2,) if self.prose else (2, 1):
                if fits(kept, gap, below):
                    return kept, gap, below
            going = max((self.columns[i].gives_way for i in kept if i != last or not self.prose), default=0)
            if not going:
                return kept, 2 if self.prose else 1, below
            kept = [i for i in kept if self.columns[i].gives_way != going or (self.prose and i == last)]

    def hidden(self, width: int) -> str:
        """The line below a table that lacks columns for want of room; "" if it lacks none."""
        kept = self.fit(width)[0]
        gone = [c.long or c.name for i, c in enumerate(self.columns) if i not in kept and (c.long or c.name)]
        many = "column" if len(gone) == 1 else "columns"
        return f"{len(gone)} {many} hidden ({', '.join(gone)}): widen the terminal, or --json" if gone else ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        width = options.max_width
        kept, gap, below = self.fit(width)
        fixed = kept[:-1] if self.prose else kept
        left = 6 if below else self.indent + sum(self.widths[i] + gap for i in fixed)

        def line(cells: Sequence[Text]) -> Text:
            made = Text(" " * self.indent, overflow="fold")  # where even one column is too wide
            for n, i in enumerate(fixed):
                blank = " " * (self.widths[i] - cells[i].cell_len)
                parts = (blank, cells[i]) if self.columns[i].right else (cells[i], blank)
                made.append(" " * gap * bool(n)).append_text(Text.assemble(*parts))
            return made

        if any(column.name for column in self.columns):
            head = line([Text(column.name, "dim") for column in self.columns])
            if self.prose and not below:
                head.append(" " * gap).append(self.columns[-1].name, "dim")
            head.rstrip()
            yield head
        for row in self.rows:
            if not self._cells(row):
                yield Text()
                yield Text.assemble(row[0], style="bold")
                continue
            made, said = line(row), []
            if self.prose:
                lines = row[-1].plain.splitlines()
                said = [part.rstrip() for one in lines for part in textwrap.wrap(one, max(width - left, 8))]
            if said and not below:
                made.append(" " * (left - made.cell_len) + said.pop(0), row[-1].style)
            made.rstrip()
            yield made
            yield from (Text(" " * left + part, row[-1].style) for part in said)


# Words a line may break before, and how much rather it would not: a quotient holds together.
BREAKS = {**dict.fromkeys(("+", "−", "=", "∧", "\u2228", "if", "else"), 0.0), "/": 0.5, "·": 0.5}


def wrapped(line: str, width: int) -> Iterator[str]:
    """A formula broken before an operator: outside parentheses if it can be, and not too early."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    while cell_len(line) > width:
        depth, places = 0, []
        for i, sign in enumerate(line[:width]):
            depth += (sign in "([{") - (sign in ")]}")
            cost = 0.0 if depth and line[i - 1] in ",;" else BREAKS.get(line[i + 1 :].split(" ")[0])
            if sign == " " and i > len(indent) and cost is not None:
                places.append((i < width // 2, depth + cost, -i))
        if not places:
            break
        at = -min(places)[2]
        yield line[:at]
        line = indent + line[at + 1 :]
    yield line
