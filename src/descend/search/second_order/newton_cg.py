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
from .vectors import dot, norm, taxi


class NewtonCG(Descent):
    """Newton-CG: line-search Newton with Hessian-vector products (Nocedal and Wright 2006, Algorithm 7.1).

    Memory: a few vectors. Conjugate gradients stop at a residual of min(0.3, 10‖g‖) ‖g‖, in sums of absolute values as
    SciPy has it, or where the curvature is not positive: there the last direction is gone along too, as far as if it
    curved upwards, for without it steps past a saddle are as short as gradients there.

    Args:
        tol: content when no entry of the gradient is larger. iterations: products of a step at most; None: 2·D, at most
            200. c1, c2: of the strong Wolfe conditions.
    """

    uses = frozenset({"gradient", "product"})

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
        d = yield from self.direction(here)
        point = yield from along(
            wolfe_from(here, d, 1.0, self.eps, 2 * self.rounding(), c1=self.c1, c2=self.c2), here.x, d, here
        )
        if point is None:
            d = -here.g
            first = min(1.0, 1 / norm(here.g))
            point = yield from along(
                wolfe_from(here, d, first, self.eps, 2 * self.rounding(), c1=self.c1, c2=self.c2), here.x, d, here
            )
        return point

    def direction(self, here: Point) -> Generator[Wanted, Any, Any]:
        z, r, d = 0 * here.g, here.g, -here.g
        size = taxi(here.g)
        enough = forcing(size, 0.3) * size
        for j in range(self.iterations):
            hd = yield Wanted("product", here.x[None], d)
            curved, square = dot(d, hd), dot(r, r)
            least = self.eps * dot(d, d)
            if not math.isfinite(curved):
                return z if j else d
            if curved <= least:  # the model falls along d for ever: as far as if it curved upwards as much
                return z + square / max(abs(curved), least) * d
            alpha = square / curved
            z, r = z + alpha * d, r + alpha * hd
            if taxi(r) <= enough:
                break
            d = -r + (dot(r, r) / square) * d
        return z
