"""L-BFGS: the inverse Hessian from the last few steps, never written out, with bounds if there are any."""

from collections.abc import Generator
from typing import Any

import numpy as np

from ..method import Wanted
from .descent import LineSearching
from .line_search import Point, backtracking
from .vectors import dot, norm

Pair = tuple[Any, Any, float]  # s = x⁺ - x, y = g⁺ - g, 1/(y·s)


def two_loops(g: Any, pairs: list[Pair], scale: float) -> Any:
    """H g by the two-loop recursion (Nocedal 1980; Nocedal and Wright 2006, Algorithm 7.4), with H₀ = scale·I."""
    q, shares = g, []
    for s, y, rho in reversed(pairs):
        share = rho * dot(s, q)
        shares.append(share)
        q = q - share * y
    r = scale * q
    for (s, y, rho), share in zip(pairs, reversed(shares), strict=True):
        r = r + (share - rho * dot(y, r)) * s
    return r


class LBFGS(LineSearching):
    """L-BFGS: a quasi-Newton direction from the last steps, and a strong Wolfe search (Liu and Nocedal 1989).

    With bounds: coordinates at a bound that the gradient presses on are held, the others take the direction, and the
    step is projected (Bertsekas 1982, two-metric projection). Memory: 2·``memory`` vectors.

    Dialect: the values correct the curvature of each step (``bend``).

    Args:
        tol: content when no entry of the gradient, projected where there are bounds, is larger.
        memory: how many steps are remembered. c1, c2: of the Wolfe conditions.
    """

    bounded = True

    def __init__(self, x0: Any, bounds: Any = None, *, memory: int = 30, **base: Any) -> None:
        super().__init__(x0, bounds, **base)
        if memory < 1:
            raise ValueError(f"memory must be at least 1, got {memory}")
        self.memory = memory
        self.boxed = bounds is not None
        self.pairs: list[Pair] = []
        self.scale = 1.0

    def step(self) -> Generator[Wanted, Any, Point | None]:
        point = yield from self._bounded() if self.boxed else self._free()
        if point is None and self.pairs:  # the curvature may be wrong: once more, straight down
            self.pairs = []
            point = yield from self._bounded() if self.boxed else self._free()
        if point is not None:
            self.remember(point)
        return point

    def _free(self) -> Generator[Wanted, Any, Point | None]:
        d, first = -two_loops(self.g, self.pairs, self.scale), 1.0
        if not self.pairs or dot(d, self.g) >= 0:
            self.pairs = []
            d, first = self.downhill()
        return self.along(d, first)

    def _bounded(self) -> Generator[Wanted, Any, Point | None]:
        held = ((self.x <= self.lower) & (self.g > 0)) | ((self.x >= self.upper) & (self.g < 0))
        free = ~held
        pairs = [(s * free, y * free) for s, y, _ in self.pairs]
        kept = [(s, y, 1 / dot(s, y)) for s, y in pairs if dot(s, y) > self.eps * dot(y, y)]
        g = self.g * free
        scale = 1 / (kept[-1][2] * dot(kept[-1][1], kept[-1][1])) if kept else 1.0
        d = -two_loops(g, kept, scale)
        if not kept or dot(d, g) >= 0:
            d = -g / max(1.0, norm(g))
        search = backtracking(self.f, dot(d, g), c1=self.c1)
        t = next(search)
        while True:
            x = np.clip(self.x + t * d, self.lower, self.upper)
            f, new = yield Wanted("gradient", x[None])
            try:
                t = search.send((f, 0.0))
            except StopIteration as end:
                return Point(x, f, new) if end.value else None

    def remember(self, point: Point) -> None:
        """Keep the step to a point, if the function curves upwards along it."""
        s, y = point.x - self.x, point.g - self.g
        if curved := self.curvature(s, y):
            t = self.bend(point, curved)
            self.pairs = [*self.pairs, (s, t * y, 1 / (t * curved))][-self.memory :]
            self.scale = curved / dot(y, y)  # (7.20)

    def slopes(self) -> Any:
        if not self.boxed:
            return self.g
        return self.x - np.clip(self.x - self.g, self.lower, self.upper)
