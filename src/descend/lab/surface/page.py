"""The page of a run: the map on which marks walk, the table, the heights, and what was done how."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from ...draw.chart import Chart
from ...draw.page import Markup, both, download, page, table
from ...draw.svg import svg, swatch
from . import picture
from .paths import Path
from .surface import Surface
from .table import HEAD, row

SECONDS = 8.0
HOW = """<p>Every path is made by the library's own optimizer, in float64; nothing is drawn by a copy of a rule. A rule
is <em>there</em> from the step on from which it stays within {near:g} of a minimum, a star on the map. The lower a
place, the nearer its colour is to that of the page. A path that has left every bound has
diverged; a cross and the step stand where it left the picture for good. The marks
on the map walk {steps} steps in {seconds:g} seconds, all rules at the same pace.</p>"""


def html(surface: Surface, paths: list[Path], map_: Chart, story: str, said: str, csv: str) -> str:
    """The whole page, in one file. `said`: what ran. `csv`: for download."""
    drawn = replace(map_, head="", foot=[])  # the page says it
    rows = [[Markup(swatch(k) + escape(path.rule)), *row(path)[1:]] for k, path in enumerate(paths)]
    by_step = picture.heights(surface, paths)
    formula = f"f(x, y) = {escape(surface.formula)} · " if surface.formula else ""
    body = [
        f"<h1>{escape(surface.title)}</h1>",
        f'<p class="lead">{escape(story)}</p>' if story else "",
        f'<p class="quiet">{formula}{escape(said)}</p>',
        both(svg(drawn, 960, 560, "map"), svg(drawn, 332, 300, "map-narrow")),
        table(rows, HEAD, right=(1, 2), caption="How far each came"),
        both(svg(by_step, 960, 260, "by-step"), svg(by_step, 332, 240, "by-step-narrow")),
        "<h2>How this was made</h2>",
        HOW.format(near=surface.near, steps=max(path.steps for path in paths), seconds=SECONDS),
        "<p>" + download(f"surface-{surface.name}.csv.gz", csv, "All points and heights") + "</p>",
    ]
    return page(f"{surface.title}: paths of rules", "\n".join(body))
