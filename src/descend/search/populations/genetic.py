"""A genetic algorithm on real numbers: tournaments, simulated binary crossover, polynomial mutation, elitism.

Deb & Agrawal 1995, "Simulated Binary Crossover for Continuous Search Space"; Deb & Goyal 1996 (mutation); Goldberg &
Deb 1991 (tournaments).
"""

from typing import Any

import numpy as np

from ..kinds import between, whole
from ..method import Iteration, Wanted
from .differential_evolution import alike
from .start import Array, Population, events, spread_of


class GA(Population):
    """Real-coded genetic algorithm.

    Args:
        population: None: 10 D, between 20 and 200; made even.
        elite: members that live on unchanged.
        tournament: members of which the best becomes a parent.
        crossover: probability that two parents are crossed; eta_c: the larger, the closer children are to parents.
        mutation: probability that a coordinate mutates; None: 1 / D. eta_m: the larger, the smaller mutations are.
        tol, sigma0: as for Population.
    """

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        population: int | None = None,
        elite: int = 1,
        tournament: int = 2,
        crossover: float = 0.9,
        eta_c: float = 15.0,
        mutation: float | None = None,
        eta_m: float = 20.0,
        **base: Any,
    ) -> None:
        super().__init__(x0, bounds, **base)
        self.population = whole("population", population, min(200, max(20, 10 * self.n)), 4)
        self.population += self.population % 2
        self._elite = whole("elite", elite, 1, 0)
        if self._elite >= self.population:
            raise ValueError(f"elite must be below the population of {self.population}, got {elite}")
        self._tournament = whole("tournament", tournament, 2, 1)
        self._crossover, self._eta_c = between("crossover", crossover, 0, 1), between("eta_c", eta_c, 0)
        self._mutation = 1 / self.n if mutation is None else between("mutation", mutation, 0, 1)
        self._eta_m = between("eta_m", eta_m, 0)
        self._bounded = bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())
        sigma, scale = spread_of(self.x0, self.lower, self.upper, self._sigma0)
        width = self.upper - self.lower
        self._width = np.where(np.isfinite(width), width, 4 * sigma * scale)

    def iterate(self) -> Iteration:
        parents = self.winners()
        children = self.crossed(self.X[parents[0::2]], self.X[parents[1::2]])
        children = self.mutated(children)
        if self._bounded:
            children = np.clip(children, self.lower, self.upper)
        values = yield Wanted("values", children)
        old = np.argsort(self.f, kind="stable")[: self._elite]
        new = np.argsort(values, kind="stable")[: self.population - self._elite]
        self.X = np.concatenate((self.X[old], children[new]))
        self.f = np.concatenate((self.f[old], values[new]))
        return alike(self.f, self._tol)

    def winners(self) -> Array:
        """One parent per tournament."""
        entered = self.rng.integers(self.population, size=(self._tournament, self.population))
        return entered[np.argmin(self.f[entered], axis=0), np.arange(self.population)]

    def crossed(self, A: Array, B: Array) -> Array:
        """SBX: children (1 ± β) around the mean of two parents; half of the coordinates of crossed pairs."""
        take = np.flatnonzero(self.rng.random(A.shape) < 0.5 * (self.rng.random((len(A), 1)) < self._crossover))
        u = self.rng.random(len(take))
        beta = root(np.where(u <= 0.5, 2 * u, 1 / (2 * (1 - u))), self._eta_c + 1)
        a, b = A.reshape(-1)[take], B.reshape(-1)[take]
        mean, half = (a + b) / 2, beta * (a - b) / 2
        children = np.concatenate((A, B))
        flat = children.reshape(-1)
        flat[take], flat[A.size + take] = mean + half, mean - half
        return children

    def mutated(self, X: Array) -> Array:
        """Polynomial mutation: δ in (−1, 1) times the width of the coordinate."""
        hit = events(self.rng, X.size, self._mutation)
        u = self.rng.random(len(hit))
        small = root(2 * np.minimum(u, 1 - u), self._eta_m + 1)
        X.reshape(-1)[hit] += np.where(u < 0.5, small - 1, 1 - small) * self._width[hit % self.n]
        return X


def root(x: Array, degree: float) -> Array:
    """x^(1/degree) for x ≥ 0: an exponential and a logarithm take a third of the time of a power."""
    with np.errstate(divide="ignore"):  # the logarithm of 0
        return np.exp(np.log(x) / degree)
