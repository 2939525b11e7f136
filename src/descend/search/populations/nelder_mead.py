"""Nelder–Mead: a simplex that crawls downhill by reflecting its worst corner."""

from typing import Any

import numpy as np

from ..method import VALUES, Iteration, Method, Stop, Wanted


class NelderMead(Method):
    """Nelder–Mead: a simplex of D + 1 points that reflects, expands, contracts and shrinks (Nelder and Mead 1965).

    With the coefficients of Gao and Han (2012, equation 4.1), which depend on D; ``adaptive=False`` gives the classical
    ones, those of D = 2.

    Args:
        tol: content when all corners are within ``tol`` of the best, in each coordinate and in value.
        adaptive: coefficients by the number of coordinates.
        simplex: (D + 1, D) corners to begin with; None: the start, and one step of 5 % along each coordinate.
    """

    uses = VALUES

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        tol: float = 1e-8,
        adaptive: bool = True,
        simplex: Any = None,
        **base: Any,
    ) -> None:
        super().__init__(x0, bounds, **base)
        self.tol = tol
        d = max(self.n, 2) if adaptive else 2
        self.alpha, self.beta, self.gamma, self.delta = 1.0, 1 + 2 / d, 0.75 - 1 / (2 * d), 1 - 1 / d  # (4.1)
        if simplex is None:
            steps = np.where(self.x0 != 0, 0.05 * self.x0, 0.00025)
            steps = np.where((self.x0 + steps > self.upper) | (self.x0 + steps < self.lower), -steps, steps)
            simplex = np.vstack([self.x0, self.x0 + np.diag(steps)])
        try:
            self.corners = np.clip(np.asarray(simplex, float), self.lower, self.upper)
        except (TypeError, ValueError):
            raise ValueError(f"simplex must be an array of shape {(self.n + 1, self.n)}, got {simplex!r}") from None
        if self.corners.shape != (self.n + 1, self.n):
            raise ValueError(f"simplex must have the shape {(self.n + 1, self.n)}, got {self.corners.shape}")
        if not np.isfinite(self.corners).all():
            raise ValueError("simplex must be finite numbers")
        self.values = np.full(self.n + 1, np.inf)

    def begin(self) -> Iteration:
        self._sort(self.corners, (yield Wanted("values", self.corners)))

    def iterate(self) -> Iteration:
        if self._spread() <= self.tol:
            return Stop(f"the corners of the simplex agree to {self.tol:g}")
        centre, worst = self.corners[:-1].mean(axis=0), self.corners[-1]
        reflected, at_reflected = yield from self._along(centre, worst, self.alpha)
        if at_reflected < self.values[0]:
            expanded, at_expanded = yield from self._along(centre, worst, self.alpha * self.beta)
            found = (expanded, at_expanded) if at_expanded < at_reflected else (reflected, at_reflected)
        elif at_reflected < self.values[-2]:
            found = reflected, at_reflected
        elif at_reflected < self.values[-1]:
            found = yield from self._along(centre, worst, self.alpha * self.gamma)  # outside
            found = found if found[1] <= at_reflected else None
        else:
            found = yield from self._along(centre, worst, -self.gamma)  # inside
            found = found if found[1] < self.values[-1] else None
        if found is None:
            corners = self.corners[0] + self.delta * (self.corners[1:] - self.corners[0])
            values = yield Wanted("values", corners)
            self._sort(np.vstack([self.corners[:1], corners]), np.append(self.values[0], values))
        else:
            self._sort(np.vstack([self.corners[:-1], found[0]]), np.append(self.values[:-1], found[1]))

    def _along(self, centre: np.ndarray, worst: np.ndarray, by: float) -> Any:
        """The point at ``by`` from the centre, away from the worst corner, and its value."""
        point = np.clip(centre + by * (centre - worst), self.lower, self.upper)
        values = yield Wanted("values", point[None])
        return point, float(values[0])

    def _sort(self, corners: np.ndarray, values: np.ndarray) -> None:
        order = np.argsort(values, kind="stable")
        self.corners, self.values = corners[order], values[order]

    def _spread(self) -> float:
        if not np.isfinite(self.values).any():
            return np.inf
        return max(float(np.abs(self.corners[1:] - self.corners[0]).max()), float(self.values[-1] - self.values[0]))
