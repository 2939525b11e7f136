"""BFGS and the self-scaled Broyden method: the whole inverse Hessian, corrected by each step."""

from collections.abc import Generator
from typing import Any

import numpy as np

from ..method import Wanted
from .descent import LineSearching
from .line_search import Point
from .memory import refuse_large
from .vectors import dot, norm


class BFGS(LineSearching):
    """BFGS: the inverse Hessian as a matrix that each step corrects (Broyden, Fletcher, Goldfarb, Shanno 1970).

    Dialect: the values correct the curvature of each step (``bend``). Memory: D² numbers, asked for before anything is
    evaluated.

    Args:
        tol, c1, c2: as for LineSearching. memory_limit: bytes that the matrix may take.
    """

    def __init__(self, x0: Any, bounds: Any = None, *, memory_limit: float = 4e9, **base: Any) -> None:
        super().__init__(x0, bounds, **base)
        refuse_large(type(self).__name__, "inverse Hessian", self.n, memory_limit)
        self.H: Any = None  # the identity, until a step has told its size

    def step(self) -> Generator[Wanted, Any, Point | None]:
        d, first = self.downhill() if self.H is None else (-(self.H @ self.g), 1.0)
        if dot(d, self.g) >= 0:
            self.H = None
            d, first = self.downhill()
        point = yield from self.along(d, first)
        if point is None and self.H is not None:  # the matrix may be wrong: once more, straight down
            self.H = None
            return (yield from self.step())
        if point is not None:
            self.correct(point)
        return point

    def correct(self, point: Point) -> None:
        """The update of H for the step to a point, if the function curves upwards along it."""
        s, y = point.x - self.x, point.g - self.g
        curved = self.curvature(s, y)
        if not curved:
            return
        H = np.eye(self.n) * (curved / dot(y, y)) if self.H is None else self.H  # (6.20)
        t = self.bend(point, curved)
        self.H = self.updated(H, s, t * y, self.g, t * curved)

    def updated(self, H: np.ndarray, s: np.ndarray, y: np.ndarray, g: np.ndarray, curved: float) -> np.ndarray:
        """Nocedal and Wright (2006), (6.17), written out so that nothing of D³ is computed."""
        Hy = H @ y
        return H + np.outer(s, s) * ((1 + dot(y, Hy) / curved) / curved) - (np.outer(Hy, s) + np.outer(s, Hy)) / curved


class SSBroyden(BFGS):
    """SSBroyden: a Broyden update that rescales the matrix and chooses its member of the family at each step.

    After Al-Baali (1998) in the form of Urbán, Stefanou and Pons (2025, section 3), made known by physics-informed
    networks. Memory: D² numbers.

    Args:
        tol, c1, c2, memory_limit: as for BFGS.
    """

    def bend(self, point: Point, curved: float) -> float:
        return 1.0  # as published: with the correction it takes 1 % more calls

    def updated(self, H: np.ndarray, s: np.ndarray, y: np.ndarray, g: np.ndarray, curved: float) -> np.ndarray:
        Hy = H @ y
        yHy = dot(y, Hy)
        if not yHy > 0:  # by rounding, far out, where nothing is left of H: from the identity again
            return np.eye(self.n) * (curved / dot(y, y))
        h = yHy / curved
        # s·B s / (y·s): where s = -t H g, it is -t s·g / (y·s), and t = |s| / |H g|.
        b = -(norm(s) / norm(H @ g)) * dot(s, g) / curved
        a = max(h * b - 1, 0.0)  # Cauchy and Schwarz: negative by rounding only
        tau, theta = min(1.0, 1 / b), 0.0
        if a > self.eps:
            c = (a / (a + 1)) ** 0.5
            rho = min(1.0, h * (1 - c))
            theta = max((rho - 1) / a, min(1 / rho, (1 - b) / b))
            sigma = 1 + theta * a
            root = sigma ** (-1 / max(self.n - 1, 1))
            tau = tau * min(root, 1 / theta) if theta > 0 else min(tau * root, sigma)
        phi = (1 - theta) / (1 + a * theta)
        v = yHy**0.5 * (s / curved - Hy / yHy)
        return (H - np.outer(Hy, Hy) / yHy + phi * np.outer(v, v)) / tau + np.outer(s, s) / curved
