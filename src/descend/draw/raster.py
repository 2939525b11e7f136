"""A scene as PNG: anti-aliased by distance, in NumPy, with zlib for the file. Nothing to install."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from .scene import LIGHT, Area, Dot, Dots, Line, Point, Scene, Shape, Text
from .strokes import strokes


def png(scene: Scene, scale: float = 2.0) -> bytes:
    """The picture on white, `scale` pixels of the file per pixel of the scene."""
    canvas = Canvas(round(scene.width * scale), round(scene.height * scale), scale)
    for shape in scene.shapes:
        canvas.draw(shape)
    pixels = np.round(canvas.pixels * 255).clip(0, 255).astype(np.uint8)
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


class Canvas:
    """Pixels (height, width, 3) in 0..1."""

    def __init__(self, width: int, height: int, scale: float) -> None:
        self.scale = scale
        self.pixels = np.ones((height, width, 3)) * _rgb("paper")

    def draw(self, shape: Shape) -> None:
        match shape:
            case Line():
                points = self._scaled(shape.points)
                pieces = dashed(points, shape.dash, self.scale) if shape.dash else [points]
                self._ink(pieces, shape.width, shape.colour, shape.opacity)
            case Area():
                self._fill(self._scaled(shape.points), shape.colour, shape.opacity)
            case Dot():
                centre = self._scaled((shape.at,))
                if shape.hollow:
                    self._ink([centre], 2 * shape.radius + 1.8, shape.colour, shape.opacity)
                    self._ink([centre], 2 * shape.radius - 1.8, "paper", shape.opacity)
                else:
                    self._ink([centre], 2 * shape.radius, shape.colour, shape.opacity)
            case Dots():
                places = [self._scaled((point,)) for point in shape.points]
                self._ink(places, 2 * shape.radius, shape.colour, shape.opacity)
            case Text():
                found, width = strokes(shape.text, shape.size)
                left = shape.at[0] - {"start": 0.0, "middle": width / 2, "end": width}[shape.anchor]
                placed = [self._scaled(tuple((left + x, shape.at[1] + y) for x, y in stroke)) for stroke in found]
                self._ink(placed, 4.5, "paper", 0.85)
                self._ink(placed, shape.size / (7.0 if shape.bold else 10.5), shape.colour, 1.0)

    def _scaled(self, points: tuple[Point, ...]) -> np.ndarray:
        return np.array(points, float) * self.scale

    def _ink(self, pieces: list[np.ndarray], width: float, colour: str, opacity: float) -> None:
        """Polylines with round ends; a piece of one point is a disc. Where they overlap, ink once."""
        pieces = [piece for piece in pieces if len(piece)]
        if not pieces:
            return
        half = width * self.scale / 2
        every = np.concatenate(pieces)
        x0, y0 = np.floor(every.min(axis=0) - half - 1).astype(int).clip(0)
        x1, y1 = np.ceil(every.max(axis=0) + half + 2).astype(int).clip(0)
        window = self.pixels[y0:y1, x0:x1]
        cover = np.zeros(window.shape[:2])
        for piece in pieces:
            for a, b in zip(piece, piece[1:] if len(piece) > 1 else piece, strict=False):
                left, top = np.floor(np.minimum(a, b) - half - 1).astype(int) - (x0, y0)
                right, bottom = np.ceil(np.maximum(a, b) + half + 2).astype(int) - (x0, y0)
                part = cover[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
                if part.size:
                    y, x = np.mgrid[: part.shape[0], : part.shape[1]]
                    at = np.stack([x + x0 + max(left, 0) + 0.5, y + y0 + max(top, 0) + 0.5], axis=-1)
                    np.maximum(part, (half + 0.5 - _distance(at, a, b)).clip(0, 1), out=part)
        _blend(window, cover * opacity, colour)

    def _fill(self, points: np.ndarray, colour: str, opacity: float) -> None:
        """A polygon, even-odd, four lines of samples to a pixel."""
        height, width, _ = self.pixels.shape
        cover = np.zeros((height, width))
        after = np.roll(points, -1, axis=0)
        edges = np.arange(width + 1)
        for row in range(max(0, int(points[:, 1].min())), min(height, int(points[:, 1].max()) + 1)):
            for y in row + (np.arange(4) + 0.5) / 4:
                cut = (points[:, 1] <= y) != (after[:, 1] <= y)
                a, b = points[cut], after[cut]
                xs = np.sort(a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0]))
                for start, end in zip(xs[::2], xs[1::2], strict=False):
                    inside = np.clip(edges, start, end)
                    cover[row] += (inside[1:] - inside[:-1]) / 4
        _blend(self.pixels, cover * opacity, colour)


def dashed(points: np.ndarray, dash: tuple[float, float], scale: float) -> list[np.ndarray]:
    """A polyline cut into dashes."""
    on, period = dash[0] * scale, sum(dash) * scale
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    pieces = []
    for start in np.arange(0, lengths[-1], period):
        end = min(start + on, lengths[-1])
        inner = points[(lengths > start) & (lengths < end)]
        ends = [[np.interp(s, lengths, points[:, k]) for k in (0, 1)] for s in (start, end)]
        pieces.append(np.concatenate([[ends[0]], inner, [ends[1]]]))
    return pieces


def _distance(at: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    along = b - a
    square = float(along @ along)
    share = ((at - a) @ along / square).clip(0, 1) if square else np.zeros(at.shape[:2])
    return np.hypot(*np.moveaxis(at - a - share[..., None] * along, -1, 0))


def _blend(window: np.ndarray, cover: np.ndarray, colour: str) -> None:
    window += cover[..., None] * (_rgb(colour) - window)


def _rgb(colour: str) -> np.ndarray:
    text = LIGHT[colour]
    return np.array([int(text[k : k + 2], 16) for k in (1, 3, 5)]) / 255
