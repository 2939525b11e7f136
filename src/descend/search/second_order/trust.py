"""Trust-region Newton methods: a quadratic model is believed as far as it has proved right."""

import math
from collections.abc import Generator
from typing import Any

import numpy as np

from ..kinds import whole
from ..method import Wanted
from .descent import Descent
from .forcing import forcing
from .line_search import Point
from .memory import refuse_large
from .trust_region import Exact, Krylov, Model, Steihaug
from .vectors import dot, norm


class TrustRegion(Descent):
    """A step within the region, tried and judged (Nocedal and Wright 2006, Algorithm 4.1). A subclass makes the model.

    Dialect: the radius follows MINPACK (Moré 1978, section 5): a step that fell short of a quarter of its promise
    is interpolated, and where three quarters were kept, the next radius is twice the step at least. Against Algorithm
    4.1 it saves 3 to 13 % of the calls on 24 classic problems, and as much in Rosenbrock's valley of 1,000 coordinates.

    Args:
        tol: content when no entry of the gradient is larger. radius: of the region at first.
        largest_radius: at most. accept: the share of the promised fall that a step must keep.
    """

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        tol: float = 1e-6,
        radius: float = 1.0,
        largest_radius: float = 1e20,
        accept: float = 1e-3,
        **base: Any,
    ) -> None:
        super().__init__(x0, bounds, tol=tol, **base)
        if not 0 < radius <= largest_radius:
            raise ValueError(f"radius must be above 0 and at most largest_radius, got {radius} and {largest_radius}")
        if not 0 <= accept < 0.25:
            raise ValueError(f"accept must be in [0, 0.25), got {accept}")
        self.radius, self.largest_radius, self.accept = radius, largest_radius, accept

    def model(self) -> Generator[Wanted, Any, Model]:
        raise NotImplementedError

    def step(self) -> Generator[Wanted, Any, Point | None]:
        model = yield from self.model()
        noise = 10 * max(self.rounding(), 1e-300 * self.eps)
        while True:
            p, fall, _ = yield from self.answered(model.within(self.radius))
            size = norm(p)
            if not size > self.eps * norm(self.x) or not fall > 0:
                return None
            x = self.x + p
            f, g = yield Wanted("gradient", x[None])
            # Below the rounding of the values nothing can be judged; the model is as good as the gradient.
            unseen = fall <= noise and abs(f - self.f) <= noise
            share = 1.0 if unseen else (self.f - f) / fall  # (4.4)
            if share <= 0.25:
                self.radius = self.shorter(dot(self.g, p), f) * min(self.radius, 10 * size)
            elif share >= 0.75:
                self.radius = min(max(2 * size, self.radius), self.largest_radius)
            if share > self.accept and (f < self.f or unseen):
                return Point(x, f, g)

    def shorter(self, slope: float, f: float) -> float:
        """The lowest point of the parabola along a step that was too long, from a tenth of it to half (Moré 1978)."""
        bend = 2 * (f - self.f - slope)
        return min(max(-slope / bend, 0.1), 0.5) if 0 < bend < math.inf else 0.1

    def answered(self, products: Generator[Any, Any, Any]) -> Generator[Wanted, Any, Any]:
        """What a model finds, its products being asked for at x."""
        try:
            along = next(products)
            while True:
                along = products.send((yield Wanted("product", self.x[None], along)))
        except StopIteration as end:
            return end.value


class TrustNCG(TrustRegion):
    """Trust region by conjugate gradients: Hessian-vector products only (Steihaug 1983).

    Args:
        tol, radius, largest_radius, accept: as for TrustRegion. iterations: products of a step at most; None: 2·D, at
            most 200.
    """

    uses = frozenset({"gradient", "product"})

    kind: type[Steihaug] | type[Krylov] = Steihaug

    def __init__(self, x0: Any, bounds: Any = None, *, iterations: int | None = None, **base: Any) -> None:
        super().__init__(x0, bounds, **base)
        self.iterations = whole("iterations", iterations, min(2 * self.n, 200), 1)

    def model(self) -> Generator[Wanted, Any, Model]:
        yield from ()
        size = norm(self.g)
        return self.kind(self.g, forcing(size) * size, self.iterations)


class TrustKrylov(TrustNCG):
    """Trust region in the Krylov space, where the edge is searched too (Gould, Lucidi, Roma and Toint 1999).

    Args:
        tol, radius, largest_radius, accept: as for TrustRegion. iterations: products of a step at most.
    """

    kind = Krylov


class TrustExact(TrustRegion):
    """Trust region with the exact Hessian and the best step there is (Moré and Sorensen 1983). Memory: 2·D² numbers.

    Args:
        tol, radius, largest_radius, accept: as for TrustRegion. memory_limit: bytes that the Hessian may take.
    """

    uses = frozenset({"gradient", "hessian"})

    def __init__(self, x0: Any, bounds: Any = None, *, memory_limit: float = 4e9, **base: Any) -> None:
        super().__init__(x0, bounds, **base)
        refuse_large("TrustExact", "Hessian", self.n, memory_limit)

    def model(self) -> Generator[Wanted, Any, Model]:
        H = yield Wanted("hessian", self.x[None])
        if not np.isfinite(H).all():
            H = np.zeros((self.n, self.n))  # no curvature to be had: as if the function were linear
        return Exact(self.g, (H + H.T) / 2)
