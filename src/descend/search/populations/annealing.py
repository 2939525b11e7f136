"""Simulated annealing: random steps, worse ones accepted with a probability that falls as it gets colder.

Kirkpatrick, Gelatt & Vecchi 1983 (Science 220), "Optimization by Simulated Annealing"; step sizes follow the share
of accepted steps, as in Corana et al. 1987.
"""

from typing import Any

import numpy as np

from ..kinds import whole
from ..method import VALUES, Iteration, Method, Stop, Wanted
from .start import Array, spread_of


class SimulatedAnnealing(Method):
    """Simulated annealing, several chains at once; each begins at x0.

    Args:
        chains: independent walks, one point each per iteration.
        cooling: the temperature is multiplied by it per iteration.
        temperature: the first one; None: the standard deviation of the first steps' values.
        tol: it ends when all steps are shorter than tol · (1 + |x|).
        sigma0: the first step size; None: from the bounds, or from x0.
    """

    uses = VALUES

    AIM = 0.44  # accepted steps, the best share for one coordinate at a time (Roberts & Rosenthal 2001)

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        chains: int = 10,
        cooling: float = 0.99,
        temperature: float | None = None,
        tol: float = 1e-12,
        sigma0: float | None = None,
        **base: Any,
    ) -> None:
        super().__init__(np.asarray(x0, float), bounds, **base)
        if not 0 < cooling < 1:
            raise ValueError(f"cooling must be between 0 and 1, got {cooling}")
        if temperature is not None and not 0 < temperature < np.inf:
            raise ValueError(f"temperature must be a finite number above 0, got {temperature}")
        self._chains, self._cooling, self._tol = whole("chains", chains, 10, 1), cooling, tol
        self.temperature = temperature or 0.0  # 0: still to be found
        self.sigma, self._scale = spread_of(self.x0, self.lower, self.upper, sigma0)
        self.X = np.tile(self.x0, (self._chains, 1))
        self.f = np.empty(0)

    def begin(self) -> Iteration:
        first = yield Wanted("values", self.x0[None])
        self.f = np.full(self._chains, first[0])
        if self.temperature == 0:
            values = yield Wanted("values", self.proposals())
            finite = values[np.isfinite(values)]
            self.temperature = float(finite.std()) if len(finite) > 1 and finite.std() > 0 else 1.0
        return None

    def proposals(self) -> Array:
        """Steps in a random choice of coordinates, one at least; what leaves the bounds is mirrored."""
        moved = self.rng.random(self.X.shape) < 1 / self.n
        moved[np.arange(self._chains), self.rng.integers(self.n, size=self._chains)] = True
        X = self.X + np.where(moved, self.sigma * self._scale * self.rng.standard_normal(self.X.shape), 0)
        X = np.where(self.lower > X, 2 * self.lower - X, X)
        X = np.where(self.upper < X, 2 * self.upper - X, X)
        return np.clip(X, self.lower, self.upper)

    def iterate(self) -> Iteration:
        X = self.proposals()
        values = yield Wanted("values", X)
        with np.errstate(invalid="ignore", over="ignore"):
            chance = np.exp(np.minimum(0, (self.f - values) / self.temperature))
        accepted = self.rng.random(self._chains) < chance  # False for inf − inf
        self.X, self.f = np.where(accepted[:, None], X, self.X), np.where(accepted, values, self.f)
        self.temperature *= self._cooling
        self.sigma *= np.exp(0.1 * (accepted.mean() - self.AIM))
        if (self.sigma * self._scale < self._tol * (1 + np.abs(self.best_x))).all():
            return Stop(f"all steps are shorter than {self._tol:g} · (1 + |x|)")
        return None
