"""Calls as people write them who come from SciPy: taken, or refused with what to do instead."""

import warnings

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess, rosen_hess_prod

from descend import minimize
from descend.search import names

START = [-1.2, 1.0]
METHODS = sorted(set(names.METHODS) - {"gauss_newton"})


def bowl(x):
    return float(((np.asarray(x) - 1) ** 2).sum())


def test_arguments_of_the_function_go_to_its_derivatives_too():
    def f(x, a, b):
        return a * (x[0] - b) ** 2

    def jac(x, a, b):
        return np.array([2 * a * (x[0] - b)])

    def hess(x, a, b):
        return np.array([[2.0 * a]])

    def hessp(x, v, a, b):
        return 2 * a * v

    for given in ({}, {"hess": hess}, {"hessp": hessp}):
        found = minimize(f, [0.0], "trust-ncg", args=(3.0, 0.5), jac=jac, **given)
        assert found.x == pytest.approx([0.5])
    assert minimize(lambda x, c: (x[0] - c) ** 2, [0.0], args=2.0, budget=300, seed=0).x == pytest.approx([2.0])


def test_options_in_a_dict_have_scipys_names_or_ours():
    found = minimize(rosen, START, "L-BFGS-B", jac=rosen_der, options={"gtol": 1e-3, "maxcor": 5, "disp": False})
    assert "above 0.001" in found.message
    assert minimize(rosen, START, "BFGS", options={"maxiter": 3}).nit == 3
    found = minimize(rosen, START, "bfgs", maxiter=3)
    assert (found.nit, found.status, found.success) == (3, 1, False)
    assert found.message == "the 3 iterations of maxiter are done"
    assert minimize(rosen, START, "Nelder-Mead", options={"maxfev": 20}).nfev == 20


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"options": {"gtol": 1e-3}, "tol": 1e-4}, "tol is given twice"),
        ({"options": {"memory": 5}, "memory": 4}, "memory is given twice"),
        ({"options": {"ftol": 1e-3}}, "LBFGS has no option 'ftol'"),
        ({"options": {"disp": True}}, "no 'disp'; the result has the message"),
        ({"options": [1]}, "options must be a dict"),
        ({"maxiter": 0}, "maxiter must be a whole number of iterations, at least 1"),
        ({"constraints": {"type": "eq", "fun": bowl}}, "constraints: minimize keeps bounds, no other.*SLSQP"),
        ({"constraints": [{"type": "eq", "fun": bowl}]}, "constraints: minimize keeps bounds"),
        ({"maximize": True}, "maximize: .* returns -f"),
        ({"method": lambda *a, **k: None}, "method must be a name or a class of methods"),
        ({"method": "maximize"}, "no method 'maximize'"),
        ({"method": "SLSQP"}, "no method 'SLSQP'"),
        ({"bounds": [(0, 1)]}, r"x0\[0\] = -1.2 is outside"),
        ({"x0": ["a", "b"]}, "x0 must be of real numbers"),
        ({"x0": [1 + 1j, 2]}, "x0 must be of real numbers"),
    ],
)
def test_what_is_not_there_is_refused_with_what_to_do(given, says):
    def f(x):
        raise AssertionError("f was called")

    with pytest.raises((TypeError, ValueError), match=says):
        minimize(f, **({"x0": START, "method": "l_bfgs"} | given))


def test_no_constraints_are_none():
    assert minimize(rosen, START, "l_bfgs", constraints=(), options={}).success


def test_callbacks_have_the_forms_of_scipys():
    seen = []
    minimize(rosen, START, "bfgs", callback=lambda intermediate_result: seen.append(intermediate_result.fun), maxiter=4)
    assert len(seen) == 4
    points = []
    minimize(rosen, START, "bfgs", callback=lambda xk: points.append(xk), maxiter=4)
    assert np.array(points).shape == (4, 2)

    def enough(intermediate_result):
        return intermediate_result.nit == 2

    found = minimize(rosen, START, "bfgs", callback=enough)
    assert (found.nit, found.status, found.message) == (2, 3, "the callback ended it")
    results = []
    minimize(rosen, START, "bfgs", callback=results.append, maxiter=2)
    assert [one.nit for one in results] == [1, 2]


