"""Nonlinear conjugate gradients: the last direction is all that is remembered."""

from collections.abc import Generator
from typing import Any

import numpy as np

from ..method import Wanted
from .descent import LineSearching
from .line_search import Point
from .vectors import dot, norm


class NonlinearCG(LineSearching):
    """Nonlinear conjugate gradients with the direction of CG_DESCENT (Hager and Zhang 2005). Memory: two vectors.

    A line search first tries a step as long as the last one, and c2 is 0.2. Against one that promises as much as the
    last to first order (Nocedal and Wright 2006, section 3.5) and c2 = 0.1 that takes 7 % fewer calls on 24 classic
    problems and a third fewer from random starts in Rosenbrock's valley of 5 to 20 coordinates; 30 % more in 1,000.

    Args:
        tol, c1, c2: as for LineSearching. eta: how negative the share of the last direction may be (their (1.6)).
    """

    def __init__(self, x0: Any, bounds: Any = None, *, c2: float = 0.2, eta: float = 0.01, **base: Any) -> None:
        super().__init__(x0, bounds, c2=c2, **base)
        if not 0 < eta < np.inf:
            raise ValueError(f"eta must be a finite number above 0, got {eta}")
        self.eta = eta
        self.d: Any = None
        self.length = 0.0  # of the last step

    def step(self) -> Generator[Wanted, Any, Point | None]:
        d = self.d
        if d is None or dot(d, self.g) >= 0:
            d, first = self.downhill()
        else:
            first = min(max(self.length / norm(d), 1e-6), 10.0)
        point = yield from self.along(d, first)
        if point is None:
            if self.d is None:
                return None
            self.d = None
            return (yield from self.step())
        self.length = norm(point.x - self.x)
        y = point.g - self.g
        curved = dot(d, y)
        if curved > 0:
            beta = (dot(y, point.g) - 2 * dot(y, y) * dot(d, point.g) / curved) / curved  # (1.3)
            least = -1 / (norm(d) * min(self.eta, norm(self.g)))  # (1.6)
            self.d = -point.g + max(beta, least) * d
        else:
            self.d = None
        return point
