"""Hessian-free optimization: long conjugate-gradient runs on a damped model, whose earlier iterates count too."""

import math
from collections.abc import Generator
from typing import Any, NamedTuple

from ..method import Wanted
from .descent import Descent
from .line_search import Point
from .vectors import dot


class Iterate(NamedTuple):
    """A step p of conjugate gradients, and r = A p + g there."""

    p: Any
    r: Any


class HessianFree(Descent):
    """Hessian-free: damped Newton steps by truncated conjugate gradients (Martens 2010, Algorithm 2 and section 4).

    Its products are those of ``hessp``: give Gauss–Newton products there for the method of the paper, as
    ``descend.torch.HessianFree`` does; without, the Hessian's, whose run ends where the curvature is not positive.
    A preconditioner needs a gradient of each sample: only ``descend.torch.HessianFree`` has one. Memory: the last step,
    some fifteen iterates.

    Args:
        tol: content when no entry of the gradient is larger. damping: λ at first, added to the curvature (section 4.1).
        decay: of the last step, where the next run of conjugate gradients begins (4.5; Martens and Sutskever 2012).
        iterations: products of a step at most.
    """

    uses = frozenset({"gradient", "product", "values"})

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        damping: float = 1.0,
        decay: float = 0.95,
        iterations: int = 250,
        **base: Any,
    ) -> None:
        super().__init__(x0, bounds, **base)
        if not damping > 0:
            raise ValueError(f"damping must be above 0, got {damping}")
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must be in [0, 1], got {decay}")
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {iterations}")
        self.damping, self.decay, self.iterations = damping, decay, iterations
        self.last: Any = None

    def step(self) -> Generator[Wanted, Any, Point | None]:
        iterates = yield from self.conjugate_gradients()
        chosen, f = yield from self.backtracked(iterates)
        p = chosen.p
        # The model without its damping: q(p) = g·p + p·B p / 2, with A p = r - g and B = A - λI.
        promised = dot(self.g, p) + (dot(p, chosen.r) - dot(p, self.g) - self.damping * dot(p, p)) / 2
        ratio = (f - self.f) / promised if promised < 0 else -math.inf  # ρ of section 4.1
        if not ratio >= 0.25:
            self.damping *= 1.5
        elif ratio > 0.75:
            self.damping *= 2 / 3
        self.last = p
        for d in (p, -self.g / self.damping):
            slope = dot(self.g, d)
            for k in range(60 if slope < 0 else 0):
                t = 0.8**k
                if k > 0 or d is not p:
                    (f,) = yield Wanted("values", (self.x + t * d)[None])
                if f <= self.f + 1e-2 * t * slope and f < self.f:
                    x = self.x + t * d
                    f, g = yield Wanted("gradient", x[None])
                    if math.isfinite(f):
                        return Point(x, f, g)
            self.last = None
        return None

    def scales(self) -> Generator[Wanted, Any, Any]:
        """The diagonal (D,) of a preconditioner at x; None for none. It needs a gradient of each sample."""
        yield from ()
        return None

    def conjugate_gradients(self) -> Generator[Wanted, Any, list[Iterate]]:
        """Minimize φ(p) = g·p + p·A p / 2 with A = B + λI from the last step on, until it is hardly worth the product.

        Returns:
            Iterates, 1.3 times further apart from one to the next (4.6), the last one included.
        """
        scales = yield from self.scales()
        p, r = 0 * self.g, self.g
        if self.last is not None:
            start = self.decay * self.last
            product = yield Wanted("product", self.x[None], start)
            if math.isfinite(dot(product, product)):
                p, r = start, product + self.damping * start + self.g
        y = r if scales is None else r / scales
        d, square = -y, dot(r, y)
        kept, due, values = [], 1.0, [dot(p, r + self.g) / 2]
        for i in range(1, self.iterations + 1):
            product = yield Wanted("product", self.x[None], d)
            ad = product + self.damping * d
            curved = dot(d, ad)
            if not (math.isfinite(curved) and curved > 0):
                break
            alpha = square / curved
            p, r = p + alpha * d, r + alpha * ad
            values.append(dot(p, r + self.g) / 2)
            if i >= due:
                kept.append(Iterate(p, r))
                due = max(due * 1.3, i + 1)
            back = max(10, i // 10)  # the stopping rule of 4.4, with ε = 0.0005
            if i > back and values[-1] < 0 and (values[-1] - values[-1 - back]) / values[-1] < back * 5e-4:
                break
            if dot(r, r) <= 1e-16 * dot(self.g, self.g):
                break
            y = r if scales is None else r / scales
            last, square = square, dot(r, y)
            d = -y + (square / last) * d
        if not kept or kept[-1].p is not p:
            kept.append(Iterate(p, r))
        return kept

    def backtracked(self, iterates: list[Iterate]) -> Generator[Wanted, Any, tuple[Iterate, float]]:
        """The latest iterate from which an earlier one is no better (4.6), and the value there."""
        chosen = iterates[-1]
        (f,) = yield Wanted("values", (self.x + chosen.p)[None])
        for earlier in reversed(iterates[:-1]):
            (value,) = yield Wanted("values", (self.x + earlier.p)[None])
            if value > f or (value == f and math.isfinite(f)):
                break
            chosen, f = earlier, value
        return chosen, float(f)
