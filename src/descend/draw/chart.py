"""A chart as data: axes, and what is drawn between them, in the units of the data.

Every picture of the library is described once, with these words, and drawn by whichever hand suits the place:

- ``svg.py`` writes SVG, for files, pages and notebooks. It is written by hand: matplotlib's SVG of the same charts was
  looked at beside it and lost. Its colours are fixed instead of the reader's light or dark, a page could not show one
  curve alone without a script, no point has a title; it takes 3 to 40 times the bytes (44 kB against 17 for the curves
  of a race) and 100 times as long (160 ms against 1.2), and every page and notebook would need matplotlib.
- ``axes.py`` is matplotlib: PNG, PDF, and axes of your own (``.plot(ax=…)``).
- ``braille.py`` is the terminal.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .scale import ticks

Numbers = Any
"""A sequence of them, or a NumPy array."""


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, which may be the smaller one. `marks`: value -> label, where round values do not do."""

    low: float
    high: float
    log: bool = False
    label: str = ""
    marks: dict[float, str] | None = None
    grid: bool = True

    def labels(self, wanted: int) -> dict[float, str]:
        return {v: short(v) for v in ticks(self.low, self.high, wanted, self.log)} if self.marks is None else self.marks


def short(value: float) -> str:
    """A round value beside an axis: 0.05, 3, 1e-5."""
    mantissa, e, power = f"{value:.5g}".partition("e")
    return f"{mantissa}e{int(power)}" if e else mantissa


@dataclass(frozen=True)
class Line:
    """`name`: for the key. What has the same `group` can be shown alone on a page."""

    x: Numbers
    y: Numbers
    colour: str = "s0"
    dash: tuple[float, ...] = ()
    width: float = 2.0
    name: str = ""
    mark: str = ""  # stands before the name
    group: str = ""


@dataclass(frozen=True)
class Band:
    x: Numbers
    low: Numbers
    high: Numbers
    colour: str = "s0"
    opacity: float = 0.13
    group: str = ""


@dataclass(frozen=True)
class Dots:
    """Many small discs; where they overlap, ink once."""

    x: Numbers
    y: Numbers
    colour: str = "s0"
    opacity: float = 0.3
    group: str = ""


@dataclass(frozen=True)
class Mark:
    """A sign at a point; `title` is shown when the pointer rests on it."""

    x: float
    y: float
    sign: str = "circle"
    colour: str = "s0"
    hollow: bool = False
    size: float = 1.0
    title: str = ""
    name: str = ""
    group: str = ""


@dataclass(frozen=True)
class Span:
    """A stretch of the x axis, shaded from bottom to top."""

    low: float
    high: float
    colour: str = "ink"
    opacity: float = 0.06
    name: str = ""
    group: str = ""


@dataclass(frozen=True)
class Flag:
    """A line upwards from `y`, or from the bottom, with its label above the frame."""

    x: float
    label: str
    colour: str = "ink"
    bold: bool = False
    y: float | None = None
    group: str = ""


@dataclass(frozen=True)
class Note:
    """Words beside a point, moved by `dx`, `dy` pixels to the right and down."""

    x: float
    y: float
    text: str
    colour: str = "ink"
    anchor: str = "start"
    dx: float = 0.0
    dy: float = 4.0
    group: str = ""


@dataclass(frozen=True)
class Area:
    """What lies in rings of points (k, 2), by the even-odd rule, shaded."""

    rings: Sequence[Numbers]
    colour: str = "quiet"
    opacity: float = 0.08
    group: str = ""


@dataclass(frozen=True)
class Arrow:
    """From one point to another; `title` as of a mark."""

    start: tuple[float, float]
    end: tuple[float, float]
    colour: str = "ink"
    dash: tuple[float, ...] = ()
    width: float = 1.6
    title: str = ""
    name: str = ""
    group: str = ""


@dataclass(frozen=True)
class Oval:
    """An ellipse around a point, its radii in pixels; `title` as of a mark."""

    x: float
    y: float
    wide: float
    high: float
    colour: str = "s0"
    title: str = ""
    name: str = ""
    group: str = ""


