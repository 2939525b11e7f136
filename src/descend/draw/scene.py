"""A picture as a list of shapes in pixels, and that list as SVG. Colours are names of the palette."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape

from . import scale

LIGHT = {
    "paper": "#ffffff", "ink": "#1c1f24", "quiet": "#5d6570", "grid": "#e3e7ec", "curve": "#0072b2",
    "chosen": "#d55e00", "plateau": "#008a64", "stable": "#b0488f",
}  # fmt: skip
DARK = {
    "paper": "#15181c", "ink": "#e6e8eb", "quiet": "#9aa3ad", "grid": "#2b3138", "curve": "#5aa9e6",
    "chosen": "#ff8c42", "plateau": "#3ecf9a", "stable": "#e68ac4",
}  # fmt: skip
FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif'
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    points: tuple[Point, ...]
    colour: str
    width: float = 1.0
    dash: tuple[float, float] | None = None
    opacity: float = 1.0


@dataclass(frozen=True)
class Area:
    """A filled polygon."""

    points: tuple[Point, ...]
    colour: str
    opacity: float = 1.0


@dataclass(frozen=True)
class Dot:
    """A disc; hollow ones are filled with paper."""

    at: Point
    radius: float
    colour: str
    opacity: float = 1.0
    hollow: bool = False


@dataclass(frozen=True)
class Dots:
    """Many small discs of one kind; where they overlap, ink once."""

    points: tuple[Point, ...]
    radius: float
    colour: str
    opacity: float = 1.0


@dataclass(frozen=True)
class Text:
    at: Point
    text: str
    colour: str = "quiet"
    size: float = 12
    anchor: str = "start"
    bold: bool = False


Shape = Line | Area | Dot | Dots | Text


@dataclass
class Scene:
    """Shapes in drawing order on a sheet of `width` by `height` pixels."""

    width: int
    height: int
    title: str
    shapes: list[Shape] = field(default_factory=list)

    def add(self, *shapes: Shape) -> None:
        self.shapes += shapes

    def svg(self, inline: bool = False) -> str:
        """The picture as one SVG element, light or dark as its reader prefers; `inline`: on the page's paper."""
        style = _style(LIGHT) + "@media (prefers-color-scheme: dark){" + _style(DARK) + "}"
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" aria-label="{escape(self.title)}"><title>{escape(self.title)}</title>'
            f"<style>{style}.range-test text{{font-family:{FONT};paint-order:stroke;stroke:var(--paper);"
            "stroke-width:3px;stroke-linejoin:round}</style>",
            '<g class="range-test">',
        ]
        if not inline:
            parts.append(f'<rect width="{self.width}" height="{self.height}" fill="var(--paper)"/>')
        parts += [_svg(shape) for shape in self.shapes]
        return "".join([*parts, "</g></svg>"])


def _style(palette: dict[str, str]) -> str:
    return ".range-test{" + "".join(f"--{name}:{value};" for name, value in palette.items()) + "}"


def _svg(shape: Shape) -> str:
    colour = f"var(--{shape.colour})"
    match shape:
        case Line():
            dash = f' stroke-dasharray="{shape.dash[0]:g} {shape.dash[1]:g}"' if shape.dash else ""
            return (
                f'<path d="M{_path(shape.points)}" fill="none" stroke="{colour}" stroke-width="{shape.width:g}"'
                f' stroke-linejoin="round" stroke-opacity="{shape.opacity:g}"{dash}/>'
            )
        case Area():
            return f'<path d="M{_path(shape.points)}Z" fill="{colour}" fill-opacity="{shape.opacity:g}"/>'
        case Dot():
            x, y = shape.at
            ink = f'fill="var(--paper)" stroke="{colour}" stroke-width="1.8"' if shape.hollow else f'fill="{colour}"'
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{shape.radius:g}" {ink} opacity="{shape.opacity:g}"/>'
        case Dots():
            places = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in shape.points)
            return (
                f'<path d="{places}" fill="none" stroke="{colour}" stroke-width="{2 * shape.radius:g}"'
                f' stroke-linecap="round" stroke-opacity="{shape.opacity:g}"/>'
            )
        case Text():
            x, y = shape.at
            weight = ' font-weight="600"' if shape.bold else ""
            return (
                f'<text x="{x:.1f}" y="{y:.1f}" font-size="{shape.size:g}" text-anchor="{shape.anchor}"'
                f' fill="{colour}"{weight}>{escape(shape.text)}</text>'
            )


def _path(points: tuple[Point, ...]) -> str:
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


class Scale(scale.Scale):
    """With ticks that are sparse: whole powers of ten."""

    def ticks(self, wanted: int) -> list[float]:
        """Round values inside: powers of ten, or 1, 2, 5 times a power of ten apart."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            return [10.0**p for p in range(first, last + 1, max(1, math.ceil((last - first + 1) / wanted)))]
        return self.even(wanted)
