"""The page of a run: the map on which marks walk, the table, the heights, and what was done how."""

from dataclasses import replace
from html import escape

from ...draw.chart import Chart
from ...draw.page import Markup, both, download, page, report, table
from ...draw.svg import svg, swatch
from . import picture
from .paths import Path
from .surface import Surface
from .table import HEAD, row

SECONDS = 8.0


def html(surface: Surface, paths: list[Path], map_: Chart, story: str, said: str, csv: str) -> str:
    """The whole page, in one file. `said`: what ran. `csv`: for download."""
    drawn = replace(map_, head="", foot=[])  # the page says it
    rows = [[Markup(swatch(k) + escape(path.rule)), *row(path)[1:]] for k, path in enumerate(paths)]
    by_step = picture.heights(surface, paths)
    evidence = [
        both(svg(drawn, 960, 560, "map"), svg(drawn, 332, 300, "map-narrow")),
        table(rows, HEAD, right=(1, 2), caption="How far each came"),
        both(svg(by_step, 960, 260, "by-step"), svg(by_step, 332, 240, "by-step-narrow")),
    ]
    steps = max(path.steps for path in paths)
    method = [
        (f"f(x, y) = {escape(surface.formula)}. " if surface.formula else "") + f"{escape(said)}.",
        "Every path is made by the library's own optimizer, in float64; nothing is drawn by a copy of a rule.",
        f"A rule is <em>there</em> from the step on from which it stays within {surface.near:g} of a minimum, a star "
        "on the map. A path that has left every bound has diverged; a cross and the step stand where it left the "
        "picture for good.",
        "The lower a place, the nearer its colour is to that of the page. The marks on the map walk "
        f"{steps} steps in {SECONDS:g} seconds, all rules at the same pace.",
        "What this does not show: which rule is better. Two parameters and one start say what a rule does, and at "
        "another rate the order is another one; on data, let them race: <code>descend race</code>.",
    ]
    data = download(f"surface-{surface.name}.csv.gz", csv, "All points and heights")
    body = report(
        f"descend surface {surface.name}", answer(surface, paths), [story] * bool(story), evidence, method, data
    )
    return page(f"{surface.title}: paths of rules", body)


def answer(surface: Surface, paths: list[Path]) -> str:
    """Who is at a minimum first, in a few words."""
    there = [(path.reached, path.rule) for path in paths if path.reached is not None]
    if not there:
        return f"{surface.title}: none is at a minimum after {max(path.steps for path in paths)} steps"
    soonest = min(there)[0]
    first = " and ".join(rule for step, rule in there if step == soonest)
    of = f", first of {len(paths)}," if len(paths) > 1 else ""
    return f"{surface.title}: {first} is there{of} at step {soonest}"
