"""A chart whose walks grow step by step: matplotlib draws, Pillow writes GIF and animated PNG, ffmpeg MP4."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .axes import MOVING, PAPER, Hand, ffmpeg, refusal
from .chart import Chart

if TYPE_CHECKING:
    from PIL import Image

PER_SECOND, SECONDS, REST = 15, 6, 1.5  # pictures a second, seconds of walking, seconds at the end
DPI = 96


def save(path: Path, chart: Chart) -> None:
    """Write the animation: its end says which. Every walk makes its n-th step in the same picture.

    Raises:
        ValueError: another ending. ModuleNotFoundError: matplotlib, Pillow or ffmpeg is missing.
        OSError: ffmpeg could not write it.
    """
    if why := refusal(path, MOVING):
        raise (ValueError if path.suffix.lower() not in MOVING else ModuleNotFoundError)(f"{path.name}: {why}")
    pictures = _pictures(chart)
    if path.suffix.lower() == ".mp4":
        _film(path, pictures)
        return
    from PIL import Image

    frames = _few_colours([Image.fromarray(picture) for picture in pictures])
    times = [1000 // PER_SECOND] * (len(frames) - 1) + [round(1000 * REST)]
    kind = "GIF" if path.suffix.lower() == ".gif" else "PNG"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=True)


def _pictures(chart: Chart) -> list[np.ndarray]:
    """(height, width, 3) each, uint8."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(PAPER):
        figure = Figure(figsize=(7, 5 * chart.tall * 7 / 8.5), layout="constrained", dpi=DPI)
        canvas = FigureCanvasAgg(figure)
        hand = Hand(figure.add_subplot(), moving=True)
        hand.draw(chart)
        for line, _ in hand.walks:
            line.set_animated(True)
        canvas.draw()
        ground = canvas.copy_from_bbox(figure.bbox)  # nothing moves but the walks, and what is beside them
        last = max((len(walk.x) for _, walk in hand.walks), default=1) - 1
        frames = []
        for at in np.unique(np.linspace(0, last, PER_SECOND * SECONDS).round().astype(int)):
            canvas.restore_region(ground)
            for line, walk in hand.walks:
                upto = min(at, len(walk.x) - 1)
                hand.once(walk.beside(int(upto)) if walk.beside is not None else ())
                line.set_data(walk.x[: upto + 1], walk.y[: upto + 1])
                line.set_markevery([upto] if walk.ends or upto < len(walk.x) - 1 else [])
                hand.ax.draw_artist(line)
            frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return frames


def _film(path: Path, pictures: list[np.ndarray]) -> None:
    """As MP4 (H.264), which every browser plays; the sides are made even, as its colours want them."""
    high, wide, _ = pictures[0].shape
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{wide}x{high}", "-r", str(PER_SECOND), "-i", "-"]
    code = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18"]
    rest = [pictures[-1]] * round(PER_SECOND * REST)
    film = b"".join(picture.tobytes() for picture in (*pictures, *rest))
    words = [ffmpeg(), "-y", "-v", "error", *raw, *code, "-movflags", "+faststart", str(path.absolute())]
    done = subprocess.run(words, input=film, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise OSError(f"ffmpeg could not write {path.name}: {said[-1]}")


def _few_colours(frames: list[Image.Image]) -> list[Image.Image]:
    """In the 256 most frequent colours of the last, which has all lines: one palette for all, so small files."""
    from PIL import Image

    found = sorted(frames[-1].getcolors(1 << 24) or [], key=lambda counted: -counted[0])[:256]
    colours = Image.new("P", (1, 1))
    colours.putpalette([part for _, colour in found for part in colour])  # pyright: ignore[reportGeneralTypeIssues]
    return [frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames]
