"""The model of lq-CMA-ES: its least squares and ranks are those of pycma, NumPy and SciPy."""

import sys
import warnings

import numpy as np
import pytest

from descend.search.populations import lapack, lq_cma_es
from descend.search.populations.lq_cma_es import (
    LqCMAES,
    Model,
    fit_of,
    fitted,
    kendall,
    least_squares,
    monomials,
    optimum,
    predicted,
)


@pytest.fixture(params=["by SciPy", "without SciPy"])
def solver(request, monkeypatch):
    if request.param == "without SciPy":
        monkeypatch.setattr(lq_cma_es, "positive_solver", lambda: lapack.solve)


def model_of(X, f, *axes):
    fit = fit_of(*X.shape)
    return Model(fit.kind, fitted(fit, monomials(fit.kind, X, *axes), np.arange(len(X)), f), *axes)


@pytest.mark.parametrize("size", [8, 18, 60])
def test_it_is_pycmas(size):
    """Another function than a quadratic one, so that the weights of the points count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cma = pytest.importorskip("cma")
    n = 4
    chance = np.random.default_rng(size)
    X = 1 + chance.standard_normal((size, n))
    f = np.array([float((x[0] - x[1] ** 2) ** 2 + abs(x[2]) + x[3] ** 2) for x in X])
    theirs = cma.fitness_models.LQModel()
    for x, value in zip(X[::-1], f[::-1], strict=True):
        theirs.add_data_row(x, value, prune=False)
    ours = model_of(X, f, np.full(n, 0.3), np.linalg.qr(chance.standard_normal((n, n)))[0], np.ones(n))
    assert ours.kind == {8: "linear", 18: "diagonal", 60: "full"}[size]
    if ours.kind == "diagonal":  # which other axes do not share
        ours = model_of(X, f, np.full(n, 0.3), np.eye(n), np.full(n, 2.0))
    points = chance.standard_normal((10, n))
    expected = np.array([theirs.eval(x) for x in points]) - f.min()
    np.testing.assert_allclose(predicted(ours, points), expected, rtol=1e-7, atol=1e-8)
    if ours.kind != "linear":
        np.testing.assert_allclose(optimum(ours, X[0]), theirs.xopt, rtol=1e-6)
    assert kendall(f[:9], predicted(ours, X[:9])) == pytest.approx(theirs.kendall(9))


def test_one_of_many_coordinates_has_no_mixed_terms():
    chance = np.random.default_rng(0)
    for n, kind in ((43, "full"), (44, "diagonal")):
        X = chance.standard_normal((1_500, n))
        model = model_of(X, (np.arange(1, n + 1) * (X - 0.5) ** 2).sum(1), np.zeros(n), np.eye(n), np.ones(n))
        assert model.kind == kind
        np.testing.assert_allclose(model.coefficients[n + 1 : 2 * n + 1], np.arange(1, n + 1), rtol=1e-6)


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize(("condition", "scales"), [(1, 1), (1, 1e8), (1e3, 1e8), (1e6, 1), (1e9, 1)])
def test_least_squares_are_those_of_a_decomposition(condition, scales):
    """Of a matrix whose rows have lengths that differ, with residuals that are not zero."""
    chance = np.random.default_rng(1)
    left, right = (np.linalg.qr(chance.standard_normal((k, 21)))[0] for k in (21, 40))
    A = (left * np.geomspace(1, 1 / condition, 21)) @ right.T
    A *= np.geomspace(1, scales, 21)[chance.permutation(21), None]
    b = chance.standard_normal(21) @ A + 0.1 * chance.standard_normal(40)
    size = np.linalg.norm(A, axis=1)
    x, expected = least_squares(A, b) * size, np.linalg.lstsq((A / size[:, None]).T, b, rcond=1e-15)[0]
    A /= size[:, None]
    assert np.linalg.norm(b - x @ A) == pytest.approx(np.linalg.norm(b - expected @ A), rel=1e-7)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-14 * min(condition**2, 1e8) * np.abs(expected).max())


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize(("points", "times"), [(1, 1), (5, 1), (20, 1), (21, 1), (10, 2)])
def test_of_several_least_squares_it_is_the_shortest(points, times):
    chance = np.random.default_rng(points)
    A, b = chance.standard_normal((21, points)) * np.linspace(20, 1, points), chance.standard_normal(points)
    A, b = np.repeat(A, times, axis=1), np.repeat(b, times)
    with np.errstate(invalid="ignore"):  # as in a search
        np.testing.assert_allclose(least_squares(A, b), np.linalg.pinv(A.T) @ b, rtol=1e-9, atol=1e-12)


def test_equations_are_solved_as_by_numpys_public_functions():
    chance = np.random.default_rng(0)
    for n in (1, 5, 40):
        A, b = chance.standard_normal((n, n)), chance.standard_normal(n)
        np.testing.assert_array_equal(lapack.solve(A, b), lapack.checked_solve(A, b))
        for ours, public in zip(lapack.eigh(A @ A.T), np.linalg.eigh(A @ A.T), strict=True):
            np.testing.assert_array_equal(ours, public)
    with np.errstate(invalid="ignore"):
        assert np.isnan(lapack.solve(np.ones((2, 2)), np.ones(2))).all()
        assert np.isnan(lapack.checked_solve(np.ones((2, 2)), np.ones(2))).all()
        assert np.isnan(lapack.eigh(np.full((2, 2), np.nan))[0]).all()


def test_equations_of_a_positive_definite_matrix_are_solved_with_scipy_and_without(monkeypatch):
    pytest.importorskip("scipy")
    chance = np.random.default_rng(0)
    by_scipy = lapack.positive_solver()
    monkeypatch.setitem(sys.modules, "scipy.linalg.lapack", None)
    assert lapack.positive_solver.__wrapped__() is lapack.solve
    for n in (1, 5, 81):
        A, b = chance.standard_normal((n, 2 * n)), chance.standard_normal(n)
        a = A @ A.T
        expected = np.linalg.solve(a, b)
        np.testing.assert_allclose(by_scipy(a.copy(), b), expected, rtol=1e-9)
    for other in (-np.eye(2), np.ones((2, 2)), np.full((2, 2), np.nan)):
        assert np.isnan(by_scipy(other, np.ones(2))).all()


@pytest.mark.parametrize("size", [3, 15, 40])
@pytest.mark.parametrize("kinds", [3, 10**9])
def test_ranks_correlate_as_scipy_says(size, kinds):
    stats = pytest.importorskip("scipy.stats")
    chance = np.random.default_rng(size)
    for _ in range(20):
        x, y = chance.integers(kinds, size=(2, size)).astype(float)
        if len(set(x)) > 1 and len(set(y)) > 1:
            assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-14)
    assert kendall(np.ones(size), y) == 0
    assert kendall(np.where(y == y[0], np.nan, y), y) == 0


def test_the_archive_has_the_latest_finite_points_the_best_of_a_generation_first():
    method = LqCMAES(np.full(3, 2.0), seed=4, sigma0=1.0, restarts="none")
    told = []
    for _ in range(60):
        began, generation = method.nit, []
        while method.nit == began:
            points = method.ask()
            values = [np.inf if x[0] > 2 else float(np.abs(x - x[::-1] ** 3).sum()) for x in points]
            generation = [(f, *x) for f, x in zip(values, points, strict=True) if np.isfinite(f)][::-1] + generation
            method.tell(points, values)
        told = sorted(generation, key=lambda one: one[0]) + told
    archive = np.column_stack((method.archive_f, method.archive_x))
    np.testing.assert_array_equal(archive, np.array(told[: method.archive_size]))
    assert len(told) > method.archive_size
