"""Newton's method with the exact Hessian, and its saddle-free kin."""

from collections.abc import Generator
from typing import Any

import numpy as np

from ..method import Wanted
from .descent import LineSearching
from .line_search import Point
from .memory import refuse_large
from .vectors import dot


class Newton(LineSearching):
    """Newton: the minimum of the second-order Taylor polynomial, with a line search (Newton 1669).

    Where the Hessian is not positive definite, its eigenvalues count by their absolute values (Nocedal and Wright 2006,
    section 3.4), as in saddle_free; the line search is for the strong Wolfe conditions, and may lengthen a step.
    Memory: the Hessian, D² numbers, and its factor or eigenvectors; asked for before anything is evaluated.

    Args:
        tol, c1, c2: as for LineSearching. memory_limit: bytes that the Hessian may take.
    """

    uses = frozenset({"gradient", "hessian"})

    def __init__(self, x0: Any, bounds: Any = None, *, memory_limit: float = 4e9, **base: Any) -> None:
        super().__init__(x0, bounds, **base)
        refuse_large(type(self).__name__, "Hessian", self.n, memory_limit)

    def step(self) -> Generator[Wanted, Any, Point | None]:
        H = yield Wanted("hessian", self.x[None])
        newton = self.direction((H + H.T) / 2, self.g) if np.isfinite(H).all() else -self.g
        for d in (newton, -self.g):  # rounding may have spoilt the first
            if dot(d, self.g) < 0:
                point = yield from self.along(d, 1.0, noise=4.0)
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