@pytest.mark.parametrize(
    ("method", "given", "says"),
    [
        ("nelder_mead", {"jac": rosen_der}, r"Method nelder_mead does not use gradient information \(jac\)"),
        ("cma_es", {"hess": rosen_hess}, r"Method cma_es does not use Hessian information \(hess\)"),
        ("BFGS", {"jac": rosen_der, "hess": rosen_hess}, r"Method bfgs does not use Hessian information \(hess\)"),
        ("CG", {"jac": rosen_der, "hessp": rosen_hess_prod}, r"Method nonlinear_cg does not use Hessian.*\(hessp\)"),
    ],
)
def test_a_derivative_that_is_ignored_is_warned_of(method, given, says):
    with pytest.warns(RuntimeWarning, match=says) as caught:
        minimize(rosen, START, method, budget=30, seed=0, **given)
    assert caught[0].filename == __file__


def test_a_hessian_leads_auto_to_a_trust_region_and_is_computed_once_a_point():
    points = []

    def hess(x):
        points.append(x.tobytes())
        return rosen_hess(x)

    found = minimize(rosen, START, jac=rosen_der, hess=hess)
    assert found.success
    assert "auto took trust_krylov" in found.message
    assert len(points) == len(set(points)) == found.nhev
    with pytest.warns(RuntimeWarning, match="does not use Hessian"):  # which keeps bounds
        assert "auto took l_bfgs" in minimize(rosen, START, jac=rosen_der, hess=hess, bounds=(-2, 2)).message


@pytest.mark.parametrize("method", METHODS)
def test_the_start_counts(method):
    found = minimize(bowl, np.ones(3), method, budget=40, seed=0)
    assert found.fun == 0
    assert found.nfev <= 40
    at_once = minimize(bowl, np.ones(3), method, budget=40, seed=0, target=0.0)
    assert at_once.success
    assert at_once.message.startswith("the target 0 is reached")


@pytest.mark.parametrize("method", METHODS)
def test_starts_of_every_shape(method):
    for start, shape in ((3.0, ()), (3, ()), ([2, 0], (2,)), (np.zeros((2, 3), int), (2, 3)), (np.float32(2), ())):

        def f(x, shape=shape):
            assert x.shape == shape
            assert x.dtype.kind == "f"
            return np.array([((x - 1) ** 2).sum()])

        found = minimize(f, start, method, budget=120, seed=0)
        assert found.x.shape == shape
        assert found.fun < bowl(start)


@pytest.mark.parametrize("method", METHODS)
def test_an_interruption_brings_the_best_so_far(method):
    values = []

    def f(x):
        if len(values) == 25:
            raise KeyboardInterrupt
        values.append(rosen(x))
        return values[-1]

    with pytest.raises(KeyboardInterrupt) as caught:
        minimize(f, START, method, seed=0)
    result = caught.value.result
    assert result.fun == min(values)
    assert rosen(result.x) == result.fun
    assert "interrupted; the best so far" in result.message
    assert "The best so far" in caught.value.__notes__[0]


@pytest.mark.parametrize("method", METHODS)
def test_no_value_at_the_start_is_said(method):
    found = minimize(lambda x: np.nan, START, method, budget=30, seed=0)
    assert not found.success
    assert found.status == 4
    np.testing.assert_array_equal(found.x, START)


def test_nothing_is_warned_of_where_there_is_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        minimize(rosen, START, "trust_exact", jac=rosen_der, hess=rosen_hess)
        minimize(rosen, START, "newton_cg", jac=rosen_der, hess=rosen_hess)
        minimize(lambda x: (rosen(x), rosen_der(x)), START, "cma_es", jac=True, budget=20)
