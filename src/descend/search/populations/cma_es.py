"""CMA-ES: a normal distribution that learns its mean, its covariance and its step size from ranks.

Hansen, The CMA Evolution Strategy: A Tutorial (2016, arXiv:1604.00772); numbers in brackets are its equations.
Products are written with ``dot``, which on arrays of a few numbers takes half the time of ``@``.
"""

import functools
import math
from collections.abc import Generator
from typing import Any

import numpy as np

from ..method import Wanted
from .bounds import box_of
from .lapack import eigh
from .restarts import Array, Restarted
from .start import matrix_fits


def recombination_weights(population: int) -> Array:
    """w'_i = ln((λ+1)/2) − ln i (49), the positive ones summing to 1 and the negative ones to −1."""
    raw = math.log((population + 1) / 2) - np.log(np.arange(1, population + 1))
    return np.where(raw > 0, raw / raw[raw > 0].sum(), raw / -raw[raw < 0].sum())


def effective_mass(weights: Array) -> float:
    """μ_eff (8): how many equal weights have the same variance."""
    return float(weights.sum() ** 2 / (weights**2).sum())


class Rates:
    """Weights and rates of Table 1 for one dimension n and population λ; they do not change during a run."""

    def __init__(self, n: int, population: int):
        raw = recombination_weights(population)
        self.mu = int(np.count_nonzero(raw > 0))
        self.mu_eff = mu_eff = effective_mass(raw[: self.mu])
        mu_eff_minus = effective_mass(raw[self.mu :])
        self.cc = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)  # (56)
        self.c1, self.cmu = self.learning(n, population)
        negative = min(
            1 + self.c1 / self.cmu,  # (50): no decay of C
            1 + 2 * mu_eff_minus / (mu_eff + 2),  # (51)
            (1 - self.c1 - self.cmu) / (n * self.cmu),  # (52): C stays positive definite
        )
        self.weights = np.where(raw >= 0, raw, negative * raw)  # (53)
        self.positive, self.total = self.weights[: self.mu], float(self.weights.sum())
        self.ones = np.ones(n)
        self.learned = self.cmu * np.where(raw >= 0, self.weights, n * self.weights)  # (46) without its lengths
        self.cs = min(0.5, (mu_eff + 2) / (n + mu_eff + 5))  # (55)
        inner = max(1.0, 3 * (1 - 0.5 ** (n / 9)))
        self.ds = 1 + 2 * max(0.0, inner * math.sqrt((mu_eff - 1) / (n + 1)) - 1) + self.cs
        self.chi = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))  # E‖N(0, I)‖
        # Generations between decompositions. B.2 and pycma have 10 for 5, which differs from n = 38 on: at n = 40 the
        # ellipsoid and the tablet take as many evaluations, to 1 %, and a generation two thirds of the time.
        self.gap = 1 / (self.c1 + self.cmu) / n / 5

    def learning(self, n: int, population: int) -> tuple[float, float]:
        """c_1 (57) and c_mu (58)."""
        mu_eff = self.mu_eff
        c1 = min(1, population / 6) * 2 / ((n + 1.3) ** 2 + mu_eff)
        return c1, min(1 - c1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((n + 2) ** 2 + mu_eff))


@functools.cache
def rates_of(kind: type[Rates], n: int, population: int) -> Rates:
    return kind(n, population)


