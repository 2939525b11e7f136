"""The page of a result about a real landscape: the answer, its picture, its table, and what was done how."""

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from ....draw.chart import Chart
from ....draw.page import Markup, both, download, page, report, table
from ....draw.svg import svg, swatch


def html(
    command: str,
    answer: str,
    drawn: Chart,
    height: int,
    rows: Sequence[tuple[int, Sequence[str]]],
    head: Sequence[str],
    caption: str,
    method: Sequence[str],
    data: tuple[str, str],
) -> str:
    """The whole page, in one file.

    Args:
        rows: (which series, cells), the first cell its name. method: points as text. data: file name and content.
    """
    drawn = replace(drawn, head="", foot=[])  # the page says it
    evidence = [both(svg(drawn, 960, height, "picture"), svg(drawn, 332, max(240, height // 2), "picture-narrow"))]
    if rows:
        named = [[Markup(swatch(k) + escape(cells[0])), *cells[1:]] for k, cells in rows]
        evidence.append(table(named, head, right=range(1, len(head)), caption=caption))
    said = download(*data, "All numbers")
    return page(answer, report(command, answer, [], evidence, [escape(point) for point in method], said))
