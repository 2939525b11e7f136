"""lq-CMA-ES: CMA-ES that asks a linear or quadratic model of f first, and f only as often as the model's ranks err.

Hansen 2019 (GECCO), "A Global Surrogate Assisted CMA-ES"; sections and algorithms of it in the comments.
"""

import functools
import math
from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np

from ..method import Wanted
from .cma_es import CMAES
from .lapack import positive_solver, solve
from .restarts import Array

TRUNCATION = 0.75  # the share of the archive, best first, that a model is fitted to
LARGEST_WEIGHT = 20.0  # of the best point against 1 of the worst one
ENOUGH = 1.1  # points per coefficient before a larger model is taken
LARGEST = (
    1_000  # coefficients of a full model, those of 43 coordinates: beyond, a fit takes longer than most evaluations
)
NONE = np.empty(0)
TURN = 5  # generations after which a full model gets new coordinates
TRUSTED = 0.85  # Kendall's tau between model and truth, from which on the model stands for f


class LqCMAES(CMAES):
    """CMA-ES with a linear-quadratic surrogate (Hansen 2019).

    It asks for few points at a time. Everything else is as in cma_es.

    Dialect: the model is fitted in the coordinates in which the search distribution is N(0, I), or was so up to four
    generations ago, where its least squares problem is well conditioned, by its normal equations. pycma takes the
    pseudoinverse of the raw features, with what remains of their digits once the points are close together.
    """

    REGIME = "ipop"

    def start_run(self, x0: Array, sigma: float) -> None:
        super().start_run(x0, sigma)
        self.archive_size = max(2 * coefficients_of(largest_kind(self.n), self.n), self.population)
        self.archive_x = np.empty((0, self.n))  # the latest first
        self.archive_f = np.empty(0)
        self.model: tuple[Any, ...] = ()  # a Model, in a type that every checkpoint can hold
        self.model_optimum = NONE
        self.turned_at = 0  # the iteration at which the model got its coordinates
        self.offered = self.asked = 0  # points of this run, and those whose true value was asked for

    def generation(self) -> Generator[Wanted, Any, list[str]]:
        Z = self.sample()
        axes = self.mean, self.B, self.sigma * self.D
        if len(self.model_optimum):
            Z[0] = as_sample(inner(self.model_optimum, *axes), Z[0])
            self.forced = True
        model = Model(*self.model) if self.model else None
        same = False
        if model is not None and model.kind == "full" and self.iterations < self.turned_at + TURN:
            same, axes = True, (model.mean, model.B, model.scale)  # so that it needs no monomials of its own
        else:
            self.turned_at = self.iterations
        Y = self.coloured(Z)
        X = self.mean + self.sigma * Y
        shown = X if self._box is None else self._box.fold(X)
        offered = len(X)
        self.offered += offered

        # All points that this generation has to do with; the archive is the rows of some, the latest first.
        points = np.concatenate((X, self.archive_x))
        f = np.empty(len(points))
        values, f[offered:] = f[:offered], self.archive_f
        values[:] = math.nan
        older = np.arange(offered, len(points))
        M = monomials(fit_of(min(len(points), self.archive_size), self.n).kind, points, *axes)

        # Algorithm 2: points are evaluated in the order of the model until its ranks agree with the truth.
        known, least, most, mine = 0, math.inf, -math.inf, older[:0]
        number = int(1 + max(0.02 * offered, 3 / TRUNCATION - len(older)))
        fit, coefficients, guesses = None, NONE, NONE
        if model is None:
            ranked = np.arange(offered)
        else:
            guesses = model.coefficients.dot(M[: len(model.coefficients)]) if same else predicted(model, X)
            ranked = guesses[:offered].argsort(kind="stable")
        while True:
            chosen = (ranked[np.isnan(values[ranked])] if known else ranked)[: number - known]
            told = yield Wanted("values", shown[chosen])
            values[chosen] = told
            lowest, highest = min(listed := told.tolist()), max(listed)
            known, least, most = known + len(chosen), min(least, lowest), max(most, highest)
            self.nfev += len(chosen)
            self.asked += len(chosen)
            mine = np.concatenate((chosen[::-1], mine))
            if len(mine) > 1:  # the best first, without those where f is not finite
                mine = mine.take(f.take(mine).argsort(kind="stable"))
            if most == math.inf:
                mine = mine[f.take(mine) < math.inf]
            rows = np.concatenate((mine, older))[: self.archive_size]
            if len(rows) > 1:
                fit = fit_of(len(rows), self.n)
                coefficients = fitted(fit, M, rows, f.take(rows))
                guesses = coefficients.dot(M[: len(coefficients)])
                if lowest < math.inf:
                    latest = rows[: int(max(15, min(1.2 * known, 0.75 * self.population)))]  # section 3
                    if kendall(f.take(latest), guesses.take(latest)) >= TRUSTED:
                        break
                ranked = guesses[:offered].argsort(kind="stable")
            if known == offered:
                break
            number += math.ceil(number / 2)
        self.archive_x, self.archive_f = points.take(rows, axis=0), f.take(rows)
        self.model, best = (), NONE
        if fit is not None:
            model = Model(fit.kind, coefficients, *axes)
            self.model, best = tuple(model), optimum(model, self.archive_x[0])
            if known < offered:  # Algorithm 2, line 15: model values, moved up to the best true one
                guesses = guesses[:offered] - (guesses[:offered].min() - least)
                values = guesses if most < math.inf else np.where(values == np.inf, np.inf, guesses)
        outside = self.forced and values[0] == math.inf  # of where f is finite; the model would offer the point again
        reasons = self.tell_generation(Y, Z, values)
        self.forced = False
        self.model_optimum = NONE if outside or not math.isfinite(best.dot(best)) else best
        return reasons


