"""Plots as SVG text: scales, axes, lines, bands, marks. Colours and dashes are the style sheet's.

Series number k has the class `s{k}`; the page gives `s0`, `s1`, ... a colour and a dash, and each has its
own mark here, so that nothing depends on telling colours apart.
"""

import math
from collections.abc import Sequence
from html import escape

from . import scale

Points = Sequence[tuple[float, float]]

# One closed path per mark, around the origin, about 8 units wide.
MARKS = (
    "M4 0A4 4 0 1 1 -4 0A4 4 0 1 1 4 0Z",
    "M-3.5 -3.5H3.5V3.5H-3.5Z",
    "M0 -4.5L4.4 3.5H-4.4Z",
    "M0 -5L5 0L0 5L-5 0Z",
    "M0 4.5L4.4 -3.5H-4.4Z",
    "M-1.5 -4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z",
    "M-4.5 -3L-3 -4.5L0 -1.5L3 -4.5L4.5 -3L1.5 0L4.5 3L3 4.5L0 1.5L-3 4.5L-4.5 3L-1.5 0Z",
    "M-5 0L-2.5 -4.3H2.5L5 0L2.5 4.3H-2.5Z",
)
CROSS = "M-3.5 -3.5L3.5 3.5M-3.5 3.5L3.5 -3.5"
UP = "M0 -4L3.5 3H-3.5Z"
DIAMOND = "M0 -5L5 0L0 5L-5 0Z"


class Scale(scale.Scale):
    """With ticks that are close where there is room."""

    def ticks(self, wanted: int = 6) -> list[float]:
        """Round values inside the scale, about as many as wanted: 1, 2, 5 times powers of ten, or fewer."""
        if not self.log:
            return self.even(wanted)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        inside = [
            [m * 10**p for p in powers for m in mantissas if self.low * 0.999 <= m * 10**p <= self.high * 1.001]
            for mantissas in ((1,), (1, 3), (1, 2, 5))
        ]
        fitting = [ticks for ticks in inside if len(ticks) <= wanted]
        return fitting[-1] if fitting else inside[0][:: -(-len(inside[0]) // wanted)]


class Plot:
    """A plot under construction; `str()` of it is the SVG element."""

    def __init__(self, width: int, height: int, x: Scale, y: Scale, label: str, key: str) -> None:
        self.width, self.height, self.x, self.y, self.key = width, height, x, y, key
        left, top = min(x.start, x.end), min(y.start, y.end)
        self.parts = [
            f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            f' role="img" aria-label="{escape(label)}">',
            f'<clipPath id="{key}"><rect x="{left:g}" y="{top - 6:g}" width="{abs(x.end - x.start):g}"'
            f' height="{abs(y.end - y.start) + 12:g}"/></clipPath>',
        ]

    def grid(self, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]) -> None:
        """Grid lines with their labels, below and to the left."""
        for value, label in y_ticks:
            at = self.y(value)
            self.parts.append(f'<path class="grid" d="M{self.x.start:g} {at:.1f}H{self.x.end:g}"/>')
            self.text(self.x.start - 6, at + 4, label, "end")
        for value, label in x_ticks:
            at = self.x(value)
            self.parts.append(f'<path class="grid" d="M{at:.1f} {self.y.start:g}V{self.y.end:g}"/>')
            self.text(at, self.y.start + 16, label, "middle")

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float], series: int) -> None:
        there = [f"{self.x(a):.1f} {self.y(b):.1f}" for a, b in zip(x, high, strict=True)]
        back = [f"{self.x(a):.1f} {self.y(b):.1f}" for a, b in zip(x, low, strict=True)][::-1]
        self.parts.append(f'<path class="band s{series}" {self._clip} d="M{"L".join(there + back)}Z"/>')

    def line(self, points: Points, series: int) -> None:
        d = "L".join(f"{self.x(a):.1f} {self.y(b):.1f}" for a, b in points)
        self.parts.append(f'<path class="line s{series}" {self._clip} d="M{d}"/>')

    def mark(self, at: tuple[float, float], path: str, classes: str, title: str = "") -> None:
        """A mark at a point; `title` appears when the pointer rests on it, and to screen readers."""
        self.stamp(self.x(at[0]), self.y(at[1]), path, classes, title)

    def stamp(self, x: float, y: float, path: str, classes: str, title: str = "") -> None:
        """A mark at a place in pixels."""
        told = f"<title>{escape(title)}</title>" if title else ""
        place = f'transform="translate({x:.1f} {y:.1f})"'
        self.parts.append(f'<path class="{classes}" d="{path}" {place}>{told}</path>')

    def shade(self, low: float, high: float) -> None:
        """A vertical stretch of the plot, from x `low` to `high`."""
        a, b = self.x(low), self.x(high)
        top, bottom = sorted((self.y.start, self.y.end))
        self.parts.append(
            f'<rect class="shade" x="{a:.1f}" y="{top:g}" width="{b - a:.1f}" height="{bottom - top:g}"/>'
        )

    def begin(self, classes: str) -> None:
        """What follows, until ``end``, belongs together."""
        self.parts.append(f'<g class="{classes}">')

    def end(self) -> None:
        self.parts.append("</g>")

    def rule(self, d: str, classes: str) -> None:
        """A path in pixels."""
        self.parts.append(f'<path class="{classes}" d="{d}"/>')

    def text(self, x: float, y: float, text: str, anchor: str = "start", classes: str = "tick") -> None:
        """Text at a place in pixels."""
        self.parts.append(
            f'<text class="{classes}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    @property
    def _clip(self) -> str:
        return f'clip-path="url(#{self.key})"'

    def __str__(self) -> str:
        return "".join([*self.parts, "</svg>"])


def swatch(series: int) -> str:
    """A short piece of a series' line with its mark: the key that stands before a name."""
    return (
        '<svg class="swatch" viewBox="0 0 30 12" width="30" height="12" aria-hidden="true">'
        f'<path class="line s{series}" d="M0 6H30"/>'
        f'<path class="mark s{series}" d="{mark_of(series)}" transform="translate(15 6)"/></svg>'
    )


def mark_of(series: int) -> str:
    return MARKS[series % len(MARKS)]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near those wanted, in the same order, at least `gap` apart, and in `low..high` if they fit."""
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    places = [0.0] * len(wanted)
    at = low - gap
    for k in order:
        at = places[k] = max(wanted[k], at + gap)
    at = high + gap
    for k in reversed(order):
        at = places[k] = min(places[k], at - gap)
    return places
