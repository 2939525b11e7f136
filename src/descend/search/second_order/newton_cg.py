"""Newton-CG: Newton's equation solved by conjugate gradients, only as exactly as it is worth."""

import math
from collections.abc import Generator
from typing import Any

from ..kinds import whole
from ..method import Wanted
from .descent import LineSearching
from .forcing import forcing
from .line_search import Point
from .vectors import dot, taxi


class NewtonCG(LineSearching):
    """Newton-CG: line-search Newton with Hessian-vector products (Nocedal and Wright 2006, Algorithm 7.1).

    Memory: a few vectors. Conjugate gradients stop at a residual of min(0.3, 10‖g‖) ‖g‖, in sums of absolute values as
    SciPy has it, or where the curvature is not positive: there the last direction is gone along too, as far as if it
    curved upwards, for without it steps past a saddle are as short as gradients there.

    Args:
        tol, c1, c2: as for LineSearching. iterations: products of a step at most; None: 2·D, at most 200.
    """

    uses = frozenset({"gradient", "product"})

    def __init__(self, x0: Any, bounds: Any = None, *, iterations: int | None = None, **base: Any) -> None:
        super().__init__(x0, bounds, **base)
        self.iterations = whole("iterations", iterations, min(2 * self.n, 200), 1)

    def step(self) -> Generator[Wanted, Any, Point | None]:
        d = yield from self.direction()
        point = yield from self.along(d, 1.0)
        return (yield from self.along(*self.downhill())) if point is None else point

    def direction(self) -> Generator[Wanted, Any, Any]:
        z, r, d = 0 * self.g, self.g, -self.g
        size = taxi(self.g)
        enough = forcing(size, 0.3) * size
        for j in range(self.iterations):
            hd = yield Wanted("product", self.x[None], d)
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
