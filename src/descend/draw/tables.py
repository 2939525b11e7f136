"""What the pages are made of: a console, formulas that break at operators, tables of equal columns."""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

ROOM = 24  # an explanation with less room goes below what it explains


def console(widest: int) -> Console:
    """A console for signs of every kind: plain text where stdout is no terminal or NO_COLOR is set."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure and (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        reconfigure(encoding="utf-8")  # formulas are made of signs that other encodings lack
    plain = bool(os.environ.get("NO_COLOR"))
    made = Console(highlight=False, emoji=False, markup=False, color_system=None if plain else "auto")
    made.width = min(made.width, widest)
    return made


def drop_output() -> None:
    """After a write that failed: what stdout did not take would be tried again, and fail, at the very end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def print_table(
    to: Console,
    rows: Sequence[Sequence[str]],
    header: Sequence[str] = (),
    right: Sequence[int] = (),
    indent: int = 2,
) -> None:
    """Rows of equal columns; the last one, an explanation, wraps, or goes below where there is no room.

    A row of one cell is a heading between rows. ``right``: the columns set to the right.
    """
    full = [row for row in (header, *rows) if len(row) > 1]
    *widths, _ = [max(map(cell_len, column)) for column in zip(*full, strict=True)]
    beside = to.width - indent - sum(w + 2 for w in widths)
    below = beside < ROOM
    left = 6 if below else to.width - beside

    def row_of(cells: Sequence[str], style: str) -> Text:
        shown = [padded(cell, widths[i], i in right) for i, cell in enumerate(cells)]
        return Text.assemble(" " * indent, (shown[0], style), *(f"  {cell}" for cell in shown[1:]))

    if header:
        line = row_of(header[:-1], "dim").append("" if below else f"  {header[-1]}")
        line.rstrip()
        to.print(line)
    for row in rows:
        if len(row) == 1:
            to.print()
            to.print(Text(row[0], style="bold"))
            continue
        line, explanation = row_of(row[:-1], "cyan"), textwrap.wrap(row[-1], to.width - left)
        if explanation and not below:
            line.append(f"  {explanation.pop(0)}")
        line.rstrip()
        to.print(line, no_wrap=True, overflow="ignore", crop=False)
        for part in explanation:
            to.print(Text(" " * left + part))


def padded(cell: str, width: int, right: bool) -> str:
    blank = " " * (width - cell_len(cell))
    return blank + cell if right else cell + blank
