"""The roofline of a run: bytes a rule must move against the time a parameter takes, above the streaming line.

A panel per workload. Ours are filled, peers hollow, at the bytes of our rule: a peer that moves more stands higher
for it. Points that would hide each other stand side by side; their names are in the key below and in their titles.
"""

import json
import math
import statistics
import textwrap
from collections.abc import Callable
from dataclasses import replace
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from ..draw import axes
from ..draw.chart import Axis, Chart, Line, Mark, Note, Shape
from ..draw.page import both, download, page, table
from ..draw.svg import svg
from .speed import Cell, Peer

WRAP = 150  # characters of the key
SIGNS = {"torch": "circle", "optax": "square", "pytorch_optimizer": "up"}


def write(file: Path, cells: list[Cell], machine: dict[str, Any]) -> None:
    """Write the picture, or a page with its numbers."""
    if file.suffix == ".html":
        file.write_text(html(cells, machine), encoding="utf-8")
    else:
        axes.save(file, charts(cells, machine))


def plot(cells: list[Cell], workload: str | None, text: Callable[[], str], ax: Any) -> Any:
    """One workload on matplotlib's axes.

    Raises:
        ValueError: nothing measured there whose bytes are known.
    """
    there = [cell for cell in cells if cell.bytes_per_param]
    shown = [cell for cell in there if cell.workload == (workload if workload is not None else there[0].workload)]
    if not shown:
        names = ", ".join(dict.fromkeys(cell.workload for cell in there)) or "none at all"
        raise ValueError(f"workload {workload!r}: nothing measured there; measured are {names}")
    return axes.plot(panel(shown), text, ax)


def charts(cells: list[Cell], machine: dict[str, Any]) -> list[Chart]:
    """One for every workload of the cells whose bytes are known."""
    by_workload: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.bytes_per_param:
            by_workload.setdefault(cell.workload, []).append(cell)
    made = [panel(members) for members in by_workload.values()]
    if made:
        made[-1].foot.append(_about(machine))
    return made


def _about(machine: dict[str, Any]) -> str:
    return f"{machine.get('cpu', '')}, {machine.get('threads', '?')} threads, torch {machine['versions']['torch']}"


def _peers(cell: Cell) -> list[Peer]:
    """torch's fastest form, and the others."""
    return [*([cell.best] if cell.best else []), *(p for p in cell.peers if not p.name.startswith("torch"))]


def panel(cells: list[Cell]) -> Chart:
    """One workload."""
    slopes = [cell.limit_ns / cell.bytes_per_param for cell in cells if cell.limit_ns and cell.bytes_per_param]
    slope = statistics.median(slopes) if slopes else None
    widths = [cell.bytes_per_param or 0.0 for cell in cells]
    times = [x for cell in cells for x in (cell.ns_per_param, *(peer.ns_per_param for peer in _peers(cell)))]
    times += [slope * x for x in (min(widths), max(widths))] if slope else []
    end, bottom, top = max(widths) + 8, min(times) / 1.5, max(times) * 1.5
    tensors = "one tensor" if cells[0].tensors == 1 else f"{cells[0].tensors:,} tensors"
    chart = Chart(
        Axis(0, end, label="bytes per parameter", marks={k: str(k) for k in range(0, int(end) + 1, 8)}),
        Axis(bottom, top, log=True),
        "Time per parameter against bytes moved, beside the streaming limit",
        head=f"{cells[0].workload}: {tensors}, {cells[0].parameters:,} parameters",
        aside="ns per parameter",
        names="below",
    )
    if slope:
        line = [k / 4 for k in range(int(4 * bottom / slope) + 1, int(4 * end)) if slope * k / 4 > bottom]
        times = [slope * k for k in line]
        chart.add(Line(line, times, "ink", (6, 4), 1.5, name=f"streaming, {1 / slope:.1f} GB/s"))
    for width, members in groupby(sorted(cells, key=_place), key=lambda cell: cell.bytes_per_param or 0.0):
        column = list(members)
        chart.add(*_column(column, width, end, (top / bottom) ** 0.036))
        said = ", ".join(f"{cell.rule} {cell.ns_per_param:.3g}" for cell in column)
        chart.foot += textwrap.wrap(f"{width:g} bytes: {said}", WRAP, subsequent_indent="    ")
    chart.shapes = _key(chart.shapes)
    return chart


def _place(cell: Cell) -> tuple[float, float]:
    return cell.bytes_per_param or 0.0, cell.ns_per_param


def _column(cells: list[Cell], at: float, end: float, apart: float) -> list[Shape]:
    """The rules that move as many bytes: side by side, fastest first; peers above, with their names."""
    gap = min(0.0058, 0.07 / len(cells)) * end
    found: list[Shape] = []
    labels = []
    for k, cell in enumerate(cells):
        x = at + (k - (len(cells) - 1) / 2) * gap
        for peer in _peers(cell):
            kind = peer.name.split()[0]
            title = f"{cell.rule}, {peer.name}: {peer.ns_per_param:.3g} ns, {peer.speedup:.2f} times ours"
            found.append(Mark(x, peer.ns_per_param, SIGNS.get(kind, "circle"), "s1", hollow=True, title=title))
            if kind == "torch":
                labels.append((peer.ns_per_param, cell.rule))
        share = f", {100 * cell.share:.0f} % of the limit" if cell.share else ""
        found.append(Mark(x, cell.ns_per_param, title=f"{cell.rule}: {cell.ns_per_param:.3g} ns{share}"))
    low = math.inf
    for wanted, name in sorted(labels, reverse=True):
        low = min(wanted, low / apart)
        found.append(Note(at + gap * (len(cells) - 1) / 2, low, name, dx=8))
    return found


def _key(shapes: list[Shape]) -> list[Shape]:
    """The first mark of each kind gets the name of its kind."""
    names = {("circle", False): "descend", ("circle", True): "torch's fastest form", ("square", True): "optax"}
    names["up", True] = "pytorch_optimizer"
    return [
        replace(shape, name=names.pop((shape.sign, shape.hollow), "")) if isinstance(shape, Mark) else shape
        for shape in shapes
    ]


def html(cells: list[Cell], machine: dict[str, Any]) -> str:
    """The pictures with their numbers under them."""
    rows = []
    for cell in cells:
        share = f"{100 * cell.share:.1f} %" if cell.share is not None else ""
        torch = f"{cell.best.speedup:.2f} × {cell.best.name.removeprefix('torch ')}" if cell.best else ""
        width = f"{cell.bytes_per_param:g}" if cell.bytes_per_param is not None else ""
        rows.append((cell.workload, cell.rule, f"{cell.ns_per_param:.3g}", width, share, torch))
    names = ("workload", "rule", "ns/parameter", "bytes/parameter", "of the limit", "against torch's best")
    body = ["<h1>Speed against the limit of memory</h1>", f'<p class="quiet">{escape(_about(machine))}</p>']
    for k, chart in enumerate(charts(cells, machine)):
        body.append(f"<h2>{escape(chart.head)}</h2>")
        wide = replace(chart, head="", foot=[])  # the table below says it
        narrow = replace(wide, shapes=[shape for shape in chart.shapes if not isinstance(shape, Note)])
        body.append(both(svg(wide, 860, 380, f"roof{k}"), svg(narrow, 340, 380, f"roof{k}-narrow")))
    body.append(table(rows, names, range(2, 6), "Every number", name=1))
    raw = json.dumps({"machine": machine, "cells": [cell.record() for cell in cells]})
    body.append(f'<p class="quiet">{download("bench.json.gz", raw, "The same as JSON")}</p>')
    return page("descend bench", "\n".join(body))
