"""A chart as SVG text: small, sharp at every width, light or dark as its reader prefers, readable in its source."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape
from itertools import groupby

from . import palette
from .chart import LETTER, Area, Arrow, Band, Chart, Dots, Flag, Line, Mark, Note, Oval, Shape, Span, Walk, rows_of
from .scale import Scale, spread

Place = tuple[float, float]
MOMENTS = 200  # places of a mark that walks
HEAD, ROW, GAP = 32, 17, 17  # heights: of the head line, of a row of labels, between names
BEND = 0.12  # pixels that a ring or a walk may be moved where it is straightened


def svg(chart: Chart, width: int = 760, height: int = 340, key: str = "") -> str:
    """The chart, `width` pixels wide, its frame `height` pixels high.

    Args:
        key: on a page that has the style of charts, an id of its own for this one; without, the picture brings
            style and paper with it.
    Returns:
        "" of a chart without shapes.
    """
    if not chart.shapes:
        return ""
    body, tall = _Drawing(chart, width, height, key).drawn()
    return element(body, width, tall, chart.title, alone=not key)


def panel(chart: Chart, width: int, height: int, key: str) -> str:
    """The parts of a chart, to stand in a picture of another kind."""
    return _Drawing(chart, width, height, key).drawn()[0]


def stacked(charts: Sequence[Chart], width: int = 960, height: int = 380) -> str:
    """Several charts, one below the other, as one picture."""
    parts, at = [], 0.0
    for k, chart in enumerate(charts):
        body, tall = _Drawing(chart, width, round(height * chart.tall), f"frame{k}").drawn()
        parts.append(f'<g transform="translate(0 {at:g})">{body}</g>')
        at += tall + 12
    return element("".join(parts), width, at, charts[0].title if charts else "nothing to draw", alone=True)


def element(body: str, width: float, height: float, title: str, alone: bool, style: str = "") -> str:
    """The `<svg>` around drawn parts; alone, with its style, its title and its paper."""
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    said = f'class="chart" {size} role="img" aria-label="{escape(title)}"'
    if not alone:
        return f"<svg {said}>{body}</svg>"
    style = palette.variables(".chart") + (style or palette.CHART)
    paper = f'<rect width="{width:g}" height="{height:g}" fill="var(--paper)"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {said}><title>{escape(title)}</title>'
        f"<style>{style}</style>{paper}{body}</svg>"
    )


def swatch(k: int) -> str:
    """A short piece of a series' line with its mark: the key that stands before a name."""
    colour = palette.series(k)
    body = _line("M0 6H30", Line((), (), colour, palette.dash_of(k)))
    body += _sign(15, 6, Mark(0, 0, palette.mark_of(k), colour))
    return f'<svg class="chart swatch" viewBox="0 0 30 12" width="30" height="12" aria-hidden="true">{body}</svg>'