class CMAES(Restarted):
    """CMA-ES with active update and restarts (Hansen 2016; BIPOP: Hansen 2009).

    Dialect: the defaults are those of pycma 4: c_mu has an offset of 1/4 in place of 0, c_1 shrinks with λ / 6 below
    λ = 6, c_sigma is 0.5 at most, d_sigma grows with the dimension for large populations, h_sigma compares squared
    lengths, sigma grows by e at most in a generation, and a run ends by pycma's criteria.

    Bounds: the distribution lives in the whole space, its points are folded into the box.
    """

    Rates = Rates

    def start_run(self, x0: Array, sigma: float) -> None:
        n = self.n
        self._box = box_of(self.lower, self.upper)
        self.mean = x0 if self._box is None else self._box.unfold(x0)
        self.sigma = self.sigma_began = sigma
        self.ps, self.pc = np.zeros(n), np.zeros(n)
        self.start_covariance()
        self.forced = False  # whether the first point of this generation is no sample
        self.recent: tuple[float, ...] = ()  # best values of the last generations
        self.best_history = self.median_history = np.empty(0)  # of every fifth generation
        self.least, self.improved = math.inf, 0  # the best value of the run and its generation
        self.flat = 0
        self.still_x, self.still_since = self.mean, 0

    def start_covariance(self) -> None:
        matrix_fits(self.n)
        self.C = np.diag(self._scale**2)
        self.B = np.eye(self.n)  # C = B D² Bᵀ; the columns of B are the axes
        self.set_axes(self._scale, self._scale.min(), self._scale.max())

    def set_axes(self, D: Array, shortest: float, longest: float) -> None:
        self.D, self.decomposed = D, self.iterations
        self.shortest_axis, self.longest_axis = float(shortest), float(longest)

    @property
    def rates(self) -> Rates:
        return rates_of(self.Rates, self.n, self.population)

    def generation(self) -> Generator[Wanted, Any, list[str]]:
        Z = self.sample()
        Y = self.coloured(Z)  # (39)
        X = self.mean + self.sigma * Y  # (40)
        values = yield Wanted("values", X if self._box is None else self._box.fold(X))
        self.nfev += len(X)
        return self.tell_generation(Y, Z, values)

    def tell_generation(self, Y: Array, Z: Array, values: Array) -> list[str]:
        self.iterations += 1
        order = values.argsort(kind="stable")
        if not math.isfinite(values[order[0]]):
            return []  # nothing was learned: the next generation is another draw of the same distribution
        self.learn(Y.take(order, axis=0), Z.take(order, axis=0), order)
        return self.ended(values[order].tolist())

    # ---------------------------------------------------------------- sampling

    def sample(self) -> Array:
        if self.iterations >= self.decomposed + self.rates.gap:
            self.decompose()
        return self.rng.standard_normal((self.population, self.n))  # (38)

    def coloured(self, Z: Array) -> Array:
        """Samples of N(0, C) for samples of N(0, I)."""
        return (Z * self.D).dot(self.B.T)

    def decompose(self) -> None:
        """C = B D² Bᵀ; a C that rounding made indefinite is lifted by its former smallest axis."""
        squares, self.B = eigh(self.C)
        if not squares[0] > 0:
            if math.isnan(squares[0]):
                raise np.linalg.LinAlgError("the covariance of the search has no eigenvalues")
            lift = self.shortest_axis**2 - squares[0]
            squares = squares + lift
            self.C = self.C + lift * np.eye(self.n)
        D = np.sqrt(squares)  # in ascending order
        self.set_axes(D, D[0], D[-1])

    # ---------------------------------------------------------------- learning

    def learn(self, Y: Array, Z: Array, order: Array) -> None:
        """Mean, step size and covariance from the sorted steps Y of N(0, C) and Z of N(0, I)."""
        r, n = self.rates, self.n
        mu = r.mu
        y = r.positive.dot(Y[:mu])  # (41)
        self.mean = self.mean + self.sigma * y  # (42)

        # Step size: a path of what the steps would be under the identity.
        step = self.turned(r.positive.dot(Z[:mu]))
        self.ps = (1 - r.cs) * self.ps + math.sqrt(r.cs * (2 - r.cs) * r.mu_eff) * step  # (43)
        square = float(self.ps.dot(self.ps))
        h = square / (1 - (1 - r.cs) ** (2 * self.iterations)) < n * (2 + 4 / (n + 1))

        # Covariance: rank one along the path, rank mu over the generation, the worse half with negative weights.
        self.pc = (1 - r.cc) * self.pc
        if h:
            self.pc += math.sqrt(r.cc * (2 - r.cc) * r.mu_eff) * y  # (45)
        worse, total = Z[mu:], r.total
        weights = r.learned.copy()
        weights[mu:] /= (worse * worse).dot(r.ones) + 1e-9  # (46)
        if self.forced and (rank := int(order.argmin())) >= mu:  # the first point was no sample: it is not unlearned
            weights[rank], total = 0, total - r.weights[rank]
        lost = 0 if h else r.cc * (2 - r.cc)
        self.learn_covariance(1 + r.c1 * lost - r.c1 - r.cmu * float(total), weights, Y)  # (47)

        self.sigma *= math.exp(min(1.0, r.cs / r.ds * (math.sqrt(square) / r.chi - 1)))  # (44)

    def turned(self, z: Array) -> Array:
        """B z: C^(-1/2) times the step whose sample is z."""
        return self.B.dot(z)

    def learn_covariance(self, decay: float, weights: Array, Y: Array) -> None:
        C = decay * self.C
        C += (Y.T * weights).dot(Y)
        C += self.pc[:, None] * (self.rates.c1 * self.pc)
        self.C = C

    # ---------------------------------------------------------------- ending

    def variances(self) -> Array:
        return self.C.diagonal()

    def axis(self, i: int) -> Array:
        return self.D[i] * self.B[:, i]

    def ended(self, values: list[float]) -> list[str]:
        """Section B.3 and pycma's ``stop``: the reasons, by its names, why more of this run would not help."""
        n, population, g = self.n, self.population, self.iterations
        best, half = values[0], population // 2
        median = values[half] if population % 2 else (values[half - 1] + values[half]) / 2
        self.recent = (*self.recent, best)[-int(10 + 30 * n / population) :]
        if best < self.least:
            self.least, self.improved = best, g
        past = max(self.recent) - min(self.recent)
        extent = self.sigma * self.longest_axis  # the exact deviations are looked at where one of them may matter
        tiny, huge = extent < 1e-10 * math.sqrt(n), extent > 1e2 * self.sigma_began * self._largest_scale
        longest = self.sigma * math.sqrt(self.variances().max()) if tiny or huge else extent
        reasons = []
        if tiny and longest < 1e-11 and self.sigma * float(np.abs(self.pc).max()) < 1e-11:
            reasons.append("tolx: all steps are below 1e-11")
        if huge and longest > 1e3 * self.sigma_began * self._largest_scale:
            reasons.append("tolfacupx: the steps grew a thousandfold, sigma0 is far too small or f has no minimum")
        if past < self.tol and values[-1] - best < self.tol:
            reasons.append(f"tolfun: values differ by less than {self.tol:g}")
        if past < 0.1 * self.tol and len(self.recent) > 9:
            reasons.append(f"tolfunhist: the best values differ by less than {0.1 * self.tol:g}")
        if max(past, values[-1] - best) < 1e-3 * (best - self.best_f) and len(self.recent) > 9:
            reasons.append("outdone: the run converges above a value found before")
        if 0.1 * self.sigma * self.shortest_axis < 2.3e-16 * math.sqrt(self.mean.dot(self.mean)):
            if (self.mean == self.mean + 0.2 * self.sigma * np.sqrt(self.variances())).any():
                reasons.append("noeffectcoord: steps are below the rounding error of a coordinate")
            if (self.mean == self.mean + 0.1 * self.sigma * self.axis(g % n)).all():
                reasons.append("noeffectaxis: steps along an axis are below the rounding error")
        if self.longest_axis > 1e7 * self.shortest_axis:
            reasons.append("tolconditioncov: the condition of the covariance is above 1e14")
        self.flat = 0 if best < values[int(0.75 * population)] else self.flat + 1
        if self.flat > 1:
            reasons.append("tolflatfitness: three quarters of the values are equal")
        if g >= self.max_iterations:
            reasons.append("maxiter: the iterations of this run are spent")
        if self.stands_still():
            reasons.append("tolxstagnation: the mean stands still")
        if g % 5 == 0:
            self.best_history = np.concatenate((self.best_history, [best]))
            self.median_history = np.concatenate((self.median_history, [median]))
            if self.stagnates():
                reasons.append("tolstagnation: the medians no longer fall")
        return reasons

    def stands_still(self) -> bool:
        """The mean moved less than 1e-9 for 20 generations and a tenth of all."""
        patience = 20 + 0.1 * self.iterations
        allowed = 1e-9 * math.sqrt(max(1, (self.iterations - self.still_since) / patience))
        moved = self.mean - self.still_x
        if moved.dot(moved) > allowed**2:
            self.still_x, self.still_since = self.mean, self.iterations
        return self.iterations - self.still_since > patience

    def stagnates(self) -> bool:
        """Neither the best nor the median values of the latest stretch are below those of the stretch before."""
        n, population, g = self.n, self.population, self.iterations
        patience = int(100 + 100 * n**1.5 / population)
        count = len(self.best_history)
        length = int(max(patience / 10, count / 10))
        if count <= 100 or 2 * length >= count or g <= n * (5 + 100 / population) or g - self.improved <= patience / 2:
            return False
        return all(
            np.median(history[-length:]) >= np.median(history[-2 * length : -length])
            for history in (self.median_history, self.best_history)
        )
