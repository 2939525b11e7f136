"""A surface: heights over a plane, with the slope, the frame to look at and the minima that are known."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Point = tuple[float, float]
Slope = Callable[[int, float, float], Point]
"""The gradient at a point, in the step of that number, from 0."""


@dataclass(frozen=True, eq=False)
class Surface:
    """f(x, y).

    Attributes:
        value: of numbers, and of arrays item by item.
        gradient: of two numbers, a pair of them.
        frame: (left, right), (low, high) of the picture.
        minima: the points where it is lowest; all of them inside the frame.
        story: what its picture shows, in a sentence.
        rules, lr, steps: those that tell the story; `lr` is the one rate of all.
        near: so far from a minimum is there.
        sampled: (seed, steps) -> the slope of each step where it comes from samples; None: the gradient.
    """

    name: str
    title: str
    formula: str
    value: Callable[[Any, Any], Any]
    gradient: Callable[[float, float], Point]
    frame: tuple[Point, Point]
    start: Point
    minima: tuple[Point, ...]
    story: str
    rules: tuple[str, ...]
    lr: float
    steps: int
    near: float = 0.1
    sampled: Callable[[int, int], Slope] | None = None

    def slope(self, seed: int, steps: int, noise: float = 0.0) -> Slope:
        """What the rules are given; the same for all of them. `noise`: standard deviation added to each part of it."""
        base = self.sampled(seed, steps) if self.sampled else lambda t, x, y: self.gradient(x, y)
        if not noise:
            return base
        added = np.random.default_rng((seed, 1)).normal(0.0, noise, (steps, 2)).tolist()

        def noisy(t: int, x: float, y: float) -> Point:
            (u, v), (a, b) = base(t, x, y), added[t]
            return u + a, v + b

        return noisy

    def curvature(self, x: float, y: float) -> Point:
        """The diagonal of the Hessian, by central differences of the gradient."""
        (left, right), (low, high) = self.frame
        h, k = 1e-5 * (right - left), 1e-5 * (high - low)
        across = self.gradient(x + h, y)[0] - self.gradient(x - h, y)[0]
        along = self.gradient(x, y + k)[1] - self.gradient(x, y - k)[1]
        return across / (2 * h), along / (2 * k)

    def heights(self, n: int = 121) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x (n,), y (n,) and f on their grid (n, n), rows along x."""
        x, y = (np.linspace(*ends, n) for ends in self.frame)
        with np.errstate(all="ignore"):
            z = np.asarray(self.value(*np.meshgrid(x, y)), np.float64)
        finite = np.isfinite(z)
        return x, y, np.where(finite, z, z[finite].max() if finite.any() else 0.0)

    @property
    def lowest(self) -> float:
        return float(min(self.value(*point) for point in self.minima))

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Of each point (n, 2) whether it lies in the frame."""
        low, high = np.array(self.frame).T
        return ((points >= low) & (points <= high)).all(1)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Of each point (n, 2) to the nearest minimum."""
        away = points[:, None, :] - np.array(self.minima)
        return np.hypot(away[..., 0], away[..., 1]).min(1)
