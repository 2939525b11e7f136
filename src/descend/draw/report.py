"""Tables of what was found, for terminals of any width."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.table import Table


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> Table:
    """Rows under headings; the last column, an explanation, takes the room that is left."""
    made = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    for i, name in enumerate(columns):
        numeric, last = name in right, i == len(columns) - 1
        made.add_column(
            name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold", ratio=1 if last else None
        )
    for row in rows:
        made.add_row(*row)
    return made


def show(*parts: RenderableType) -> None:
    """Print to stdout: coloured in a terminal, plain elsewhere and where NO_COLOR is set."""
    to = _console()
    for part in parts:
        to.print(part)


def width() -> int:
    """Of the terminal, in characters."""
    return _console().width


def _console() -> Console:
    plain = bool(os.environ.get("NO_COLOR"))
    return Console(highlight=False, emoji=False, markup=False, color_system=None if plain else "auto")


def text(*parts: RenderableType, width: int = 100) -> str:
    """The same as plain text, its lines without spaces at the end."""
    console = Console(
        file=io.StringIO(),
        width=width,
        color_system=None,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]
