"""A chart on matplotlib's axes, and as PNG or PDF: the only door to matplotlib, loaded when somebody asks."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .chart import AT_REST, Area, Arrow, Band, Chart, Dots, Flag, Line, Mark, Note, Oval, Span, Walk, rows_of
from .palette import DARK, LIGHT, MARKS
from .scale import spread
from .svg import stacked, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDINGS = (".svg", ".png", ".pdf")
MOVING = (".gif", ".apng", ".mp4")
PAPER: Any = {"figure.facecolor": LIGHT["paper"], "axes.facecolor": LIGHT["paper"], "pdf.fonttype": 42, "font.size": 9}
DPI = 192  # two pixels of the file for one of the picture


def missing() -> str:
    """What to install before matplotlib can draw; "" if it is there."""
    there = importlib.util.find_spec("matplotlib") is not None
    return "" if there else "this needs matplotlib: pip install 'descend[plot]'"


def ffmpeg() -> str:
    """The program that writes .mp4: that of the path, or that which imageio-ffmpeg brings; "" if there is none."""
    if found := shutil.which("ffmpeg"):
        return found
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return ""
    import imageio_ffmpeg  # pyright: ignore[reportMissingImports] - an extra

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:  # its package brings none for this machine
        return ""


def refusal(path: Path, endings: Sequence[str] = (*ENDINGS, ".html")) -> str:
    """Why nothing can be written under this name, which must have one of the endings; "" if it can."""
    ending = path.suffix.lower()
    if ending not in endings:
        return f"the name must end in {' or '.join(filter(None, (', '.join(endings[:-1]), endings[-1])))}"
    if ending == ".mp4" and not missing() and not ffmpeg():
        return "this needs ffmpeg, which is on no path: pip install 'descend[video]', or write .gif or .apng"
    if ending in MOVING and ending != ".mp4" and not missing() and importlib.util.find_spec("PIL") is None:
        return "this needs Pillow: pip install 'descend[lab]'"
    return missing() if ending in (".png", ".pdf", *MOVING) else ""


def plot(chart: Chart, text: Callable[[], str], ax: Any = None) -> Any:
    """The chart on `ax`, or on new axes, which are returned; printed, and None, where matplotlib is missing."""
    if ax is None:
        if missing():
            print(text())
            return None
        from matplotlib import pyplot

        ax = pyplot.figure(figsize=(7.6, 4.4), layout="constrained").add_subplot()
    return on(chart, ax)


def save(path: Path, charts: Sequence[Chart]) -> None:
    """Write the charts, one below the other, as SVG, PNG or PDF: the ending says which.

    Raises:
        ValueError: another ending.
        ModuleNotFoundError: PNG and PDF need matplotlib.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path.name}: {refusal(path)}")
    if path.suffix.lower() == ".svg":
        drawn = svg(charts[0], 820, round(340 * charts[0].tall)) if len(charts) == 1 else stacked(charts)
        path.write_text(drawn + "\n", encoding="utf-8")
        return
    if why := missing():
        raise ModuleNotFoundError(f"{path.name}: {why}", name="matplotlib")
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    heights = [chart.tall for chart in charts]
    with matplotlib.rc_context(PAPER):
        figure = Figure(figsize=(8.5, 5 * sum(heights)), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
        parts = figure.subplots(len(charts), squeeze=False, height_ratios=heights)
        for chart, ax in zip(charts, parts.flat, strict=True):
            on(chart, ax)
        figure.savefig(path, dpi=DPI, metadata={"CreationDate": None} if path.suffix.lower() == ".pdf" else None)


def on(chart: Chart, ax: Axes) -> Axes:
    """Draw on these axes, in the colours for their paper, and return them."""
    Hand(ax).draw(chart)
    return ax


class Hand:
    """What draws on one pair of axes."""

    def __init__(self, ax: Axes, moving: bool = False) -> None:
        """`moving`: what stands `AT_REST` is in the key alone."""
        from matplotlib.colors import to_rgb

        self.moving = moving
        self.walks: list[tuple[Any, Walk]] = []  # what moves in an animation

        self.ax = ax
        self.colours = DARK if sum(to_rgb(ax.get_facecolor())) < 1.5 else LIGHT
        self.colours = {**self.colours, "paper": ax.get_facecolor()}

    def draw(self, chart: Chart) -> None:
        from matplotlib.transforms import ScaledTranslation

        ax, colours = self.ax, self.colours
        ax.set(xscale="log" if chart.x.log else "linear", yscale="log" if chart.y.log else "linear")
        ax.set(xlim=(chart.x.low, chart.x.high), ylim=(chart.y.low, chart.y.high))
        ax.set_xlabel(chart.x.label, color=colours["quiet"], fontsize=9)
        for axis, of in ((ax.xaxis, chart.x), (ax.yaxis, chart.y)):
            labels = of.labels(8)
            axis.set_ticks(list(labels), labels=list(labels.values()))
            axis.set_ticks([], minor=True)
            axis.set_tick_params(length=0, pad=5, labelsize=9, labelcolor=colours["quiet" if of.grid else "ink"])
            axis.grid(of.grid, **({"color": colours["rule"], "linewidth": 0.7} if of.grid else {}))
        ax.set_axisbelow(True)
        ax.spines[:].set_visible(False)
        for shape in chart.shapes:
            self.shape(shape)
        above = 8 + self.flags(chart.flags)
        if chart.head:
            ax.set_title(chart.head, loc="left", color=colours["ink"], weight="bold", fontsize=12, pad=above)
        if chart.aside:
            ax.set_title(chart.aside, loc="right", color=colours["quiet"], fontsize=9, pad=above)
        for y, words in chart.beside.items():
            self.words(words, (1.0, y), (8, 0), ("axes fraction", "data"), va="center")
        if chart.names == "right":
            self.ends([shape for shape in chart.named if isinstance(shape, Line)])
        under = 32 if chart.x.label else 20  # points below the frame
        if chart.names == "below" and chart.named:
            named = chart.named
            columns = len(named) if sum(len(shape.name) + 7 for shape in named) < 90 else 2
            below = ax.transAxes + ScaledTranslation(0, -under / 72, ax.figure.dpi_scale_trans)
            style: dict[str, Any] = {"frameon": False, "fontsize": 9, "labelcolor": colours["quiet"], "ncols": columns}
            ax.legend(loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, borderaxespad=0, **style)
            under += 6 + 14 * -(-len(named) // columns)
        for row, line in enumerate(chart.foot):
            self.words(line, (0, 0), (0, -under - 11 * row), "axes fraction", va="top", fontsize=7.5)

    def shape(self, shape: Any) -> None:
        ax, colour = self.ax, self.colours[shape.colour]
        match shape:
            case Line():
                ax.plot(shape.x, shape.y, label=shape.name or None, **self.stroke(shape))
            case Band():
                ax.fill_between(shape.x, shape.low, shape.high, color=colour, alpha=shape.opacity, linewidth=0)
            case Dots():
                ax.plot(shape.x, shape.y, ".", color=colour, alpha=shape.opacity, markersize=3, markeredgewidth=0)
            case Mark():
                inside = self.colours["paper"] if shape.hollow else colour
                style: dict[str, Any] = {"marker": MARKS[shape.sign][1], "markersize": 6 * shape.size}
                style |= {"markerfacecolor": inside, "color": colour, "linestyle": "", "clip_on": False, "zorder": 3}
                ax.plot(shape.x, shape.y, label=shape.name or None, **style)
            case Span():
                style = {"color": colour, "alpha": shape.opacity, "linewidth": 0}
                ax.axvspan(shape.low, shape.high, label=shape.name or None, **style)
            case Note():
                side = {"start": "left", "middle": "center", "end": "right"}[shape.anchor]
                shift = (0.75 * shape.dx, 0.75 * (4 - shape.dy))
                self.words(shape.text, (shape.x, shape.y), shift, colour=shape.colour, ha=side, va="center", fontsize=8)
            case Area():
                self.area(shape)
            case Arrow():
                style = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9, **self.stroke(shape)}
                if not (self.moving and shape.group == AT_REST):
                    ax.annotate("", shape.end, shape.start, arrowprops=style)
                ax.plot([], [], label=shape.name or None, **self.stroke(shape))
            case Oval():
                from matplotlib.collections import EllipseCollection

                size: Any = {"widths": 1.5 * shape.wide, "heights": 1.5 * shape.high, "angles": 0, "units": "points"}
                size |= {"offsets": [(shape.x, shape.y)], "offset_transform": ax.transData, "zorder": 2.5}
                lines = {"facecolors": "none", "edgecolors": [colour], "linewidths": 0.8, "linestyles": (0, (2, 2))}
                if not (self.moving and shape.group == AT_REST):
                    ax.add_collection(EllipseCollection(**size, facecolors=[colour], edgecolors="none", alpha=0.16))
                    ax.add_collection(EllipseCollection(**size, **lines))
                if shape.name:
                    ax.plot([], [], "o", label=shape.name, color=colour, alpha=0.4, markersize=7)
            case Walk():
                style = {**self.stroke(shape), "markersize": 6}
                style |= {"marker": MARKS[shape.sign][1], "markeredgecolor": self.colours["paper"], "label": shape.name}
                last = [len(shape.x) - 1] if shape.ends else []
                (line,) = ax.plot(shape.x, shape.y, markevery=last, **style)
                self.walks.append((line, shape))

    def once(self, shapes: Iterable[Any]) -> None:
        """Draw these shapes on the canvas as it is now; they are no part of the axes."""
        before = set(self.ax.get_children())
        for shape in shapes:
            self.shape(shape)
        for artist in [artist for artist in self.ax.get_children() if artist not in before]:
            self.ax.draw_artist(artist)
            artist.remove()

    def stroke(self, shape: Line | Arrow | Walk) -> dict[str, Any]:
        """How its line is drawn."""
        dash: Any = (0, [d / shape.width for d in shape.dash]) if shape.dash else "-"
        return {"color": self.colours[shape.colour], "linewidth": 0.8 * shape.width, "linestyle": dash}

    def area(self, area: Area) -> None:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path as Outline

        if area.rings:  # rings run around what they hold, so that those inside are holes
            whole = Outline.make_compound_path(*(Outline(ring, closed=True) for ring in area.rings))
            style: dict[str, Any] = {"color": self.colours[area.colour], "alpha": area.opacity, "linewidth": 0}
            self.ax.add_patch(PathPatch(whole, zorder=0.5, **style))

    def words(
        self, text: str, at: Any, shift: Any, xycoords: Any = "data", colour: str = "quiet", **style: Any
    ) -> None:
        """Words beside a point, moved by so many points of type; a halo of paper keeps lines off them."""
        from matplotlib.patheffects import withStroke

        style = {"textcoords": "offset points", "annotation_clip": False, "zorder": 4, "fontsize": 9, **style}
        halo = [withStroke(linewidth=1.5, foreground=self.colours["paper"])]
        self.ax.annotate(text, at, shift, xycoords, color=self.colours[colour], path_effects=halo, **style)

    def flags(self, flags: Sequence[Flag]) -> float:
        """Lines upwards with their labels, in as many rows as keep these apart; the height of the rows in points."""
        if not flags:
            return 0
        ax, whole = self.ax, self.ax.figure.canvas.figure  # also of axes in a part of a figure
        whole.draw_without_rendering()  # how wide the axes are is known after their layout
        (low, high), box, pixels = ax.get_ylim(), ax.get_window_extent(), 96 / whole.dpi
        places = [ax.transData.transform((flag.x, high))[0] * pixels for flag in flags]
        rows = rows_of(flags, places, box.x0 * pixels - 8, box.x1 * pixels + 8)
        for flag, place, (middle, row) in zip(flags, places, rows, strict=True):
            line: dict[str, Any] = {"color": self.colours[flag.colour], "linewidth": 1.8 if flag.bold else 0.8}
            line["linestyle"] = "-" if flag.bold else (0, (3, 3))
            ax.plot([flag.x, flag.x], [low if flag.y is None else flag.y, high], **line)
            style: dict[str, Any] = {"ha": "center", "weight": "bold" if flag.bold else "normal"}
            if row:
                style["arrowprops"] = {"arrowstyle": "-", "shrinkA": 0, "shrinkB": 0, **line}
            shift = (0.75 * (middle - place), 3 + 13 * row)
            self.words(flag.label, (flag.x, 1), shift, ("data", "axes fraction"), flag.colour, **style)
        return 13.0 * (1 + max(row for _, row in rows))

    def ends(self, lines: Sequence[Line]) -> None:
        """The name of each line, as near to its end as the other names allow."""
        inside = self.ax.transData + self.ax.transAxes.inverted()
        points = [(line.x[-1], line.y[-1]) for line in lines]
        places = spread([float(y) for _, y in inside.transform(points)], 0.05, 0.0, 1.0)
        for line, point, place in zip(lines, points, places, strict=True):
            lead = {"arrowstyle": "-", "color": self.colours[line.colour], "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2}
            style: dict[str, Any] = {"textcoords": "axes fraction", "va": "center", "arrowprops": lead}
            self.words(line.name, point, (1.03, place), colour="ink", **style)
