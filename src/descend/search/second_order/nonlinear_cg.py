"""Nonlinear conjugate gradients: the last direction is all that is remembered."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from ..method import Wanted
from .descent import Descent
from .line_search import Point, along, wolfe_from
from .vectors import dot, norm


class NonlinearCG(Descent):
    """Nonlinear conjugate gradients with the direction of CG_DESCENT (Hager and Zhang 2005). Memory: two vectors.

    Args:
        tol: content when no entry of the gradient is larger. c1, c2: of the strong Wolfe conditions.
        eta: how negative the share of the last direction may be (their (1.6)).
    """

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        tol: float = 1e-6,
        c1: float = 1e-4,
        c2: float = 0.1,
        eta: float = 0.01,
        **base: Any,
    ) -> None:
        super().__init__(x0, bounds, tol=tol, **base)
        if not 0 < c1 < c2 < 1:
            raise ValueError(f"c1 and c2 must be 0 < c1 < c2 < 1, got {c1} and {c2}")
        if not 0 < eta < np.inf:
            raise ValueError(f"eta must be a finite number above 0, got {eta}")
        self.c1, self.c2, self.eta = c1, c2, eta
        self.d: Any = None
        self.fall = 0.0  # of the last step to first order: t·slope

    def step(self) -> Generator[Wanted, Any, Point | None]:
        here = Point(self.x, self.f, self.g)
        d = self.d
        slope = 0.0 if d is None else dot(d, here.g)
        if d is None or slope >= 0:
            d, slope = -here.g, -dot(here.g, here.g)
            first = min(1.0, 1 / norm(here.g))
        else:
            first = min(
                max(1.01 * self.fall / slope, 1e-6), 10.0
            )  # as much to first order as last time (N&W, section 3.5)
        search = wolfe_from(here, d, first, self.eps, 2 * self.rounding(), c1=self.c1, c2=self.c2)
        point = yield from along(search, here.x, d, here)
        if point is None:
            if self.d is None:
                return None
            self.d = None
            return (yield from self.step())
        self.fall = slope * norm(point.x - here.x) / norm(d)
        y = point.g - here.g
        curved = dot(d, y)
        if curved > 0:
            beta = (dot(y, point.g) - 2 * dot(y, y) * dot(d, point.g) / curved) / curved  # (1.3)
            least = -1 / (norm(d) * min(self.eta, norm(here.g)))  # (1.6)
            self.d = -point.g + max(beta, least) * d
        else:
            self.d = None
        return point
