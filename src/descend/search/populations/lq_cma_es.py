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
from .restarts import Array

TRUNCATION = 0.75  # the share of the archive, best first, that a model is fitted to
LARGEST_WEIGHT = 20.0  # of the best point against 1 of the worst one
ENOUGH = 1.1  # points per coefficient before a larger model is taken
LARGEST = (
    1_000  # coefficients of a full model, those of 43 coordinates: beyond, a fit takes longer than most evaluations
)
TRUSTED = 0.85  # Kendall's tau between model and truth, from which on the model stands for f


class LqCMAES(CMAES):
    """CMA-ES with a linear-quadratic surrogate (Hansen 2019).

    It asks for few points at a time. Everything else is as in cma_es.

    Dialect: the model is fitted in the coordinates in which the search distribution is N(0, I), where its least squares
    problem is well conditioned, by its normal equations. pycma takes the pseudoinverse of the raw features, with what
    remains of their digits once the points are close together.
    """

    REGIME = "ipop"

    def start_run(self, x0: Array, sigma: float) -> None:
        super().start_run(x0, sigma)
        self.archive_x = np.empty((0, self.n))  # the latest first
        self.archive_f = np.empty(0)
        self.model: tuple[Any, ...] = ()  # a Model, in a type that every checkpoint can hold
        self.model_optimum = np.empty(0)
        self.offered = self.asked = 0  # points of this run, and those whose true value was asked for

    def generation(self) -> Generator[Wanted, Any, list[str]]:
        Z = self.sample()
        if len(self.model_optimum):
            Z = np.concatenate((self.as_sample(self.model_optimum, Z[0])[None], Z[1:]))
            self.forced = 1
        Y = self.coloured(Z)
        X = self.mean + self.sigma * Y
        shown = X if self._box is None else self._box.fold(X)
        self.offered += len(X)

        # Algorithm 2: points are evaluated in the order of the model until its ranks agree with the truth.
        values = np.full(len(X), np.nan)
        known, least = 0, math.inf
        number = int(1 + max(0.02 * len(X), 3 / TRUNCATION - len(self.archive_f)))
        model = Model(*self.model) if self.model else None
        while True:
            ranked = np.arange(len(X)) if model is None else predicted(model, X).argsort(kind="stable")
            chosen = (ranked[np.isnan(values[ranked])] if known else ranked)[: number - known]
            told = yield Wanted("values", shown[chosen])
            values[chosen] = told
            known, least = known + len(chosen), min(least, float(told.min()))
            self.nfev += len(chosen)
            self.asked += len(chosen)
            self.keep(X[chosen], told, known)
            if len(self.archive_f) > 1:
                model = fitted(self.archive_x, self.archive_f, self.mean, self.B, self.sigma * self.D)
                latest = int(max(15, min(1.2 * known, 0.75 * self.population)))  # section 3
                agrees = kendall(self.archive_f[:latest], predicted(model, self.archive_x[:latest])) >= TRUSTED
                if agrees and told.min() < math.inf:
                    break
            if known == len(X):
                break
            number += math.ceil(number / 2)
        if model is not None and known < len(X):  # Algorithm 2, line 15: model values, moved up to the best true one
            guesses = predicted(model, X)
            values = np.where(np.isinf(values), np.inf, guesses - guesses.min() + least)
        best = np.empty(0) if model is None else optimum(model, self.archive_x[0])
        self.model = () if model is None else tuple(model)
        if not np.isfinite(best).all():
            best = np.empty(0)
        outside = self.forced and np.isinf(values[0])  # of where f is finite; the model would offer the point again
        reasons = self.tell_generation(Y, Z, values)
        self.forced = 0
        self.model_optimum = np.empty(0) if outside else best
        return reasons

    def as_sample(self, x: Array, z: Array) -> Array:
        """The sample that stands for x: x itself unless it is farther away than samples are, then in its direction."""
        towards = ((x - self.mean) / self.sigma) @ self.B / self.D
        length = math.sqrt(towards @ towards)
        return towards * (math.sqrt(z @ z) / length) if length > math.sqrt(self.n) else towards

    def keep(self, X: Array, f: Array, latest: int) -> None:
        """Put points into the archive; the ``latest`` points of it, all of this generation, are sorted, best first."""
        if f.max() == math.inf:
            finite = f < math.inf
            X, f = X[finite], f[finite]
        size = max(2 * coefficients_of(largest_kind(self.n), self.n), self.population)
        X, f = np.concatenate((X[::-1], self.archive_x))[:size], np.concatenate((f[::-1], self.archive_f))[:size]
        if latest > 1:
            order = f[:latest].argsort(kind="stable")
            X[:latest], f[:latest] = X.take(order, axis=0), f.take(order)
        self.archive_x, self.archive_f = X, f


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