@dataclass(frozen=True)
class Walk:
    """A line that somebody walked, one point a step: in an animation it grows.

    `seconds`: in SVG its mark walks for so long, and again. `title` as of a mark.
    `ends`: the mark at rest stands at the end; False where the walk has left the picture.
    `beside`: what goes along with the mark in an animation, of the number of its point.
    """

    x: Numbers
    y: Numbers
    sign: str = "circle"
    colour: str = "s0"
    dash: tuple[float, ...] = ()
    width: float = 2.0
    seconds: float = 0.0
    ends: bool = True
    title: str = ""
    name: str = ""
    group: str = ""
    beside: Callable[[int], Sequence[Arrow | Oval]] | None = None


AT_REST = "at-rest"
"""The group of what stands for that in a picture that does not move."""
Shape = Line | Band | Dots | Mark | Span | Flag | Note | Area | Arrow | Oval | Walk


@dataclass
class Chart:
    """Shapes in drawing order between two axes.

    Attributes:
        title: for those who do not see it.
        head, aside: stand above, at the left and at the right.
        names: where the names of the shapes stand: "right" of the ends of the lines, "below", or "" for nowhere.
        beside: y -> words at the right of the frame.
        foot: lines of text below.
        tall: how many times as high as most charts it is where several are drawn alike.
    """

    x: Axis
    y: Axis
    title: str
    shapes: list[Shape] = field(default_factory=list)
    head: str = ""
    aside: str = ""
    names: str = ""
    beside: dict[float, str] = field(default_factory=dict)
    foot: list[str] = field(default_factory=list)
    tall: float = 1.0

    def add(self, *shapes: Shape) -> None:
        self.shapes += shapes

    @property
    def named(self) -> list[Line | Mark | Span | Arrow | Oval | Walk]:
        return [
            shape for shape in self.shapes if isinstance(shape, Line | Mark | Span | Arrow | Oval | Walk) and shape.name
        ]

    @property
    def flags(self) -> list[Flag]:
        return [shape for shape in self.shapes if isinstance(shape, Flag)]


LETTER = 7.2  # width of a letter of 12 pixels, on average, in a wide font


def rows_of(flags: Sequence[Flag], places: Sequence[float], left: float, right: float) -> list[tuple[float, int]]:
    """Where the label of each flag stands clear of the others: its middle, and its row counted from the lowest.

    The bold one, which is the answer, comes lowest. `places`, `left` and `right` in pixels.
    """
    taken: list[list[tuple[float, float]]] = []
    found: dict[int, tuple[float, int]] = {}
    for k in sorted(range(len(flags)), key=lambda k: not flags[k].bold):
        half = 8 * len(flags[k].label) / 2  # these few words are wider than most
        middle = min(max(places[k], left + half), right - half)
        box = (middle - half - 3, middle + half + 3)
        row = next((r for r, ends in enumerate(taken) if all(box[1] < a or box[0] > b for a, b in ends)), len(taken))
        taken[row:] = taken[row:] or [[]]
        taken[row].append(box)
        found[k] = (middle, row)
    return [found[k] for k in range(len(flags))]


def curve(xs: Iterable[float], ys: Iterable[float], title: str, x_label: str = "", log: bool = False) -> Chart:
    """A single line; without two points to draw, an empty frame. `log`: of the values."""
    shown = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True) if math.isfinite(y) and (y > 0 or not log)]
    if len(shown) < 2:
        return Chart(Axis(0, 1, marks={}), Axis(0, 1, marks={}), f"{title}: nothing to draw")
    x, y = zip(*shown, strict=True)
    low, high = min(y), max(y)
    room = (high - low) / 20 or abs(low) / 2 or 0.5
    span = (low / 1.2, high * 1.2) if log else (low - room if low else 0.0, high + room)
    return Chart(Axis(min(x), max(x), label=x_label), Axis(*span, log), title, [Line(x, y)])