def as_sample(u: Array, z: Array) -> Array:
    """The sample that stands for u: u itself unless it is farther away than samples z are, then in its direction."""
    length = math.sqrt(u.dot(u))
    return u * (math.sqrt(z.dot(z)) / length) if length > math.sqrt(len(u)) else u


# ---------------------------------------------------------------- the model

KINDS = ("full", "diagonal", "linear")


def coefficients_of(kind: str, n: int) -> int:
    return {"linear": n + 1, "diagonal": 2 * n + 1, "full": n * (n + 3) // 2 + 1}[kind]


def largest_kind(n: int) -> str:
    return "full" if coefficients_of("full", n) <= LARGEST else "diagonal"


@functools.cache
def factors(kind: str, n: int) -> tuple[Array, Array]:
    """Every monomial is a product of two of (1, u_1, …, u_n): 1, u_i, then u_i², then u_i u_j for i < j."""
    single, (i, j) = np.arange(1, n + 1), np.triu_indices(n, 1)
    first = np.concatenate(([0], 0 * single, single, i + 1))
    second = np.concatenate(([0], single, single, j + 1))
    count = coefficients_of(kind, n)
    return first[:count], second[:count]


@functools.cache
def hessian_of(n: int) -> tuple[Array, Array]:
    """Where each entry (n, n) of half the Hessian of a full model stands among its coefficients, and its factor."""
    i, j = np.triu_indices(n, 1)
    at = np.diag(np.arange(n + 1, 2 * n + 1))
    at[i, j] = at[j, i] = np.arange(2 * n + 1, 2 * n + 1 + len(i))
    return at, np.where(np.eye(n, dtype=bool), 1.0, 0.5)


class Fit(NamedTuple):
    """What is fitted to an archive of some size: a model of this kind, to as many of the best points, by weight."""

    kind: str
    coefficients: int
    used: int
    weights: Array


@functools.lru_cache(1024)
def fit_of(size: int, n: int) -> Fit:
    """The largest kind that there are points enough for (section 3.1); the best points, the better the more weight."""
    kinds = KINDS[KINDS.index(largest_kind(n)) :]
    kind = next((k for k in kinds if size * TRUNCATION >= ENOUGH * coefficients_of(k, n)), "linear")
    count = coefficients_of(kind, n)
    used = min(size, max(count + 2, int(TRUNCATION * (size + 1))))
    return Fit(kind, count, used, np.linspace(LARGEST_WEIGHT, 1, used))


class Model(NamedTuple):
    """A polynomial in u = Bᵀ(x − mean) / scale, less the smallest value that it was fitted to."""

    kind: str
    coefficients: Array
    mean: Array
    B: Array
    scale: Array


def inner(x: Array, mean: Array, B: Array, scale: Array) -> Array:
    """Points x (…, n) in the coordinates of a model."""
    return (x - mean).dot(B) / scale


def monomials(kind: str, X: Array, mean: Array, B: Array, scale: Array) -> Array:
    """The monomials (coefficients, size) at points X (size, n)."""
    factor = np.empty((X.shape[1] + 1, len(X)))
    factor[0] = 1
    factor[1:] = inner(X, mean, B, scale).T
    first, second = factors(kind, X.shape[1])
    M = factor.take(first, axis=0)
    M *= factor.take(second, axis=0)
    return M


def fitted(fit: Fit, M: Array, rows: Array, f: Array) -> Array:
    """The coefficients of a weighted least squares fit to the points ``rows`` of the monomials M, with values f."""
    best = f.argsort(kind="stable")[: fit.used]
    above = f.take(best)
    above -= above[0]
    if above[-1] > 1e290:
        above = np.minimum(above, 1e290)
    A = M[: fit.coefficients].take(rows.take(best), axis=1)
    A *= fit.weights
    above *= fit.weights
    return least_squares(A, above)


def predicted(model: Model, X: Array) -> Array:
    return model.coefficients.dot(monomials(model.kind, X, model.mean, model.B, model.scale))


def optimum(model: Model, latest: Array) -> Array:
    """The stationary point; for a linear model a step down the slope from the latest best point."""
    c, n = model.coefficients, len(latest)
    half_slope = c[1 : n + 1] / -2
    if model.kind == "linear":
        u = inner(latest, model.mean, model.B, model.scale) + 4 * half_slope
    elif model.kind == "diagonal":
        curvature = c[n + 1 :]
        u = np.where(curvature == 0, 0, half_slope / np.where(curvature == 0, 1, curvature))
    else:
        at, share = hessian_of(n)
        hessian = c.take(at) * share
        u = solve(hessian, half_slope)
        if math.isnan(u[0]) and np.isfinite(hessian).all():
            u = np.linalg.pinv(hessian) @ half_slope
    return model.mean + model.B.dot(model.scale * u)


def least_squares(A: Array, b: Array) -> Array:
    """The x (m,) of least ‖x A − b‖ for A (m, size), the shortest one where m > size.

    The normal equations, whose matrix has a condition of 1e3 to 1e5 on most of BBOB, thanks to the coordinates; for the
    shortest one those of the second kind, x = A y. Where they do not solve the problem, a singular value decomposition.
    """
    several = A.shape[1] <= len(A)
    rows = A.T if several else A
    squares = rows.dot(rows.T)
    size = np.sqrt(squares.diagonal())
    right = b if several else A.dot(b)
    x = positive_solver()(squares, right)  # whose digits do not depend on the size of a row
    if several:
        x = A.dot(x)
    left = b - x.dot(A)
    slope, right = (left if several else A.dot(left)) / size, right / size
    if slope.dot(slope) <= 1e-24 * right.dot(right):  # False for NaN
        return x
    return np.linalg.lstsq(A.T, b, rcond=1e-13)[0]


def kendall(x: Array, y: Array) -> float:
    """Kendall's rank correlation tau-b; 0 where one of them is constant, has a NaN, or has fewer than three values."""
    n, count = len(x), np.count_nonzero
    if n < 3:
        return 0.0
    a, b, pairs = x[:, None] > x, y[:, None] > y, n * (n - 1) // 2
    if count(a) == count(b) == pairs:  # none equal
        return (int(count(a == b)) - n - pairs) / pairs
    norm = 0.0 if np.isnan(x + y).any() else math.sqrt(count(a) * count(b))
    return (int(count(a & b)) - int(count(a & b.T))) / norm if norm else 0.0
