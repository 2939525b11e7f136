"""Natural evolution strategies: a normal distribution follows the natural gradient of its expected utility.

Wierstra, Schaul, Glasmachers, Sun, Peters & Schmidhuber 2014 (JMLR 15), "Natural Evolution Strategies": xNES is its
Algorithm 5 (Glasmachers et al. 2010), SNES its Algorithm 6 (Schaul et al. 2011), the rates are its Table 1.
"""

import math
from typing import Any

import numpy as np

from ..kinds import whole
from ..method import VALUES, Iteration, Method, Stop, Wanted
from .bounds import box_of
from .start import Array, matrix_fits, spread_of


def utilities(population: int) -> Array:
    """u_k = max(0, ln(λ/2 + 1) − ln k), divided by their sum, less 1/λ; the best first."""
    u = np.maximum(0, math.log(population / 2 + 1) - np.log(np.arange(1, population + 1)))
    return u / u.sum() - 1 / population


class NaturalES(Method):
    """What xNES and SNES share: points μ + σ B s, or μ + σ ∘ s, and utilities by rank.

    Args:
        sigma0: the first step size, about a third of where the optimum may be; None: from the bounds, or from x0.
        population: λ; None: 4 + ⌊3 ln D⌋.
        tol: it ends when all steps are shorter than tol · (1 + |μ|).
    """

    uses = VALUES

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        sigma0: float | None = None,
        population: int | None = None,
        tol: float = 1e-12,
        **base: Any,
    ) -> None:
        super().__init__(np.asarray(x0, float), bounds, **base)
        self.population = whole("population", population, int(4 + 3 * math.log(self.n)), 2)
        self._tol = tol
        self._box = box_of(self.lower, self.upper)
        self.mean = self.x0 if self._box is None else self._box.unfold(self.x0)
        sigma, scale = spread_of(self.x0, self.lower, self.upper, sigma0)
        self.start(sigma, scale)

    def start(self, sigma: float, scale: Array) -> None:
        raise NotImplementedError

    def steps(self, S: Array) -> Array:
        raise NotImplementedError

    def learn(self, S: Array, u: Array) -> None:
        raise NotImplementedError

    def largest_step(self) -> Array:
        raise NotImplementedError

    def iterate(self) -> Iteration:
        S = self.rng.standard_normal((self.population, self.n))
        X = self.mean + self.steps(S)
        values = yield Wanted("values", X if self._box is None else self._box.fold(X))
        if np.isfinite(values.min()):
            self.learn(S[np.argsort(values, kind="stable")], utilities(self.population))
        if (self.largest_step() < self._tol * (1 + np.abs(self.mean))).all():
            return Stop(f"all steps are shorter than {self._tol:g} · (1 + |mean|)")
        return None


class SNES(NaturalES):
    """Separable natural evolution strategy (Schaul, Glasmachers & Schmidhuber 2011)."""

    def start(self, sigma: float, scale: Array) -> None:
        self.sigma = sigma * scale  # (D,)

    def steps(self, S: Array) -> Array:
        return self.sigma * S

    def learn(self, S: Array, u: Array) -> None:
        rate = (3 + math.log(self.n)) / (5 * math.sqrt(self.n))
        self.mean = self.mean + self.sigma * (u @ S)
        self.sigma = self.sigma * np.exp(rate / 2 * (u @ (S**2 - 1)))

    def largest_step(self) -> Array:
        return self.sigma


class XNES(NaturalES):
    """Exponential natural evolution strategy (Glasmachers, Schaul, Sun, Wierstra & Schmidhuber 2010)."""

    def start(self, sigma: float, scale: Array) -> None:
        matrix_fits(self.n)
        self.sigma = sigma
        self.B = np.diag(scale)  # determinant 1

    def steps(self, S: Array) -> Array:
        return self.sigma * S @ self.B.T

    def learn(self, S: Array, u: Array) -> None:
        rate = 3 / 5 * (3 + math.log(self.n)) / (self.n * math.sqrt(self.n))
        toward_mean = u @ S
        toward_matrix = (u[:, None] * S).T @ S - u.sum() * np.eye(self.n)
        toward_sigma = np.trace(toward_matrix) / self.n
        toward_shape = toward_matrix - toward_sigma * np.eye(self.n)
        self.mean = self.mean + self.sigma * self.B @ toward_mean
        self.sigma = self.sigma * math.exp(rate / 2 * toward_sigma)
        self.B = self.B @ exponential(rate / 2 * toward_shape)

    def largest_step(self) -> Array:
        return self.sigma * np.sqrt(np.einsum("ij,ij->i", self.B, self.B))


def exponential(M: Array) -> Array:
    """The exponential of a symmetric matrix."""
    values, vectors = np.linalg.eigh(M)
    return (vectors * np.exp(values)) @ vectors.T
