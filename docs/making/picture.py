"""One picture per rule: its paths on the two surfaces, or its curve on the memory, beside those of its parent.

Each picture is 360 units wide, so that it is readable on a telephone. Written by hand, in whole numbers: 71 pictures
of two paths of 200 points and two surfaces take 0.6 MB; matplotlib's would take seven times that. The parent's line is
dashed, so that colour is never all there is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from descend.core.rule import Rule
from descend.draw.chart import Axis, Chart, Line, Mark
from descend.draw.palette import CHART, FONT
from descend.draw.svg import element, panel
from descend.explain import tree

from .runs import GRID, MEMORY, PAIRS, ROSENBROCK, STEEP, STEPS, TURN, Run, Task, tasks_of, tuned

WIDTH, HEIGHT, PANEL, TOP, MARGIN = 360, 256, 168, 46, 8
FINE = 10  # paths are drawn in tenths of a unit, as whole numbers
LEVELS = (300, 100, 30, 10, 3, 0.5)  # where the bands of a surface end; each lies on the one before
STYLE = (
    f"text{{font:11px {FONT};fill:var(--ink)}}.chart .n{{font-size:15px;font-weight:600;fill:var(--ink)}}"
    ".chart .d{fill:var(--quiet)}"
    "path,circle,ellipse{fill:none;stroke-linejoin:round}.a{fill:var(--quiet);opacity:.3}"
    ".b{fill:var(--paper);fill-opacity:.3;stroke:var(--quiet);stroke-opacity:.6;stroke-width:5}"
    ".h{stroke:var(--paper);stroke-width:34;stroke-opacity:.8}.r{stroke:var(--s1);stroke-width:17}.f{fill:var(--s1)}"
    ".p{stroke:var(--s0);stroke-width:15;stroke-dasharray:40 26}"
    ".t{stroke:var(--quiet);stroke-width:8}.k{stroke:var(--ink);stroke-width:14}"
)
DOT = '<marker id="s" markerUnits="userSpaceOnUse" markerWidth="40" markerHeight="40" refX="20" refY="20">'
DOT += '<circle class="f" cx="20" cy="20" r="17"/></marker>'


def picture(rule: Rule) -> str:
    """The SVG of one rule."""
    tasks, above = tasks_of(rule), tree.parent(rule)
    runs = [tuned(rule, task) for task in tasks]
    parents = [tuned(above, task) if above else None for task in tasks]
    if tasks == (MEMORY,):
        charts = (_curves(runs[0], parents[0]), _pairs(runs[0], parents[0]))
        panels = [panel(chart, PANEL, PANEL - 36, f"m{k}") for k, chart in enumerate(charts)]
        captions = [(MEMORY.name, _result(runs[0])), ("Error of each pair at the end", "often seen … rarely seen")]
    else:
        panels = [_surface(k, *of) for k, of in enumerate(zip(tasks, runs, parents, strict=True))]
        captions = [(task.name, _result(run)) for task, run in zip(tasks, runs, strict=True)]
    told = "; ".join(f"{task.name}: {_result(run)}" for task, run in zip(tasks, runs, strict=True))
    parts = [
        f'<defs>{DOT}<clipPath id="c"><rect width="{PANEL}" height="{PANEL}" rx="4"/></clipPath></defs>',
        _key(14, "r", rule.name, "n"),
        _key(33, "p", f"{above.name}, its parent, tuned alike", "d") if above else "",
    ]
    for i, (drawn, lines) in enumerate(zip(panels, captions, strict=True)):
        x = MARGIN + i * (PANEL + MARGIN)
        parts.append(f'<g transform="translate({x} {TOP})" clip-path="url(#c)">{drawn}</g>')
        for row, (line, kind) in enumerate(zip(lines, ("", ' class="d"'), strict=True)):
            parts.append(f'<text x="{x}" y="{TOP + PANEL + 16 + 15 * row}"{kind}>{line}</text>')
    style = CHART * (tasks == (MEMORY,)) + STYLE
    return element("".join(parts), WIDTH, HEIGHT, f"{rule.name}. {told}", alone=True, style=style) + "\n"


def _key(y: int, kind: str, name: str, style: str) -> str:
    line = f'<path class="{kind}" transform="translate({MARGIN} {y}) scale({1 / FINE})" d="M0 0H240"/>'
    return f'{line}<text class="{style}" x="{MARGIN + 30}" y="{y + 4}">{name}</text>'


def _result(run: Run) -> str:
    edge = " (edge)" if run.lr in (GRID[0], GRID[-1]) else ""
    return f"lr {run.lr:g}{edge} · loss {run.losses[-1]:.0e}"


# Surfaces


def _surface(k: int, task: Task, run: Run, other: Run | None) -> str:
    parts = [_ground(task)]
    if other is not None:
        parts.append(_line(f"p{k}", _places(task, other.shipped), 'class="p"'))
    if not np.array_equal(run.trained, run.shipped):
        parts.append(f'<path class="t" d="{_path(_places(task, run.trained))}"/>')
    dots = 'marker-start="url(#s)" marker-mid="url(#s)" marker-end="url(#s)"'
    parts.append(_line(f"r{k}", _places(task, run.shipped), f'class="r" {dots}'))
    (x, y), (u, v) = _places(task, [task.start, task.best])
    parts.append(f'<circle class="k" cx="{x}" cy="{y}" r="42"/>')
    parts.append(f'<path class="k" d="M{u - 40} {v - 40}l80 80m0-80l-80 80"/>')
    return f'<g transform="scale({1 / FINE})">{"".join(parts)}</g>'


def _line(name: str, points: list[tuple[int, int]], how: str) -> str:
    """A line above its halo of paper: both are the same path, which stands in the file once."""
    path = f'<defs><path id="{name}" d="{_path(points)}"/></defs>'
    return f'{path}<use href="#{name}" class="h"/><use href="#{name}" {how}/>'


def _places(task: Task, points: Any) -> list[tuple[int, int]]:
    """Points of the plane in the units of the panel; what is far outside is brought nearer."""
    (left, right), (low, high) = task.frame
    unit = PANEL * FINE
    places = [((x - left) / (right - left) * unit, (high - y) / (high - low) * unit) for x, y in points]
    return [(round(min(max(x, -9e4), 9e4)), round(min(max(y, -9e4), 9e4))) for x, y in places]


def _ground(task: Task) -> str:
    """The surface in bands of height, the highest first: what lies on more paper is lower."""
    parts = [f'<rect class="a" width="{PANEL * FINE}" height="{PANEL * FINE}"/>']
    for level in LEVELS:
        if task is ROSENBROCK:
            parts.append(f'<path class="b" d="{_path(_places(task, _bend(task, level)))}Z"/>')
        else:
            (x, y), unit = _places(task, [task.best])[0], PANEL * FINE / (task.frame[0][1] - task.frame[0][0])
            long, short = (round(unit * math.sqrt(2 * level / curvature)) for curvature in (1, STEEP))
            turn = f"translate({x} {y}) rotate({-math.degrees(TURN):.0f})"
            parts.append(f'<ellipse class="b" rx="{long}" ry="{short}" transform="{turn}"/>')
    return "".join(parts)


def _bend(task: Task, level: float) -> Iterator[tuple[float, float]]:
    """Where (1 − x)² + 100·(y − x²)² is ``level``, around."""
    edge = task.frame[0][1] + 0.1  # beyond the frame nothing is seen
    left, right = max(-edge, 1 - math.sqrt(level)), min(edge, 1 + math.sqrt(level))
    for angle in np.linspace(0, 2 * math.pi, 56, endpoint=False):
        x = (left + right) / 2 + (right - left) / 2 * math.cos(angle)
        yield x, x * x + math.copysign(math.sqrt(max(level - (1 - x) ** 2, 0)) / 10, math.sin(angle))


def _path(points: list[tuple[int, int]]) -> str:
    """Relative and whole, so short; steps too small to see are left out."""
    text, (x, y) = f"M{points[0][0]} {points[0][1]}", points[0]
    for a, b in points[1:]:
        if (a, b) != (x, y):
            text += f"l{a - x}{' ' if b >= y else ''}{b - y}"
            x, y = a, b
    return text


# The memory


def _curves(run: Run, other: Run | None) -> Chart:
    chart = Chart(Axis(0, STEPS), Axis(1e-8, 2, log=True), "the loss by step")
    if other is not None:
        chart.add(Line(range(len(other.losses)), other.losses, "s0", (4, 2.6), 1.5))
    chart.add(Line(range(len(run.losses)), run.losses, "s1", width=1.7))
    return chart


def _pairs(run: Run, other: Run | None) -> Chart:
    """The error of each pair, from the most to the least frequent; the parent's hollow."""
    assert MEMORY.each is not None
    chart = Chart(Axis(0, PAIRS + 1, marks={}), Axis(1e-8, 2, log=True), "the error of each pair")
    for of, colour in ((other, "s0"), (run, "s1")):
        errors = MEMORY.each(of.shipped[-1]) if of is not None else []
        chart.add(*(Mark(k, max(e, 1e-8), "circle", colour, of is other) for k, e in enumerate(errors, start=1)))
    return chart
