"""Gauss–Newton with the damping of Levenberg and Marquardt, for sums of squares."""

import math
from typing import Any

import numpy as np

from ..method import Iteration, Method, Stop, Wanted, half_square
from .memory import refuse_large


class GaussNewton(Method):
    """Gauss–Newton for least squares, damped by Levenberg (1944) and Marquardt (1963), scaled by Moré (1978).

    Here ``f`` returns the residuals r, (m,), and ½‖r‖² is minimized, which is the ``fun`` of the result; ``jac`` is the
    Jacobian, (m, D). The damping follows Nielsen (1999): Madsen, Nielsen and Tingleff (2004), Algorithm 3.16.
    Memory: the Jacobian twice.

    Args:
        tol: content when no entry of the gradient Jᵀr is larger. damping: μ at first, relative to the diagonal of JᵀJ.
        memory_limit: bytes that D² numbers may take.
    """

    bounded = False
    uses = frozenset({"residuals", "jacobian"})

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        tol: float = 1e-8,
        damping: float = 1e-3,
        memory_limit: float = 4e9,
        **base: Any,
    ) -> None:
        if bounds is not None:
            raise ValueError("GaussNewton keeps no bounds; l_bfgs does, and the methods that use values only")
        super().__init__(x0, bounds, **base)
        if not damping > 0:
            raise ValueError(f"damping must be above 0, got {damping}")
        refuse_large("GaussNewton", "normal matrix", self.n, memory_limit)
        self.tol, self.damping, self.rise, self.memory_limit = tol, damping, 2.0, memory_limit
        self.x = x0
        self.f = math.inf
        self.r = self.J = self.scale = np.zeros(0)

    def begin(self) -> Iteration:
        self.r = yield Wanted("residuals", self.x[None])
        self.f = half_square(self.r)
        if not math.isfinite(self.f):
            return Stop("the residuals at the start are not finite", success=False)
        return (yield from self._linearized())

    def stand(self, x: Any, r: Any, J: Any) -> None:
        """Go on from here: another point, or the same one on other data. The damping is kept, and the scale."""
        self.x, self.r, self.f = x, r, half_square(r)
        self.best_x, self.best_f = x, self.f
        self.begun = True
        self._running = self._wanted = self._saved = self._partial = None
        self._answers = []
        self.stop = self._taken(J)

    def iterate(self) -> Iteration:
        while True:
            p = self._step()
            x = self.x + p
            small = np.abs(p) <= 4 * np.finfo(float).eps * np.abs(self.x)
            r = yield Wanted("residuals", x[None])
            f = half_square(r)
            promised = (self.r @ self.r - np.square(self.r + self.J @ p).sum()) / 2
            ratio = (self.f - f) / promised if promised > 0 else -1.0
            if ratio > 0 and f < self.f:
                self.damping *= max(1 / 3, 1 - (2 * ratio - 1) ** 3)
                self.damping, self.rise = max(self.damping, 1e-15), 2.0
                self.x, self.r, self.f = x, r, f
                return (yield from self._linearized())
            if small.all() or promised <= self.eps * self.f:
                return Stop(f"the value is as low as its rounding lets one see; {self._slope()}")
            self.damping, self.rise = self.damping * self.rise, 2 * self.rise
            if self.damping > 1e30:
                return Stop(f"no lower value however short the step; {self._slope()}", success=False)

    def _step(self) -> np.ndarray:
        """The p of least ‖J p + r‖² + μ‖D p‖², without forming JᵀJ."""
        ridge = math.sqrt(self.damping) * np.diag(self.scale)
        return np.linalg.lstsq(np.vstack([self.J, ridge]), np.append(-self.r, np.zeros(self.n)), rcond=None)[0]

    def _linearized(self) -> Iteration:
        """The Jacobian at the new point, and whether that is the end."""
        return self._taken((yield Wanted("jacobian", self.x[None])))

    def _taken(self, J: np.ndarray) -> Stop | None:
        if not np.isfinite(J).all():
            return Stop("the Jacobian is not finite at the best point", success=False)
        self.J = J
        size = np.sqrt(np.square(J).sum(axis=0))
        old = self.scale if self.scale.size else size
        self.scale = np.maximum(old, np.where(size > 0, size, 1.0) if not self.scale.size else size)  # Moré, (6.3)
        if float(np.abs(J.T @ self.r).max()) <= self.tol:
            return Stop(f"no entry of the gradient is above {self.tol:g}")
        return None

    def _slope(self) -> str:
        return f"the gradient is at most {float(np.abs(self.J.T @ self.r).max()):.2g}"
