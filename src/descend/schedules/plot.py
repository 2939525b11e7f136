"""A schedule as a picture: matplotlib's if it is there, braille signs in the terminal if not."""

from __future__ import annotations

import importlib.util
import math
from typing import Any, Protocol

import numpy as np

from ..core.shown import curve
from ..draw.braille import braille


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


def svg(schedule: Curve) -> str:
    """The curve for a notebook."""
    return curve(*_curve(schedule, None if schedule.length else 1, 400), f"{schedule!r} by step")


def plot(schedule: Curve, steps: float | None, ax: Any) -> Any:
    """On ``ax`` (or new axes), which are returned; printed, and None, where matplotlib is missing."""
    if ax is None:
        if importlib.util.find_spec("matplotlib") is None:
            print(draw(schedule, steps, 72, 12))
            return None
        from matplotlib import pyplot  # pyright: ignore[reportMissingImports] - optional

        ax = pyplot.figure().add_subplot()
    ax.plot(*_curve(schedule, steps, 2000))
    ax.set_xlabel("step")
    return ax
