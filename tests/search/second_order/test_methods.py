"""Second-order methods against SciPy's, across libraries, near the solution, and saved in the middle."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize
from scipy.optimize import rosen, rosen_der, rosen_hess, rosen_hess_prod

from benchmarks.search.problems import Rosenbrock, answer
from descend import minimize
from descend.search import names
from descend.search.names import build
from descend.search.second_order import newton_cg, trust

VECTORS = ["l_bfgs", "nonlinear_cg", "newton_cg", "trust_ncg", "trust_krylov", "hessian_free"]
MATRICES = ["bfgs", "ssbroyden", "newton", "saddle_free", "trust_exact"]
START = np.array([-1.2, 1.0, 0.5])


def quartic(x):
    """Strictly convex, in the arithmetic that all libraries share."""
    total = 0.0
    for i in range(4):
        total = total + (i + 1) * (x[i] - 0.3 * i) ** 2 + 0.5 * x[i] ** 4
    return total + x[0] * x[1] + 0.5 * x[2] * x[3]


@pytest.mark.parametrize("method", VECTORS + MATRICES)
def test_it_finds_the_minimum_of_a_curved_valley(method):
    curvature = {"hess": rosen_hess, "hessp": rosen_hess_prod} if names.find(method).uses - {"gradient"} else {}
    found = minimize(rosen, START, method, jac=rosen_der, **curvature, tol=1e-9)
    assert found.success, found.message
    np.testing.assert_allclose(found.x, 1, atol=1e-7)
    assert found.nfev == found.njev or method == "hessian_free"  # which looks at values while it backtracks
    assert (found.nhev > 0) == (method not in ("l_bfgs", "nonlinear_cg", "bfgs", "ssbroyden"))


@pytest.mark.parametrize("method", VECTORS + MATRICES)
def test_differences_stand_in_for_what_is_not_given(method):
    found = minimize(rosen, START, method, jac="3-point", budget=12_000)
    assert found.fun < 1e-6, found.message
    assert found.njev == 0
    assert found.nhev == 0


@pytest.mark.parametrize("method", VECTORS + MATRICES)
def test_iterates_are_the_same_in_every_library(method):
    import jax
    import torch

    paths = []
    with jax.enable_x64():
        for x0 in (np.ones(4), torch.ones(4, dtype=torch.float64), jax.numpy.ones(4)):
            path = []

            def gradient(x):
                i = np.arange(4)
                g = 2 * (i + 1) * (x - 0.3 * i) + 2 * x**3
                return g + np.array([x[1], x[0], 0.5 * x[3], 0.5 * x[2]])

            def hessian(x):
                H = np.diag(2.0 * (np.arange(4) + 1) + 6 * x**2)
                H[0, 1] = H[1, 0] = 1.0
                H[2, 3] = H[3, 2] = 0.5
                return H

            given = {"jac": gradient, "hess": hessian} if isinstance(x0, np.ndarray) else {}
            if not names.find(method).uses - {"gradient"}:
                given.pop("hess", None)
            result = minimize(
                quartic, x0, method, **given, tol=1e-6, callback=lambda r, path=path: path.append(np.asarray(r.x))
            )
            assert result.success
            paths.append(np.array(path))
    for other in paths[1:]:
        assert len(paths[0]) > 2
        np.testing.assert_allclose(other, paths[0], rtol=0, atol=1e-10)


class Coupled:
    """A strictly convex function that is nowhere quadratic: Σ eˣ - x + x⁴/20 + (x[i] - x[i+1])²/4, at random scales."""

    def __init__(self, n=6):
        self.scale = np.linspace(1, 3, n)

    def value(self, x):
        return float((self.scale * (np.exp(x) - x + x**4 / 20)).sum() + (np.diff(x) ** 2).sum() / 4)

    def gradient(self, x):
        g, d = self.scale * (np.exp(x) - 1 + x**3 / 5), np.diff(x) / 2
        g[1:] += d
        g[:-1] -= d
        return g

    def hessian(self, x):
        chain = np.diff(np.eye(len(x)), axis=0)
        return np.diag(self.scale * (np.exp(x) + 3 * x**2 / 5)) + chain.T @ chain / 2

    def product(self, x, v):
        return self.hessian(x) @ v


def steps_near_the_solution(method, problem):
    """(error before, error after) of the iterations that begin within 0.3 of the minimum, at 0, from several starts."""
    for seed in range(12):
        start = np.random.default_rng(seed).uniform(-1, 1, len(problem.scale))
        one, errors = build(method, start, tol=0.0), [np.inf]
        while (wanted := one.wanted) is not None and len(errors) < 40:
            done = one.nit
            one.answer(answer(problem, wanted))
            if one.nit > done:
                errors.append(float(np.linalg.norm(one.x)))
        yield from ((b, a) for b, a in itertools.pairwise(errors) if b < 0.3 and 1e-14 < a < b)


@pytest.mark.parametrize("method", ["newton", "saddle_free", "newton_cg", "trust_ncg", "trust_krylov", "trust_exact"])
def test_newton_methods_converge_with_order_two(method):
    before, after = np.log(np.array(list(steps_near_the_solution(method, Coupled())))).T
    assert len(before) > 24
    assert before.min() < np.log(1e-4)
    order, _ = np.polyfit(before, after, 1)
    assert order > 1.8
    assert (after - 1.8 * before).max() < np.log(30)  # after ≤ C before^1.8 for every one; the residual's share, 10‖g‖


@pytest.mark.parametrize("method", ["newton_cg", "trust_ncg"])
def test_a_looser_equation_would_not_be_of_order_two(method, monkeypatch):
    """The test above notices: with residuals of a share that is constant the order is one."""
    for module in (newton_cg, trust):
        monkeypatch.setattr(module, "forcing", lambda size, most=0.5: most)
    before, after = np.log(np.array(list(steps_near_the_solution(method, Coupled())))).T
    assert np.polyfit(before, after, 1)[0] < 1.5


@pytest.mark.parametrize("method", [*VECTORS, *MATRICES])
def test_a_run_that_is_saved_anywhere_goes_on_to_the_bit(method):
    problem = Rosenbrock(4)
    whole, paths = build(method, problem.start), []
    while (wanted := whole.wanted) is not None and len(paths) < 60:
        paths.append(wanted.points.copy())
        whole.answer(answer(problem, wanted))
    one = build(method, problem.start)
    for k, points in enumerate(paths):
        other = build(method, problem.start * 0 + 0.5)
        other.load_state_dict(one.state_dict())
        one = other
        np.testing.assert_array_equal(one.wanted.points, points, err_msg=f"call {k}")
        one.answer(answer(problem, one.wanted))
    assert one.best.f == whole.best.f


@pytest.mark.parametrize("n", [2, 6])
def test_bounds_are_kept_and_lead_where_scipys_do(n):
    rng = np.random.default_rng(n)
    for _ in range(10):
        root = rng.standard_normal((n, n))
        A, b = root @ root.T + 0.1 * np.eye(n), 3 * rng.standard_normal(n)
        low = rng.uniform(-1, 0, n)
        high = low + rng.uniform(0.1, 1, n)
        x0 = (low + high) / 2

        def f(x, A=A, b=b, low=low, high=high):
            assert (x >= low).all()
            assert (x <= high).all()
            return x @ A @ x / 2 - b @ x

        def jac(x, A=A, b=b):
            return A @ x - b

        bounds = list(zip(low, high, strict=True))
        mine = minimize(f, x0, "L-BFGS-B", bounds, jac=jac, tol=1e-8)
        theirs = scipy_minimize(f, x0, jac=jac, method="L-BFGS-B", bounds=bounds, options={"ftol": 0, "gtol": 1e-8})
        assert mine.success, mine.message
        assert mine.fun <= theirs.fun + 1e-9
        np.testing.assert_allclose(mine.x, theirs.x, atol=1e-5)
        assert minimize(f, x0, "l_bfgs", bounds, tol=1e-4).fun == pytest.approx(theirs.fun, abs=1e-5)


def test_a_matrix_that_is_too_large_is_refused_before_anything_is_evaluated():
    def f(x):
        raise AssertionError("f was called")

    for method in MATRICES:
        with pytest.raises(ValueError, match=r"1,000,000 coordinates takes 7.28 TiB, and memory_limit is 3.73 GiB"):
            minimize(f, np.zeros(1_000_000), method)


def test_what_keeps_no_bounds_says_so():
    with pytest.raises(ValueError, match="TrustNCG keeps no bounds; l_bfgs does"):
        minimize(rosen, np.zeros(2), "trust-ncg", (-1, 1))


def test_saddle_free_leaves_a_saddle():
    def f(x):
        return x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 4

    found = minimize(f, np.array([1.0, 1e-3]), "saddle_free", jac="3-point")
    assert found.fun == pytest.approx(-1)


@pytest.mark.parametrize("n", [10, 100])
def test_short_steps_come_round_the_bend_where_exact_ones_are_caught(n):
    """docs/minimize.md: the local minimum of Rosenbrock's function."""
    problem = Rosenbrock(n)

    def found(**radii):
        return minimize(
            problem.value, problem.start, "trust_exact", jac=problem.gradient, hess=problem.hessian, tol=1e-8, **radii
        ).fun

    assert found() == pytest.approx(3.986, abs=1e-2)
    assert found(radius=0.3, largest_radius=0.3) < 1e-12


@pytest.mark.parametrize("method", VECTORS + MATRICES)
def test_bad_options_are_refused_by_name(method):
    with pytest.raises(TypeError, match="no option 'lr'"):
        build(method, np.zeros(2), lr=1)
