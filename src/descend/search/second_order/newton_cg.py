"""Newton-CG: Newton's equation solved by conjugate gradients, only as exactly as it is worth."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

from ..kinds import whole
from ..method import Wanted
from .descent import Descent
from .forcing import forcing
from .line_search import Point, along, wolfe_from
from .vectors import dot, norm


class NewtonCG(Descent):
    """Newton-CG: line-search Newton with Hessian-vector products (Nocedal and Wright 2006, Algorithm 7.1).

    Memory: a few vectors. Conjugate gradients stop at a residual of min(½, 10‖g‖) ‖g‖, or where the curvature
    is not positive.

    Args:
        tol: content when no entry of the gradient is larger. iterations: products of a step at most; None: 2·D, at most
            200. c1, c2: of the strong Wolfe conditions.
    """

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        tol: float = 1e-6,
        iterations: int | None = None,
        c1: float = 1e-4,
        c2: float = 0.9,
        **base: Any,
    ) -> None:
        super().__init__(x0, bounds, tol=tol, **base)
        if not 0 < c1 < c2 < 1:
            raise ValueError(f"c1 and c2 must be 0 < c1 < c2 < 1, got {c1} and {c2}")
        self.iterations = whole("iterations", iterations, min(2 * self.n, 200), 1)
        self.c1, self.c2 = c1, c2

    def step(self) -> Generator[Wanted, Any, Point | None]:
        here = Point(self.x, self.f, self.g)
        size = norm(here.g)
        d = yield from self.direction(here, forcing(size) * size)
        point = yield from along(wolfe_from(here, d, 1.0, self.eps, c1=self.c1, c2=self.c2), here.x, d, here)
        if point is None:
            d = -here.g
            first = min(1.0, 1 / size)
            point = yield from along(wolfe_from(here, d, first, self.eps, c1=self.c1, c2=self.c2), here.x, d, here)
        return point

    def direction(self, here: Point, tolerance: float) -> Generator[Wanted, Any, Any]:
        z, r, d = 0 * here.g, here.g, -here.g
        for j in range(self.iterations):
            hd = yield Wanted("product", here.x[None], d)
            curved, square = dot(d, hd), dot(r, r)
            if not (math.isfinite(curved) and curved > self.eps * dot(d, d)):
                return -here.g if j == 0 else z
            alpha = square / curved
            z, r = z + alpha * d, r + alpha * hd
            if norm(r) <= tolerance:
                break
            d = -r + (dot(r, r) / square) * d
        return z