class _Drawing:
    """A chart in pixels."""

    def __init__(self, chart: Chart, width: int, height: int, key: str) -> None:
        self.chart, self.width = chart, width
        right = [line.name for line in chart.named] if chart.names == "right" else list(chart.beside.values())
        self.y_labels = chart.y.labels(max(3, height // 32))
        left = max(24.0, 12 + LETTER * max(map(len, self.y_labels.values()), default=0))
        end = width - 22 - (LETTER * max(map(len, right)) + (26 if chart.names == "right" else 0) if right else 0)
        self.x = Scale(chart.x.low, chart.x.high, left, end, chart.x.log)
        self.flags = rows_of(chart.flags, [self.x(flag.x) for flag in chart.flags], left - 8, end + 8)
        self.second = ROW * (LETTER * (1.3 * len(chart.head) + len(chart.aside)) > end - left and bool(chart.head))
        top = 12 + HEAD * bool(chart.head or chart.aside) + self.second
        top += ROW * (1 + max((row for _, row in self.flags), default=-1))
        self.y = Scale(chart.y.low, chart.y.high, top + height, top, chart.y.log)
        # Notebooks put pictures that know nothing of each other on one page: the same name must be the same frame.
        self.key = key or f"frame-{left:.0f}-{end:.0f}-{top:.0f}-{height}"
        self.clip = f'clip-path="url(#{self.key})"'

    def drawn(self) -> tuple[str, float]:
        """The elements, and the height that they take."""
        chart, x, y = self.chart, self.x, self.y
        parts = [
            f'<clipPath id="{self.key}"><rect x="{x.start:g}" y="{y.end - 6:g}" width="{x.end - x.start:g}"'
            f' height="{y.start - y.end + 12:g}"/></clipPath>'
        ]
        if any(isinstance(shape, Walk) and shape.seconds for shape in chart.shapes):
            parts.append("<style>@media(prefers-reduced-motion:reduce){.walks{display:none}}</style>")
        parts += [self._shape(shape) for shape in chart.shapes if isinstance(shape, Span)]
        parts += [*self._frame()]
        rest = [shape for shape in chart.shapes if not isinstance(shape, Span)]
        for group, members in groupby(rest, key=lambda shape: shape.group):
            drawn = "".join(map(self._shape, members))
            parts.append(f'<g class="curve {group}">{drawn}</g>' if group else drawn)
        parts += [
            _text(middle, y.end - 8 - ROW * row, flag.label, "middle", f"own {flag.colour}{' bold' * flag.bold}")
            for flag, (middle, row) in zip(chart.flags, self.flags, strict=True)
        ]
        if chart.names == "right":
            parts += self._ends()
        bottom = y.start + (24 if not chart.x.label else 42)
        if chart.names == "below":
            key, bottom = self._key(bottom + 18)
            parts.append(key)
        for line in chart.foot:
            parts.append(_text(x.start, bottom, line))
            bottom += 15
        return "".join(parts), round(bottom)

    def _frame(self) -> Iterable[str]:
        chart, x, y = self.chart, self.x, self.y
        if chart.head:
            yield _text(x.start, 26, chart.head, classes="head")
        if chart.aside:
            at, side = (x.start, "start") if self.second else (x.end, "end")
            yield _text(at, 26 + self.second, chart.aside, side)
        for value, label in self.y_labels.items():
            if chart.y.grid:
                yield f'<path class="grid" d="M{x.start:g} {y(value):.1f}H{x.end:g}"/>'
            yield _text(x.start - 7, y(value) + 4, label, "end", "" if chart.y.grid else "name")
        room = int((x.end - x.start) / 64)
        for value, label in chart.x.labels(max(3, room)).items():
            if chart.x.grid:
                yield f'<path class="grid" d="M{x(value):.1f} {y.start:g}V{y.end:g}"/>'
            yield _text(x(value), y.start + 17, label, "middle")
        for value, label in chart.beside.items():
            yield _text(x.end + 10, y(value) + 4, label)
        if chart.x.label:
            yield _text((x.start + x.end) / 2, y.start + 34, chart.x.label, "middle")

    def _shape(self, shape: Shape) -> str:
        x, y = self.x, self.y
        match shape:
            case Line():
                return _line(f"M{self._path(shape.x, shape.y)}", shape, self.clip)
            case Band():
                there, back = self._path(shape.x, shape.high), self._path(shape.x[::-1], shape.low[::-1])
                return (
                    f'<path class="band {shape.colour}" {self.clip} opacity="{shape.opacity:g}" d="M{there}L{back}Z"/>'
                )
            case Dots():
                places = "".join(f"M{x(a):.1f} {y(b):.1f}h0" for a, b in zip(shape.x, shape.y, strict=True))
                ink = f'stroke-width="2.6" stroke-opacity="{shape.opacity:g}"'
                return f'<path class="dots {shape.colour}" {ink} d="{places}"/>'
            case Mark():
                return _sign(x(shape.x), y(shape.y), shape)
            case Span():
                a, b = x(shape.low), x(shape.high)
                box = f'x="{a:.1f}" y="{y.end:g}" width="{b - a:.1f}" height="{y.start - y.end:g}"'
                return f'<rect class="band {shape.colour}" opacity="{shape.opacity:g}" {box}/>'
            case Flag():
                row = self.flags[self.chart.flags.index(shape)][1]
                foot, thin = (
                    (y.start if shape.y is None else y(shape.y)),
                    Line((), (), shape.colour, () if shape.bold else (3, 3), 2.4 if shape.bold else 1.1),
                )
                return _line(f"M{x(shape.x):.1f} {y.end - 5 - ROW * row:g}V{foot:.1f}", thin)
            case Note():
                return _text(
                    x(shape.x) + shape.dx,
                    y(shape.y) + shape.dy,
                    shape.text,
                    shape.anchor,
                    "name" if shape.colour == "ink" else "",
                )

            case Area():
                rings = ([(x(a), y(b)) for a, b in ring[:-1].tolist()] for ring in shape.rings)
                d = "".join(f"M{'L'.join(f'{a:.1f} {b:.1f}' for a, b in _straightened(ring))}Z" for ring in rings)
                style = f'fill-rule="evenodd" opacity="{shape.opacity:g}"'
                return f'<path class="band {shape.colour}" {style} d="{d}"/>'
            case Arrow():
                return _arrow(x(shape.start[0]), y(shape.start[1]), x(shape.end[0]), y(shape.end[1]), shape, self.clip)
            case Oval():
                return _oval(x(shape.x), y(shape.y), shape, self.clip)
            case Walk():
                places = [(round(x(a), 1), round(y(b), 1)) for a, b in zip(shape.x, shape.y, strict=True)]
                return self._walk(shape, _straightened([place for place, _ in groupby(places)]), places)

    def _walk(self, walk: Walk, line: Sequence[Place], places: Sequence[Place]) -> str:
        d = "L".join(f"{a:g} {b:g}" for a, b in line)
        drawn = _line(f"M{d}", Line((), (), walk.colour, walk.dash, walk.width), self.clip)
        mark = Mark(0, 0, walk.sign, walk.colour, title=walk.title)
        if not walk.seconds:
            return drawn + (_sign(*places[-1], mark) if walk.ends else "")
        seen = [places[round(k * (len(places) - 1) / MOMENTS)] for k in range(MOMENTS + 1)]
        values = ";".join(f"{a:g} {b:g}" for a, b in seen)
        how = f'type="translate" dur="{walk.seconds:g}s" repeatCount="indefinite"'
        moved = f'<animateTransform attributeName="transform" {how} values="{values}"/>'
        return f'{drawn}<g {self.clip}><g class="walks" stroke="var(--paper)">{moved}{_sign(0, 0, mark)}</g></g>'

    def _path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        return "L".join(f"{self.x(a):.1f} {self.y(b):.1f}" for a, b in zip(xs, ys, strict=True))

    def _ends(self) -> Iterable[str]:
        """The name of each line, as near to its end as the other names allow."""
        lines = [shape for shape in self.chart.named if isinstance(shape, Line)]
        x, y = self.x, self.y
        places = spread([y(line.y[-1]) for line in lines], GAP, y.end + 4, y.start)
        for line, place in zip(lines, places, strict=True):
            lead = f"M{x(line.x[-1]) + 3:.1f} {y(line.y[-1]):.1f}L{x.end + 12:.1f} {place:.1f}"
            drawn = f'<path class="lead {line.colour}" d="{lead}"/>' + _text(
                x.end + 30, place + 4, line.name, classes="name"
            )
            drawn += _sign(x.end + 20, place, Mark(0, 0, line.mark or "circle", line.colour))
            yield f'<g class="curve {line.group}">{drawn}</g>' if line.group else drawn

    def _key(self, top: float) -> tuple[str, float]:
        """What the signs mean, on as many lines as it takes, and where it ends."""
        parts, at, base = [], self.x.start, top
        for shape in self.chart.named:
            wide = 24 + LETTER * len(shape.name) + 22
            if at > self.x.start and at + wide - 22 > self.width:
                at, base = self.x.start, base + ROW
            match shape:
                case Line():
                    parts.append(_line(f"M{at:g} {base - 4:g}h18", shape))
                case Arrow():
                    parts.append(_arrow(at, base - 4, at + 18, base - 4, replace(shape, title="")))
                case Walk():
                    parts.append(_line(f"M{at:g} {base - 4:g}h18", Line((), (), shape.colour, shape.dash, shape.width)))
                    parts.append(_sign(at + 9, base - 4, Mark(0, 0, shape.sign, shape.colour)))
                case Mark():
                    parts.append(_sign(at + 9, base - 4, replace(shape, title="")))
                case Oval():
                    parts.append(_oval(at + 9, base - 4, replace(shape, wide=9, high=5, title="")))
                case Span():
                    box = f'x="{at:g}" y="{base - 10:g}" width="18" height="10"'
                    parts.append(f'<rect class="band {shape.colour}" opacity=".25" {box}/>')
            parts.append(_text(at + 24, base, shape.name))
            at += wide
        return "".join(parts), base + 24


def _straightened(places: list[Place]) -> list[Place]:
    """Without what lies next to the straight line between its neighbours: a third of the bytes, and looks alike.

    Of two neighbours one stays, so that four passes move no line by more than four times `BEND`.
    """
    for _ in range(4):
        kept, k = places[:1], 1
        while k < len(places):
            (a, b), (x, y), (u, v) = kept[-1], places[k], places[min(k + 1, len(places) - 1)]
            off = abs((u - a) * (y - b) - (v - b) * (x - a))
            between = (x - a) * (u - x) + (y - b) * (v - y) >= 0  # a walk that turns back is no straight line
            dropped = k + 1 < len(places) and between and off < BEND * math.hypot(u - a, v - b)
            kept.append((u, v) if dropped else (x, y))
            k += 2 if dropped else 1
        places = kept
    return places


def _line(d: str, line: Line, clip: str = "") -> str:
    dash = f' stroke-dasharray="{" ".join(f"{x:g}" for x in line.dash)}"' if line.dash else ""
    return f'<path class="line {line.colour}" {clip} stroke-width="{line.width:g}"{dash} d="{d}"/>'


def _arrow(x: float, y: float, u: float, v: float, arrow: Arrow, clip: str = "") -> str:
    """With a head of its own, which is no longer than half of it."""
    long = math.hypot(u - x, v - y)
    told = f"<title>{escape(arrow.title)}</title>" if arrow.title else ""
    dash = f' stroke-dasharray="{" ".join(f"{d:g}" for d in arrow.dash)}"' if arrow.dash else ""
    line = f'<path class="line" stroke-width="{arrow.width:g}"{dash} d="M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}"/>'
    if long > 1:
        a, b = (min(4 + 2 * arrow.width, long / 2) * (end - start) / long for start, end in ((x, u), (y, v)))
        wings = (f"{u - a + side * b / 2.4:.1f} {v - b - side * a / 2.4:.1f}" for side in (1, -1))
        line += f'<path class="mark" d="M{u:.1f} {v:.1f}L{"L".join(wings)}Z"/>'
    return f'<g class="{arrow.colour}" {clip}>{line}{told}</g>'


def _oval(x: float, y: float, oval: Oval, clip: str = "") -> str:
    told = f"<title>{escape(oval.title)}</title>" if oval.title else ""
    size = f'cx="{x:.1f}" cy="{y:.1f}" rx="{oval.wide:.1f}" ry="{oval.high:.1f}"'
    ring = f'<ellipse class="line" stroke-width="1" stroke-dasharray="2 2" {size}/>'
    return f'<g class="{oval.colour}" {clip}><ellipse class="band" opacity=".16" {size}/>{ring}{told}</g>'


def _sign(x: float, y: float, mark: Mark) -> str:
    kind = "cross" if mark.sign == "cross" else "hollow" if mark.hollow else "mark"
    told = f"<title>{escape(mark.title)}</title>" if mark.title else ""
    grown = f" scale({mark.size:g})" if mark.size != 1 else ""
    place = f'transform="translate({x:.1f} {y:.1f}){grown}"'
    return f'<path class="{kind} {mark.colour}" d="{palette.MARKS[mark.sign][0]}" {place}>{told}</path>'


def _text(x: float, y: float, text: str, anchor: str = "start", classes: str = "") -> str:
    kind = f' class="{classes}"' if classes else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}"{side}>{escape(text)}</text>'
