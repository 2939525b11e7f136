"""A schedule as a picture: matplotlib's, an SVG in a notebook, braille signs in the terminal."""

import math
from typing import Any, Protocol

import numpy as np

from ..draw import axes, chart
from ..draw.braille import braille
from ..draw.svg import svg


class Curve(Protocol):
    """What is drawn: a schedule."""

    length: float

    def __call__(self, step: Any) -> Any: ...


def _curve(schedule: Curve, steps: float | None, points: int) -> tuple[np.ndarray, np.ndarray]:
    end = steps if steps is not None else schedule.length if schedule.length != math.inf else 1000
    if not 0 < end < math.inf:
        raise ValueError(f"a plot needs a number of steps above 0, got {steps}")
    at = np.arange(math.floor(end) + 1.0) if end < points else np.linspace(0, end, points)
    return at, schedule(at)


def draw(schedule: Curve, steps: float | None, width: int, height: int) -> str:
    """The curve in braille signs, ``width`` by ``height`` characters and the labels."""
    return braille(*_curve(schedule, steps, 8 * width), width, height)


def picture(schedule: Curve) -> str:
    """The curve for a notebook."""
    made = chart.curve(*_curve(schedule, None if schedule.length else 1, 400), f"{schedule!r} by step", "step")
    return svg(made, 560, 160)


def plot(schedule: Curve, steps: float | None, ax: Any) -> Any:
    """On ``ax`` (or new axes), which are returned; printed, and None, where matplotlib is missing."""
    made = chart.curve(*_curve(schedule, steps, 2000), f"{schedule!r} by step", "step")
    return axes.plot(made, lambda: draw(schedule, steps, 72, 12), ax)
