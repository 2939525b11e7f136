"""The roofline of a run: bytes a rule must move against the time a parameter takes, above the streaming line.

A panel per workload. Ours are filled, peers hollow, at the bytes of our rule: a peer that moves more stands higher
for it. Points that would hide each other stand side by side; their names are in the key below and in their titles.
"""

from __future__ import annotations

import math
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from .speed import Cell, Peer

WIDTH, PLOT, LEFT, RIGHT, TOP = 960, 380, 64, 24, 54
LINE = 15  # between lines of text
WRAP = 150  # characters of the key
STYLE = """
svg{--paper:#fff;--ink:#1c1f24;--quiet:#5d6570;--rule:#dfe3e8;--ours:#0072b2;--theirs:#d55e00}
@media(prefers-color-scheme:dark){svg{--paper:#15181c;--ink:#e6e8eb;--quiet:#9aa3ad;--rule:#30363d;--ours:#5aa9e6;
--theirs:#ff8c42}}
.paper{fill:var(--paper)}text{font:11px system-ui,sans-serif;fill:var(--quiet)}.head{font-size:15px;font-weight:600}
.head,.name{fill:var(--ink)}.halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px}
.grid{stroke:var(--rule)}.limit{stroke:var(--ink);stroke-width:1.5;fill:none;stroke-dasharray:6 4}
.ours{fill:var(--ours)}.theirs{fill:var(--paper);stroke:var(--theirs);stroke-width:1.5}
""".replace("\n", "")
MARKS = {  # around the origin, about 8 units wide
    "torch": "M4 0A4 4 0 1 1 -4 0A4 4 0 1 1 4 0Z",
    "optax": "M-3.5 -3.5H3.5V3.5H-3.5Z",
    "pytorch_optimizer": "M0 -4.5L4.4 3.5H-4.4Z",
}
CONVERTERS: dict[str, Callable[[str, str], list[str]]] = {
    "rsvg-convert": lambda svg, png: ["rsvg-convert", "--zoom=2", "-o", png, svg],
    "inkscape": lambda svg, png: ["inkscape", f"--export-filename={png}", "--export-dpi=192", svg],
    "magick": lambda svg, png: ["magick", "-density", "192", svg, png],
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def refuses(file: Path) -> str | None:
    """Why no picture can be written there, or None."""
    if file.suffix not in (".svg", ".html", ".png"):
        return "the name must end in .svg, .html or .png"
    if file.suffix == ".png" and not any(map(shutil.which, (*CONVERTERS, *BROWSERS))):
        return f"a PNG needs one of {', '.join((*CONVERTERS, *BROWSERS))} on the PATH; .svg and .html need nothing"
    return None


def save(file: Path, cells: list[Cell], machine: dict[str, Any]) -> None:
    """Write the picture: an SVG, a page around it, or the SVG turned into a PNG.

    Raises:
        RuntimeError: the program that makes the PNG failed.
    """
    svg = picture(cells, machine)
    if file.suffix == ".png":
        _png(svg, file)
    else:
        file.write_text(page(svg, cells) if file.suffix == ".html" else svg + "\n", encoding="utf-8")


def picture(cells: list[Cell], machine: dict[str, Any]) -> str:
    """The SVG of every workload of the cells whose bytes are known."""
    shown = [cell for cell in cells if cell.bytes_per_param]
    workloads = list(dict.fromkeys(cell.workload for cell in shown))
    parts, y = [], 8
    for workload in workloads:
        part, height = _panel([cell for cell in shown if cell.workload == workload], y)
        parts.append(part)
        y += height
    about = f"{machine.get('cpu', '')}, {machine.get('threads', '?')} threads, torch {machine['versions']['torch']}"
    parts.append(f'<text x="{LEFT}" y="{y + 6}">{escape(about)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 18}" width="{WIDTH}" height="{y + 18}"'
        f' role="img" aria-label="Time per parameter against bytes moved, beside the streaming limit">'
        f'<style>{STYLE}</style><rect class="paper" width="{WIDTH}" height="{y + 18}"/>{"".join(parts)}</svg>'
    )


def _peers(cell: Cell) -> list[Peer]:
    """torch's fastest form, and the others."""
    return [*([cell.best] if cell.best else []), *(p for p in cell.peers if not p.name.startswith("torch"))]


def _panel(cells: list[Cell], top: int) -> tuple[str, int]:
    """One workload as SVG, and its height."""
    slopes = [cell.limit_ns / cell.bytes_per_param for cell in cells if cell.limit_ns and cell.bytes_per_param]
    slope = statistics.median(slopes) if slopes else None
    widths = [cell.bytes_per_param or 0 for cell in cells]
    lo, hi = 0.0, max(widths) + 8
    times = [x for cell in cells for x in (cell.ns_per_param, *(peer.ns_per_param for peer in _peers(cell)))]
    times += [slope * x for x in (min(widths), max(widths))] if slope else []
    bottom, ceiling = min(times) / 1.5, max(times) * 1.5
    begin, end = top + TOP, top + TOP + PLOT

    def x(value: float) -> float:
        return LEFT + (value - lo) / (hi - lo) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return end - math.log(value / bottom) / math.log(ceiling / bottom) * PLOT

    tensors = "one tensor" if cells[0].tensors == 1 else f"{cells[0].tensors:,} tensors"
    head = f"{cells[0].workload}: {tensors}, {cells[0].parameters:,} parameters"
    parts = [f'<text class="head" x="{LEFT}" y="{top + 18}">{escape(head)}</text>']
    parts.append(f'<text x="{LEFT}" y="{top + 36}">ns per parameter; {_legend(slope)}</text>')
    for value in _ticks(bottom, ceiling):
        parts.append(f'<path class="grid" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in range(0, int(hi) + 1, 8):
        parts.append(f'<path class="grid" d="M{x(value):.1f} {begin}V{end}"/>')
        parts.append(f'<text x="{x(value):.1f}" y="{end + 16}" text-anchor="middle">{value}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{end + 32}" text-anchor="end">bytes per parameter</text>')
    if slope:
        line = (k / 4 for k in range(int(4 * bottom / slope) + 1, int(4 * hi)) if slope * k / 4 > bottom)
        points = "L".join(f"{x(k):.1f} {y(slope * k):.1f}" for k in line)
        parts.append(f'<path class="limit" d="M{points}"/>')
    key = []
    for width, members in groupby(sorted(cells, key=_place), key=lambda cell: cell.bytes_per_param or 0.0):
        column = list(members)
        parts += _column(column, x(width), y)
        key += _wrapped(f"{width:g} bytes: ", [f"{cell.rule} {cell.ns_per_param:.3g}" for cell in column])
    for row, text in enumerate(key):
        parts.append(f'<text x="{LEFT}" y="{end + 50 + LINE * row}">{escape(text)}</text>')
    return "".join(parts), TOP + PLOT + 60 + LINE * len(key)


def _place(cell: Cell) -> tuple[float, float]:
    return cell.bytes_per_param or 0.0, cell.ns_per_param


def _legend(slope: float | None) -> str:
    limit = f"; dashed: streaming, {1 / slope:.1f} GB/s" if slope else ""
    return f"filled: descend; hollow: the fastest torch form (circle), optax (square), pytorch_optimizer{limit}"


def _column(cells: list[Cell], at: float, y: Callable[[float], float]) -> Iterator[str]:
    """The rules that move as many bytes: side by side, fastest first; peers above, with their names."""
    gap = min(5.0, 60 / len(cells))
    labels = []
    for k, cell in enumerate(cells):
        place = at + (k - (len(cells) - 1) / 2) * gap
        for peer in _peers(cell):
            kind = peer.name.split()[0]
            title = f"{cell.rule}, {peer.name}: {peer.ns_per_param:.3g} ns, {peer.speedup:.2f} times ours"
            yield _mark(place, y(peer.ns_per_param), MARKS.get(kind, MARKS["torch"]), "theirs", title)
            if kind == "torch":
                labels.append((y(peer.ns_per_param), cell.rule))
        share = f", {100 * cell.share:.0f} % of the limit" if cell.share else ""
        yield _mark(
            place, y(cell.ns_per_param), MARKS["torch"], "ours", f"{cell.rule}: {cell.ns_per_param:.3g} ns{share}"
        )
    low = -math.inf
    beside = at + gap * (len(cells) - 1) / 2 + 8
    for wanted, name in sorted(labels):
        low = max(wanted, low + 12)
        yield f'<text class="name halo" x="{beside:.1f}" y="{low + 4:.1f}">{escape(name)}</text>'


def _mark(x: float, y: float, path: str, kind: str, title: str) -> str:
    place = f'transform="translate({x:.1f} {y:.1f})"'
    return f'<path class="{kind}" d="{path}" {place}><title>{escape(title)}</title></path>'


def _wrapped(head: str, words: list[str]) -> list[str]:
    lines = [head]
    for word in words:
        if len(lines[-1]) + len(word) > WRAP:
            lines.append("    ")
        lines[-1] += word + ", "
    return [line.rstrip(", ") for line in lines]


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, or powers of ten alone where those are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 1000 else (1,)
    return [m * 10.0**p for p in powers for m in steps if low <= m * 10.0**p <= high]


def page(svg: str, cells: list[Cell]) -> str:
    """The picture with its numbers under it."""
    rows = []
    for cell in cells:
        share = f"{100 * cell.share:.1f} %" if cell.share is not None else ""
        torch = f"{cell.best.speedup:.2f} × {cell.best.name.removeprefix('torch ')}" if cell.best else ""
        width = f"{cell.bytes_per_param:g}" if cell.bytes_per_param is not None else ""
        values = (cell.workload, cell.rule, f"{cell.ns_per_param:.3g}", width, share, torch)
        rows.append("<tr>" + "".join(f"<td>{escape(value)}</td>" for value in values) + "</tr>")
    names = ("workload", "rule", "ns/parameter", "bytes/parameter", "of the limit", "against torch's best")
    head = "".join(f"<th>{name}</th>" for name in names)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        "<title>descend bench</title><style>body{font:15px system-ui,sans-serif;margin:2em auto;max-width:960px}"
        "svg{max-width:100%;height:auto}td,th{text-align:left;padding:.2em 1em .2em 0}</style>"
        f"{svg}<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></html>\n"
    )


def _png(svg: str, file: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "roofline.svg"
        source.write_text(svg, encoding="utf-8")
        tool = next(name for name in (*CONVERTERS, *BROWSERS) if shutil.which(name))
        if tool in CONVERTERS:
            command = CONVERTERS[tool](str(source), str(file.absolute()))
        else:
            height = svg.split('height="')[1].split('"')[0]
            command = [tool, "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{height}"]
            command += [f"--screenshot={file.absolute()}", source.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 or not file.is_file():
            raise RuntimeError(f"{tool} made no {file}: {done.stderr.strip()[-300:]}")