@functools.cache
def weights_of(used: int) -> Array:
    return np.linspace(LARGEST_WEIGHT, 1, used)


class Model(NamedTuple):
    """A polynomial in u = Bᵀ(x − mean) / scale, less the smallest value that it was fitted to."""

    kind: str
    coefficients: Array
    mean: Array
    B: Array
    scale: Array


def monomials(kind: str, X: Array, mean: Array, B: Array, scale: Array) -> Array:
    """The monomials (coefficients, size) at points X (size, n)."""
    size, n = X.shape
    factor = np.empty((n + 1, size))
    factor[0] = 1
    np.divide(((X - mean) @ B).T, scale[:, None], out=factor[1:])
    first, second = factors(kind, n)
    return factor.take(first, axis=0) * factor.take(second, axis=0)


def fitted(X: Array, f: Array, mean: Array, B: Array, scale: Array) -> Model:
    """A weighted least squares fit to points X (size, n) with values f.

    The largest kind that there are points enough for (section 3.1); the best points, the better the more weight.
    """
    size, n = X.shape
    kinds = KINDS[KINDS.index(largest_kind(n)) :]
    kind = next((k for k in kinds if size * TRUNCATION >= ENOUGH * coefficients_of(k, n)), "linear")
    used = min(size, max(coefficients_of(kind, n) + 2, int(TRUNCATION * (size + 1))))
    best = f.argsort(kind="stable")[:used]
    weights = weights_of(used)
    A = weights * monomials(kind, X.take(best, axis=0), mean, B, scale)
    above = f.take(best)
    above = np.minimum(above - above[0], 1e290)
    return Model(kind, least_squares(A, weights * above), mean, B, scale)


def predicted(model: Model, X: Array) -> Array:
    return model.coefficients @ monomials(model.kind, X, model.mean, model.B, model.scale)


def optimum(model: Model, latest: Array) -> Array:
    """The stationary point; for a linear model a step down the slope from the latest best point."""
    c, n = model.coefficients, len(latest)
    half_slope = c[1 : n + 1] / -2
    if model.kind == "linear":
        u = ((latest - model.mean) @ model.B) / model.scale + 4 * half_slope
    elif model.kind == "diagonal":
        curvature = c[n + 1 :]
        u = np.where(curvature == 0, 0, half_slope / np.where(curvature == 0, 1, curvature))
    else:
        at, share = hessian_of(n)
        hessian = c[at] * share
        try:
            u = np.linalg.solve(hessian, half_slope)
        except np.linalg.LinAlgError:
            u = np.linalg.pinv(hessian) @ half_slope
    return model.mean + model.B @ (model.scale * u)


def least_squares(A: Array, b: Array) -> Array:
    """The x (m,) of least ‖x A − b‖ for A (m, size), the shortest one where there are several.

    The normal equations with one step of refinement ("corrected seminormal equations", Björck 1987), which are as good
    as a QR factorisation while the square of the condition has digits left; beyond, a singular value decomposition.
    """
    if A.shape[1] > len(A):
        squares = A @ A.T
        size = np.sqrt(squares.diagonal())
        if size.min() > 0:
            squares /= size
            squares /= size[:, None]
            right = (A @ b) / size
            try:
                x = np.linalg.solve(squares, right) / size
                x += np.linalg.solve(squares, (A @ (b - x @ A)) / size) / size
            except np.linalg.LinAlgError:
                x = np.full(len(A), np.nan)
            left = (A @ (b - x @ A)) / size
            if np.abs(left).max() <= 1e-12 * np.abs(right).max():  # False for NaN
                return x
    return np.linalg.lstsq(A.T, b, rcond=1e-13)[0]


def kendall(x: Array, y: Array) -> float:
    """Kendall's rank correlation tau-b; 0 where one of them is constant or there are fewer than three points."""
    if len(x) < 3:
        return 0.0
    dx, dy = np.sign(x[:, None] - x).ravel(), np.sign(y[:, None] - y).ravel()
    norm = math.sqrt(np.count_nonzero(dx) * np.count_nonzero(dy))
    return float(dx @ dy) / norm if norm else 0.0
