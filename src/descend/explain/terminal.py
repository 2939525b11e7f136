"""What the pages are made of: a console, formulas that break at operators, tables of equal columns."""

from __future__ import annotations

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


# Words a line may break before, and how much rather it would not: a quotient holds together.
BREAKS = {**dict.fromkeys(("+", "−", "=", "∧", "\u2228", "if", "else"), 0.0), "/": 0.5, "·": 0.5}


def wrapped(line: str, width: int) -> Iterator[str]:
    """A formula broken before an operator: outside parentheses if it can be, and not too early."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    while cell_len(line) > width:
        depth, places = 0, []
        for i, sign in enumerate(line[:width]):
            depth += (sign in "([{") - (sign in ")]}")
            cost = 0.0 if depth and line[i - 1] == "," else BREAKS.get(line[i + 1 :].split(" ")[0])
            if sign == " " and i > len(indent) and cost is not None:
                places.append((i < width // 2, depth + cost, -i))
        if not places:
            break
        at = -min(places)[2]
        yield line[:at]
        line = indent + line[at + 1 :]
    yield line


def print_table(
    to: Console, rows: Sequence[Sequence[str]], right: Sequence[int] = (), indent: int = 2
) -> None:
    """Rows of equal columns; the last one, an explanation, wraps, or goes below where there is no room.

    A row of one cell is a heading.
    """
    full = [row for row in rows if len(row) > 1]
    *widths, _ = [max(map(cell_len, column)) for column in zip(*full, strict=True)] if full else [0, 0]
    room = to.width - indent - sum(w + 2 for w in widths)
    for row in rows:
        *cells, last = row if len(row) > 1 else ["", row[0]]
        if len(row) == 1:
            to.print()
            to.print(Text(last, style="bold"))
            continue
        shown = [padded(cell, w, i in right) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))]
        head = Text(" " * indent)
        for i, cell in enumerate(shown):
            head.append(
                cell + "  ", style="cyan" if (i == 0 and row is not rows[0]) or (indent and i == 0) else ""
            )
        below = room < ROOM
        text_lines = textwrap.wrap(last, to.width - 6 if below else room) or [""]
        if not below:
            head.append(text_lines.pop(0))
        head.rstrip()
        to.print(head, no_wrap=True, overflow="ignore", crop=False)
        for line in text_lines:
            to.print(Text(" " * (6 if below else to.width - room) + line), no_wrap=True)


def padded(cell: str, width: int, right: bool) -> str:
    blank = " " * (width - cell_len(cell))
    return blank + cell if right else cell + blank
