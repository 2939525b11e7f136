"""A chart on matplotlib's axes, and as PNG or PDF: the only door to matplotlib, loaded when somebody asks."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .chart import Band, Chart, Dots, Flag, Line, Mark, Note, Span, rows_of
from .palette import LIGHT, MARKS
from .scale import spread
from .svg import stacked, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".svg", ".png", ".pdf")
STYLE: Any = {
    "font.size": 9, "text.color": LIGHT["quiet"], "axes.labelcolor": LIGHT["quiet"], "xtick.color": LIGHT["quiet"],
    "ytick.color": LIGHT["quiet"], "axes.edgecolor": LIGHT["rule"], "figure.facecolor": LIGHT["paper"],
    "axes.facecolor": LIGHT["paper"], "pdf.fonttype": 42,
}  # fmt: skip
DPI = 192  # two pixels of the file for one of the picture


def missing() -> str:
    """What to install before matplotlib can draw; "" if it is there."""
    there = importlib.util.find_spec("matplotlib") is not None
    return "" if there else "this needs matplotlib: pip install 'descend[plot]'"


def refusal(path: Path) -> str:
    """Why no picture or page can be written under this name; "" if it can."""
    if path.suffix.lower() not in (*ENDINGS, ".html"):
        return f"the name must end in {', '.join(ENDINGS)} or .html"
    return missing() if path.suffix.lower() in (".png", ".pdf") else ""


def plot(chart: Chart, text: Callable[[], str], ax: Any = None) -> Any:
    """The chart on `ax`, or on new axes, which are returned; printed, and None, where matplotlib is missing."""
    if ax is None:
        if missing():
            print(text())
            return None
        import matplotlib
        from matplotlib import pyplot

        with matplotlib.rc_context(STYLE):
            return on(chart, pyplot.figure(figsize=(7.6, 4.4), layout="constrained").add_subplot())
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
        drawn = svg(charts[0], 820, 340) if len(charts) == 1 else stacked(charts)
        path.write_text(drawn + "\n", encoding="utf-8")
        return
    if why := missing():
        raise ModuleNotFoundError(f"{path.name}: {why}", name="matplotlib")
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.5, 5 * len(charts)), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
        for chart, ax in zip(charts, figure.subplots(len(charts), squeeze=False).flat, strict=True):
            on(chart, ax)
        figure.savefig(path, dpi=DPI, metadata={"CreationDate": None} if path.suffix.lower() == ".pdf" else None)


def on(chart: Chart, ax: Axes) -> Axes:
    """Draw on these axes, and return them."""
    ax.set(xscale="log" if chart.x.log else "linear", yscale="log" if chart.y.log else "linear")
    ax.set(xlim=(chart.x.low, chart.x.high), ylim=(chart.y.low, chart.y.high), xlabel=chart.x.label)
    for axis, of in ((ax.xaxis, chart.x), (ax.yaxis, chart.y)):
        labels = of.labels(8)
        axis.set_ticks(list(labels), labels=list(labels.values()))
        axis.set_ticks([], minor=True)
        axis.set_tick_params(length=0, pad=5, labelcolor=LIGHT["quiet" if of.grid else "ink"])
        axis.grid(of.grid, **({"color": LIGHT["rule"], "linewidth": 0.7} if of.grid else {}))
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)
    for shape in chart.shapes:
        _shape(shape, ax)
    above = _flags(chart.flags, ax)
    if chart.head:
        ax.set_title(chart.head, loc="left", color=LIGHT["ink"], fontweight="bold", fontsize=12, pad=8 + above)
    if chart.aside:
        ax.set_title(chart.aside, loc="right", color=LIGHT["quiet"], fontsize=9, pad=8 + above)
    for y, words in chart.beside.items():
        _words(ax, words, (1.0, y), ("axes fraction", "data"), (8, 0), va="center")
    if chart.names == "right":
        _ends([shape for shape in chart.named if isinstance(shape, Line)], ax)
    under = 20 if chart.x.label else 8
    if chart.names == "below":
        named = chart.named
        columns = len(named) if sum(len(shape.name) for shape in named) < 70 else 2
        under += 16 if columns == len(named) else 32
        ax.legend(loc="upper left", bbox_to_anchor=(0, -0.1), ncols=columns, frameon=False, fontsize=9)
    for row, line in enumerate(chart.foot):
        _words(ax, line, (0.0, 0.0), "axes fraction", (0, -(under + 12 * row + 14)), va="top", fontsize=7.5)
    return ax


def _shape(shape: Any, ax: Axes) -> None:
    colour = LIGHT[shape.colour]
    match shape:
        case Line():
            dashes = (0, [d / shape.width for d in shape.dash]) if shape.dash else "-"
            ax.plot(
                shape.x, shape.y, color=colour, linewidth=0.8 * shape.width, linestyle=dashes, label=shape.name or None
            )
        case Band():
            ax.fill_between(shape.x, shape.low, shape.high, color=colour, alpha=shape.opacity, linewidth=0)
        case Dots():
            ax.plot(shape.x, shape.y, ".", color=colour, alpha=shape.opacity, markersize=3, markeredgewidth=0)
        case Mark():
            inside = LIGHT["paper"] if shape.hollow else colour
            ax.plot(
                shape.x, shape.y, linestyle="", marker=MARKS[shape.sign][1], color=colour, markerfacecolor=inside,
                markersize=6 * shape.size, clip_on=False, zorder=3, label=shape.name or None,
            )  # fmt: skip
        case Span():
            ax.axvspan(shape.low, shape.high, color=colour, alpha=shape.opacity, linewidth=0, label=shape.name or None)
        case Note():
            side = {"start": "left", "middle": "center", "end": "right"}[shape.anchor]
            _words(
                ax,
                shape.text,
                (shape.x, shape.y),
                "data",
                (0.75 * shape.dx, -0.75 * (shape.dy - 4)),
                shape.colour,
                ha=side,
                va="center",
            )


def _words(
    ax: Axes, text: str, at: Any, coordinates: Any, shift: tuple[float, float], colour: str = "quiet", **how: Any
) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.5, foreground=LIGHT["paper"])]
    place: dict[str, Any] = {"xycoords": coordinates, "textcoords": "offset points", "annotation_clip": False}
    ax.annotate(text, at, shift, color=LIGHT[colour], path_effects=halo, zorder=4, **place, **how)


def _flags(flags: Sequence[Flag], ax: Axes) -> float:
    """Lines upwards with their labels, in as many rows as keep these apart; the height of the rows in points."""
    if not flags:
        return 0
    cast("Figure", ax.figure).draw_without_rendering()  # how wide the axes are is known after their layout
    box, pixels = ax.get_window_extent(), 96 / ax.figure.dpi
    places = [ax.transData.transform((flag.x, ax.get_ylim()[1]))[0] * pixels for flag in flags]
    rows = rows_of(flags, places, box.x0 * pixels - 8, box.x1 * pixels + 8)
    for flag, place, (middle, row) in zip(flags, places, rows, strict=True):
        low, high = ax.get_ylim()
        style: dict[str, Any] = {"color": LIGHT[flag.colour], "linewidth": 1.8 if flag.bold else 0.8}
        style["linestyle"] = "-" if flag.bold else (0, (3, 3))
        ax.plot([flag.x, flag.x], [low if flag.y is None else flag.y, high], **style)
        up = {"arrowstyle": "-", "shrinkA": 0, "shrinkB": 0, **style} if row else None
        shift, weight = (0.75 * (middle - place), 3 + 13 * row), "bold" if flag.bold else "normal"
        edge = ("data", "axes fraction")
        _words(ax, flag.label, (flag.x, 1), edge, shift, flag.colour, ha="center", weight=weight, arrowprops=up)
    return 13.0 * (1 + max(row for _, row in rows))


def _ends(lines: Sequence[Line], ax: Axes) -> None:
    """The name of each line, as near to its end as the other names allow."""
    down = ax.transAxes.inverted().transform(ax.transData.transform([(line.x[-1], line.y[-1]) for line in lines]))
    places = spread([float(y) for _, y in down], 0.05, 0.0, 1.0)
    for line, place in zip(lines, places, strict=True):
        lead = {"arrowstyle": "-", "color": LIGHT[line.colour], "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2}
        ax.annotate(
            line.name, (line.x[-1], line.y[-1]), (1.03, place), textcoords="axes fraction", color=LIGHT["ink"],
            va="center", arrowprops=lead, annotation_clip=False,
        )  # fmt: skip
