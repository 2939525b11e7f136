"""Newton's method with the exact Hessian, and its saddle-free kin."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from ..method import Wanted
from .descent import Descent
from .line_search import Point, along, backtracking
from .memory import refuse_large
from .vectors import dot


class Newton(Descent):
    """Newton: the minimum of the second-order Taylor polynomial, with a line search (Newton 1669).

    Line search and modified Hessian are Algorithms 3.2 and 3.3 of Nocedal and Wright (2006): where it is not positive
    definite, a multiple of the identity is added.
    Memory: the Hessian, D² numbers, and its factor; asked for before anything is evaluated.

    Args:
        tol: content when no entry of the gradient is larger. memory_limit: bytes that the Hessian may take.
    """

    def __init__(
        self, x0: Any, bounds: Any = None, *, tol: float = 1e-6, memory_limit: float = 4e9, **base: Any
    ) -> None:
        super().__init__(x0, bounds, tol=tol, **base)
        refuse_large(type(self).__name__, "Hessian", self.n, memory_limit)

    def step(self) -> Generator[Wanted, Any, Point | None]:
        here = Point(self.x, self.f, self.g)
        H = yield Wanted("hessian", here.x[None])
        newton = self.direction((H + H.T) / 2, here.g) if np.isfinite(H).all() else -here.g
        for d in (newton, -here.g):  # rounding may have spoilt the first
            if (slope := dot(d, here.g)) < 0:
                point = yield from along(backtracking(here.f, slope, noise=4 * self.eps * abs(here.f)), here.x, d, here)
                if point is not None:
                    return point
        return None

    def direction(self, H: np.ndarray, g: np.ndarray) -> np.ndarray:
        size = float(np.sqrt((H * H).sum()))
        least = float(np.diag(H).min())
        shift = 0.0 if least > 0 else 1e-3 * size - least
        while True:
            try:
                L = np.linalg.cholesky(H + shift * np.eye(self.n))
                return -np.linalg.solve(L.T, np.linalg.solve(L, g))
            except np.linalg.LinAlgError:
                shift = max(2 * shift, 1e-3 * size)
                if not np.isfinite(shift) or size == 0:
                    return -g


class SaddleFree(Newton):
    """Saddle-free Newton: the absolute values of the eigenvalues, so that it leaves saddles (Dauphin et al. 2014).

    Memory: the Hessian and its eigenvectors, 2·D² numbers.

    Args:
        tol, memory_limit: as for Newton. damping: eigenvalues below this share of the largest count as that share.
    """

    def __init__(self, x0: Any, bounds: Any = None, *, damping: float = 1e-8, **base: Any) -> None:
        super().__init__(x0, bounds, **base)
        if not 0 < damping < 1:
            raise ValueError(f"damping must be in (0, 1), got {damping}")
        self.damping = damping

    def direction(self, H: np.ndarray, g: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(H)
        sizes = np.abs(values)
        sizes = np.maximum(sizes, self.damping * (sizes.max() or 1.0))
        return -vectors @ ((vectors.T @ g) / sizes)  # |H|⁻¹ g, their section 4
