"""Bounds for methods that sample from the whole space: a smooth fold of the space into the box."""

import numpy as np

Array = np.ndarray


class Box:
    """Bounds, (D,) each; infinite where there is none.

    ``fold`` is the piecewise linear and quadratic transformation of pycma's ``BoundTransform``: the identity but for a
    margin of a twentieth of the bound's size at most, where a parabola leads to the bound with slope 0, and mirrored
    beyond. It keeps a search distribution whole where clipping would heap it up at the bound.
    """

    def __init__(self, lower: Array, upper: Array):
        self.lower, self.upper = lower, upper
        half = (upper - lower) / 2
        self._below = np.where(np.isfinite(lower), np.minimum(half, 0.05 * np.maximum(np.abs(lower), 1)), 1.0)
        self._above = np.where(np.isfinite(upper), np.minimum(half, 0.05 * np.maximum(np.abs(upper), 1)), 1.0)

    def fold(self, y: Array) -> Array:
        """Points of the box for points of the space, (..., D)."""
        lower, upper, below, above = self.lower, self.upper, self._below, self._above
        if np.all((y >= lower + below) & (y <= upper - above)):
            return y
        with np.errstate(invalid="ignore", over="ignore"):
            start, end = lower - below, upper + above
            period = 2 * (end - start)
            turned = (y < start - period / 4) | (y > end + period / 4)
            y = np.where(turned & np.isfinite(period), start + np.mod(y - start, period), y)
            y = np.where(y > end, 2 * end - y, y)
            y = np.where(y < start, 2 * start - y, y)
            y = np.where(y < lower + below, lower + (y - start) ** 2 / (4 * below), y)
            y = np.where(y > upper - above, upper - (y - end) ** 2 / (4 * above), y)
        return np.clip(y, lower, upper)  # a rounding error at the bound would be a point outside

    def unfold(self, x: Array) -> Array:
        """The point of the space that ``fold`` takes to x: its inverse inside the box."""
        below, above = self._below, self._above
        with np.errstate(invalid="ignore"):
            near_lower = self.lower - below + 2 * np.sqrt(np.maximum(below * (x - self.lower), 0))
            near_upper = self.upper + above - 2 * np.sqrt(np.maximum(above * (self.upper - x), 0))
        x = np.where(x < self.lower + below, near_lower, x)
        return np.where(x > self.upper - above, near_upper, x)


def box_of(lower: Array, upper: Array) -> Box | None:
    return Box(lower, upper) if np.isfinite(lower).any() or np.isfinite(upper).any() else None
