"""Newton's method with the exact Hessian, and its saddle-free kin."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from ..method import Wanted
from .descent import Descent
from .line_search import Point, along, wolfe_from
from .memory import refuse_large
from .vectors import dot


class Newton(Descent):
    """Newton: the minimum of the second-order Taylor polynomial, with a line search (Newton 1669).

    Where the Hessian is not positive definite, its eigenvalues count by their absolute values (Nocedal and Wright 2006,
    section 3.4), as in saddle_free; the line search is for the strong Wolfe conditions, and may lengthen a step.
    Memory: the Hessian, D² numbers, and its factor or eigenvectors; asked for before anything is evaluated.

    Args:
        tol: content when no entry of the gradient is larger. c1, c2: of the strong Wolfe conditions.
        memory_limit: bytes that the Hessian may take.
    """

    uses = frozenset({"gradient", "hessian"})

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        tol: float = 1e-6,
        c1: float = 1e-4,
        c2: float = 0.9,
        memory_limit: float = 4e9,
        **base: Any,
    ) -> None:
        super().__init__(x0, bounds, tol=tol, **base)
        if not 0 < c1 < c2 < 1:
            raise ValueError(f"c1 and c2 must be 0 < c1 < c2 < 1, got {c1} and {c2}")
        self.c1, self.c2 = c1, c2
        refuse_large(type(self).__name__, "Hessian", self.n, memory_limit)

    def step(self) -> Generator[Wanted, Any, Point | None]:
        here = Point(self.x, self.f, self.g)
        H = yield Wanted("hessian", here.x[None])
        newton = self.direction((H + H.T) / 2, here.g) if np.isfinite(H).all() else -here.g
        for d in (newton, -here.g):  # rounding may have spoilt the first
            if dot(d, here.g) < 0:
                search = wolfe_from(here, d, 1.0, self.eps, 4 * self.rounding(), c1=self.c1, c2=self.c2)
                point = yield from along(search, here.x, d, here)
                if point is not None:
                    return point
        return None

    def direction(self, H: np.ndarray, g: np.ndarray) -> np.ndarray:
        try:
            L = np.linalg.cholesky(H)
            return -np.linalg.solve(L.T, np.linalg.solve(L, g))
        except np.linalg.LinAlgError:
            return upright(H, g, 1e-8)


def upright(H: np.ndarray, g: np.ndarray, least: float) -> np.ndarray:
    """-|H|⁻¹ g, with the absolute values of the eigenvalues; those below a share of the largest count as that share."""
    values, vectors = np.linalg.eigh(H)
    sizes = np.abs(values)
    sizes = np.maximum(sizes, least * (sizes.max() or 1.0))
    return -vectors @ ((vectors.T @ g) / sizes)


class SaddleFree(Newton):
    """Saddle-free Newton: the absolute values of the eigenvalues, so that it leaves saddles (Dauphin et al. 2014).

    Memory: the Hessian and its eigenvectors, 2·D² numbers.

    Args:
        tol, c1, c2, memory_limit: as for Newton.
        damping: eigenvalues below this share of the largest count as that share.
    """

    def __init__(self, x0: Any, bounds: Any = None, *, damping: float = 1e-8, **base: Any) -> None:
        super().__init__(x0, bounds, **base)
        if not 0 < damping < 1:
            raise ValueError(f"damping must be in (0, 1), got {damping}")
        self.damping = damping

    def direction(self, H: np.ndarray, g: np.ndarray) -> np.ndarray:
        return upright(H, g, self.damping)  # their section 4
