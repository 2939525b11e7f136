"""The picture of a finding: in the terminal, as SVG or PNG, and on a page."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...core.shown import Shown
from ...draw.braille import braille
from ...draw.scene import Area, Dot, Dots, Line, Scale, Scene, Text
from . import words
from .evidence import Found
from .words import loss, rate

WIDTH, HEIGHT = 820, 500
LEFT, RIGHT, BOTTOM = 58, 22, 78
ROW = 17  # height of a row of labels
LETTER = 6.7  # mean width of a letter of 12 pixels


class Picture(Shown):
    """What `Found.plot()` returns. In a notebook it shows itself."""

    def __init__(self, finding: Found, html: Callable[[], str]) -> None:
        self.finding, self.html = finding, html

    def save(self, path: str | Path) -> Path:
        """Write an .svg, .png or .html; returns the path.

        Raises:
            ValueError: another ending.
        """
        path = Path(path)
        kind = path.suffix.lower()
        if kind == ".svg":
            path.write_text(self.svg(), encoding="utf-8")
        elif kind == ".html":
            path.write_text(self.html(), encoding="utf-8")
        elif kind == ".png":
            from ...draw.raster import png

            path.write_bytes(png(scene(self.finding)))
        else:
            raise ValueError(f"{path.name}: the ending says what to write; .svg, .png or .html")
        return path

    def svg(self) -> str:
        return scene(self.finding).svg()

    def _picture(self) -> str:
        return self.svg()

    def _text(self) -> str:
        return ""

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f'<picture of {self.finding!r}: .save("lr.svg")>'

    def text(self, width: int | None = None) -> str:
        """The curve in braille signs, the rates below it, and the reason; no line longer than `width`, 36 to 100."""
        finding = self.finding
        width = max(36, min(width or shutil.get_terminal_size((80, 24)).columns, 100))
        lrs, mean = _mean(finding)
        shown = np.where(mean <= _top(finding), mean, np.nan)
        margin = 2 + max(len(f"{v:.4g}") for v in (np.nanmin(shown), np.nanmax(shown)))
        marks = {f"lr {rate(finding.lr)}": finding.lr}
        if width >= 60:
            marks |= finding.suggestions
        drawing = braille(lrs, shown, width - margin, 8 if width < 60 else 12, log_x=True, marks=marks)
        rows = [(name, rate(lr)) for name, lr in finding.suggestions.items()]
        rows += [
            ("band", f"{rate(finding.band[0])} to {rate(finding.band[1])}"),
            ("plateau", f"{rate(finding.plateau[0])} to {rate(finding.plateau[1])}"),
            ("widest stable", rate(finding.widest_stable)),
            ("one cycle", f"{rate(finding.one_cycle[0])} to {rate(finding.one_cycle[1])}"),
        ]
        table = "\n".join(f"  {name:14} {value}" for name, value in rows)
        return f"{drawing}\n\n{table}\n\n{textwrap.fill(words.reason(finding), width)}"


def scene(finding: Found) -> Scene:
    """The picture: curves, band of the repeats, suggestions, probes, plateau, the chosen rate."""
    lrs, mean = _mean(finding)
    labels = _labels(finding)
    first, last = float(lrs[0]), max(float(lrs[-1]), *(lr for _, lr, *_ in labels))
    top = _top(finding)
    floor = min([float(np.nanmin(mean)), *(p.loss for p in finding.probes if math.isfinite(p.loss))])
    bottom = 0.0 if floor >= 0 else floor - 0.08 * (top - floor)
    x = Scale(first, last, LEFT, WIDTH - RIGHT, log=True)
    placed, rows = _rows(labels, x)
    head = 44 + ROW * rows + 8
    y = Scale(bottom, top, HEIGHT - BOTTOM, head)
    picture = Scene(WIDTH, HEIGHT, f"learning-rate range test of {finding.rule}: {rate(finding.lr)}")
    picture.add(Text((LEFT, 26), f"{finding.rule}: learning rate {rate(finding.lr)}", "ink", 17, bold=True))
    trust = words.confidence(words.doubts(finding))
    told = f"{trust} confidence · {finding.evaluations} gradients · {finding.seconds:.1f} s"
    picture.add(Text((WIDTH - RIGHT, 26), told, anchor="end"))
    _axes(picture, x, y)
    _plateau(picture, finding, x, y)
    _curves(picture, finding, x, y)
    for _, lr, colour, bold, row in placed:  # first all lines, then the labels over them
        at, end = x(lr), y.start
        if colour == "ink" and lr <= lrs[-1]:
            end = y(min(float(np.interp(math.log(lr), np.log(lrs), mean)), top))
            picture.add(Dot((at, end), 3.6, "ink"))
        up = 44 + ROW * (row + 1) + 1
        picture.add(Line(((at, up), (at, end)), colour, 2.4 if bold else 1.1, None if bold else (3, 3)))
    for label, lr, colour, bold, row in placed:
        up = 44 + ROW * (row + 1) - 4
        picture.add(Text((_inside(x(lr), label), up), label, colour, 12.5 if bold else 12, "middle", bold))
    for probe in finding.probes:
        at, tried = x(probe.lr), probe.loss if math.isfinite(probe.loss) else top
        if tried < top:
            good = finding.evidence.plateau and probe.lr in finding.evidence.plateau
            picture.add(Dot((at, y(tried)), 5, "plateau" if good else "quiet", hollow=True))
        else:
            picture.add(*(Line(((at - 4, y.end + 4 + d), (at + 4, y.end + 12 - d)), "quiet", 2) for d in (0, 8)))
    _key(picture, finding)
    return picture


def _mean(finding: Found) -> tuple[np.ndarray, np.ndarray]:
    """The mean smoothed curve over the repeats, as far as the first of them got."""
    n = min(int(np.isfinite(c.smoothed).sum()) for c in finding.curves)
    return finding.curve.lr[:n], np.mean([c.smoothed[:n] for c in finding.curves], axis=0)


def _top(finding: Found) -> float:
    """What lies above a little more than the first loss is off the picture."""
    firsts = [float(c.smoothed[0]) for c in finding.curves]
    lowest = min(float(c.smoothed[c.minimum]) for c in finding.curves)
    return max(firsts) + 0.25 * max(max(firsts) - lowest, 0.04 * abs(max(firsts)), 1e-12)


def _labels(finding: Found) -> list[tuple[str, float, str, bool]]:
    found = [(name, lr, "ink", False) for name, lr in finding.suggestions.items()]
    found.append(("widest stable", finding.widest_stable, "stable", False))
    return [*found, (f"lr {rate(finding.lr)}", finding.lr, "chosen", True)]


def _rows(labels: list[tuple[str, float, str, bool]], x: Scale) -> tuple[list[tuple[str, float, str, bool, int]], int]:
    """Each label with the row in which it stands clear of its neighbours; the chosen one lowest."""
    ends: list[list[tuple[float, float]]] = []
    placed = []
    for label, lr, colour, bold in sorted(labels, key=lambda entry: not entry[3]):
        middle, half = _inside(x(lr), label), LETTER * len(label) / 2 + 5
        row = next(
            (k for k, taken in enumerate(ends) if all(middle + half < a or middle - half > b for a, b in taken)),
            len(ends),
        )
        if row == len(ends):
            ends.append([])
        ends[row].append((middle - half, middle + half))
        placed.append((label, lr, colour, bold, row))
    rows = len(ends)
    return [(label, lr, colour, bold, rows - 1 - row) for label, lr, colour, bold, row in placed], rows


def _inside(at: float, label: str) -> float:
    half = LETTER * len(label) / 2
    return min(max(at, LEFT + half - 8), WIDTH - RIGHT - half + 8)


def _axes(picture: Scene, x: Scale, y: Scale) -> None:
    for value in y.ticks(6):
        at = y(value)
        picture.add(Line(((x.start, at), (x.end, at)), "grid"), Text((x.start - 8, at + 4), f"{value:g}", anchor="end"))
    for value in x.ticks(9):
        at = x(value)
        picture.add(Line(((at, y.start), (at, y.end)), "grid"))
        picture.add(Text((at, y.start + 18), f"{value:g}" if value >= 1e-3 else f"{value:.0e}", anchor="middle"))
    picture.add(Text(((x.start + x.end) / 2, y.start + 36), "learning rate", anchor="middle"))


def _plateau(picture: Scene, finding: Found, x: Scale, y: Scale) -> None:
    low, high = finding.plateau
    a, b = x(low) - 2, x(high) + 2
    picture.add(Area(((a, y.start), (b, y.start), (b, y.end), (a, y.end)), "plateau", 0.12))


def _curves(picture: Scene, finding: Found, x: Scale, y: Scale) -> None:
    n = min(int(np.isfinite(c.smoothed).sum()) for c in finding.curves)
    lrs, mean = _mean(finding)
    raw = [(lr, v) for c in finding.curves for lr, v in zip(c.lr, c.raw, strict=True)]
    shown = tuple((x(lr), y(v)) for lr, v in raw if y.low <= v <= y.high and lr <= x.high)
    picture.add(Dots(shown, 1.3, "curve", 0.3))
    every = np.clip([c.smoothed[:n] for c in finding.curves], y.low, y.high)
    there = [(x(lr), y(v)) for lr, v in zip(lrs, every.max(axis=0), strict=True)]
    back = [(x(lr), y(v)) for lr, v in zip(lrs, every.min(axis=0), strict=True)]
    picture.add(Area((*there, *reversed(back)), "curve", 0.2))
    inside = int(np.argmax(mean > y.high)) if (mean > y.high).any() else n
    points = tuple((x(lr), y(v)) for lr, v in zip(lrs[:inside], mean[:inside], strict=True))
    picture.add(Line(points, "curve", 2.4))
    val = [(x(lr), y(v)) for lr, v in finding.curve.val if y.low <= v <= y.high]
    if len(val) > 1:
        picture.add(Line(tuple(val), "stable", 1.8, (6, 3)))


def _key(picture: Scene, finding: Found) -> None:
    """The line below: what the signs mean."""
    at, base = LEFT, HEIGHT - 12
    entries = [("curve", f"smoothed loss, {len(finding.curves)} sweeps")]
    if finding.probes:
        steps = max(p.steps for p in finding.probes)
        best = min((p.loss for p in finding.probes), default=math.nan)
        entries.append(("plateau", f"probe: loss after {steps} steps (best {loss(best)})"))
        entries.append(("shade", "nearly as good as the best"))
    else:
        entries.append(("shade", "band of the repeats"))
    if len(finding.curve.val) > 1:
        entries.append(("stable", "validation loss"))
    for colour, label in entries:
        if colour == "shade":
            box = ((at, base), (at + 18, base), (at + 18, base - 10), (at, base - 10))
            picture.add(Area(box, "plateau", 0.2))
        elif colour == "plateau":
            picture.add(Dot((at + 9, base - 4), 5, colour, hollow=True))
        else:
            dash = (6.0, 3.0) if colour == "stable" else None
            picture.add(Line(((at, base - 4), (at + 18, base - 4)), colour, 2.4, dash))
        picture.add(Text((at + 24, base), label))
        at += 24 + LETTER * len(label) + 22
