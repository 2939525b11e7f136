"""A chart whose walks grow step by step, as GIF or animated PNG: matplotlib draws, Pillow writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .axes import MOVING, PAPER, Hand, refusal
from .chart import Chart

if TYPE_CHECKING:
    from PIL import Image

PER_SECOND, SECONDS, REST = 15, 6, 1.5  # pictures a second, seconds of walking, seconds at the end
DPI = 96


def save(path: Path, chart: Chart) -> None:
    """Write the animation: its end says which. Every walk makes its n-th step in the same picture.

    Raises:
        ValueError: another ending. ModuleNotFoundError: matplotlib or Pillow is missing.
    """
    if why := refusal(path, MOVING):
        raise (ValueError if path.suffix.lower() not in MOVING else ModuleNotFoundError)(f"{path.name}: {why}")
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    with matplotlib.rc_context(PAPER):
        figure = Figure(figsize=(7, 5 * chart.tall * 7 / 8.5), layout="constrained", dpi=DPI)
        canvas = FigureCanvasAgg(figure)
        hand = Hand(figure.add_subplot())
        hand.draw(chart)
        for line, _ in hand.walks:
            line.set_animated(True)
        canvas.draw()
        ground = canvas.copy_from_bbox(figure.bbox)  # nothing moves but the walks
        last = max((len(walk.x) for _, walk in hand.walks), default=1) - 1
        frames = []
        for at in np.unique(np.linspace(0, last, PER_SECOND * SECONDS).round().astype(int)):
            canvas.restore_region(ground)
            for line, walk in hand.walks:
                upto = min(at, len(walk.x) - 1)
                line.set_data(walk.x[: upto + 1], walk.y[: upto + 1])
                line.set_markevery([upto] if walk.ends or upto < len(walk.x) - 1 else [])
                hand.ax.draw_artist(line)
            frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    frames = _few_colours(frames)
    times = [1000 // PER_SECOND] * (len(frames) - 1) + [round(1000 * REST)]
    kind = "GIF" if path.suffix.lower() == ".gif" else "PNG"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=True)


def _few_colours(frames: list[Image.Image]) -> list[Image.Image]:
    """In the 256 most frequent colours of the last, which has all lines: one palette for all, so small files."""
    from PIL import Image

    found = sorted(frames[-1].getcolors(1 << 24) or [], key=lambda counted: -counted[0])[:256]
    colours = Image.new("P", (1, 1))
    colours.putpalette([part for _, colour in found for part in colour])  # pyright: ignore[reportGeneralTypeIssues]
    return [frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames]
