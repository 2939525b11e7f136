"""The face: any function, any array, bad input by name, and the best point ever seen."""

import numpy as np
import pytest
from scipy.optimize import Bounds, rosen

from descend import minimize


def sphere(x):
    return float((x**2).sum())


def test_the_result_is_as_scipys():
    found = minimize(rosen, [-1.2, 1.0], "Nelder-Mead")
    assert found.success
    assert found.status == 0
    assert found["fun"] == found.fun < 1e-15
    np.testing.assert_allclose(found.x, 1, atol=1e-7)
    assert found.nfev > found.nit > 10
    assert "success: True" in repr(found)
    with pytest.raises(AttributeError, match="no 'fan'"):
        _ = found.fan


def test_x_has_the_shape_and_kind_of_the_start():
    import jax.numpy as jnp
    import torch

    def f(x):
        assert x.shape == (2, 3)
        return (x**2).sum()

    for x0 in (np.ones((2, 3), np.float32), torch.ones(2, 3), jnp.ones((2, 3))):
        found = minimize(f, x0, "random_search", budget=50, seed=0)
        assert type(found.x) is type(x0)
        assert found.x.dtype == x0.dtype
        assert found.x.shape == x0.shape
        assert float(f(found.x)) == pytest.approx(found.fun)
        assert found.nfev == 50


def test_a_whole_population_is_handed_over_at_once():
    sizes = []

    def f(points):
        sizes.append(points.shape)
        return (points**2).sum(axis=(1, 2))

    one = minimize(f, np.ones((2, 3)), "random_search", vectorized=True, budget=100, seed=0)
    assert sizes == [(1, 2, 3), (32, 2, 3), (32, 2, 3), (32, 2, 3), (3, 2, 3)]
    assert one.fun == minimize(sphere, np.ones((2, 3)), "random_search", budget=100, seed=0).fun


def test_the_best_point_ever_seen_is_returned():
    seen = []

    def f(x):
        seen.append(sphere(x) + np.sin(50 * x[0]))
        return seen[-1]

    for method in ("random_search", "nelder_mead"):
        seen.clear()
        found = minimize(f, np.ones(3), method, budget=300, seed=1)
        assert found.fun == min(seen)
        assert found.nfev == len(seen) <= 300


def test_mishaps_are_counted_and_never_chosen():
    def f(x):
        if x[0] > 0.5:
            raise ZeroDivisionError("too far")
        return np.nan if x[1] > 0.5 else -np.inf if x[1] < -0.5 else sphere(x - 0.4)

    found = minimize(f, np.zeros(2), "random_search", bounds=(-1, 1), budget=400, seed=0)
    assert np.isfinite(found.fun)
    assert 100 < found.nbad < 400
    assert f"{found.nbad} evaluations were not finite, the first: f raised ZeroDivisionError: too far" in found.message
    found = minimize(lambda x: np.nan, np.zeros(2), "nelder_mead", budget=50)
    assert (found.status, found.success, found.fun, found.nbad) == (4, False, np.inf, 50)
    np.testing.assert_array_equal(found.x, 0)


def test_a_target_a_budget_and_a_callback_end_it():
    assert minimize(sphere, np.ones(2), "random_search", target=0.5, seed=0).message == "the target 0.5 is reached"
    found = minimize(sphere, np.ones(2), "nelder_mead", budget=7)
    assert (found.nfev, found.status, found.success) == (7, 1, False)
    calls = []

    def callback(result):
        calls.append(result.fun)
        if len(calls) == 3:
            raise StopIteration

    found = minimize(sphere, np.ones(2), "nelder_mead", callback=callback)
    assert (found.nit, found.status) == (3, 3)
    assert calls == sorted(calls, reverse=True)


def test_bounds_in_every_spelling_are_kept():
    def f(x):
        assert (x >= [-1, 0.5]).all()
        assert (x <= [2, 3]).all()
        return sphere(x)

    for bounds in ([(-1, 2), (0.5, 3)], np.array([[-1, 2], [0.5, 3]]), Bounds([-1, 0.5], [2, 3])):
        for method in ("nelder_mead", "random_search"):
            found = minimize(f, None, method, bounds, budget=400, seed=0)
            assert found.fun == pytest.approx(0.25, abs=0.2)
    assert minimize(sphere, [3.0, 3.0], "nelder_mead", [(1, None), (None, None)]).x[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"x0": [np.nan, 1.0]}, r"x0\[0\] is nan"),
        ({"x0": []}, "x0 is empty"),
        ({"x0": [1j, 1.0]}, "real numbers"),
        ({"x0": None}, "x0 is missing"),
        ({"x0": None, "bounds": (-1, 1)}, "how many coordinates"),
        ({"x0": None, "bounds": [(-1, 1), (None, 1)]}, r"bounds\[1\] is not finite"),
        ({"bounds": [(0, 1), (2, 3)]}, r"x0\[1\] = 1 is outside its bounds \(2, 3\)"),
        ({"bounds": [(0, 1), (3, 2)]}, r"bounds\[1\] is reversed"),
        ({"bounds": [(1, 1), (3, 2)]}, r"bounds\[0\] is equal"),
        ({"bounds": [(np.nan, 1), (3, 2)]}, r"bounds\[0\] is not a number"),
        ({"bounds": [(0, 1)] * 3}, "bounds must be 2 pairs"),
        ({"bounds": "wide"}, "bounds must be pairs"),
        ({"bounds": [1, 2, 3]}, "bounds must be pairs"),
        ({"budget": 0}, "budget must be a whole number"),
        ({"budget": 1.5}, "budget must be a whole number"),
        ({"target": np.nan}, "target must be a number"),
        ({"tol": -1}, "tol must be a number, at least 0"),
        ({"method": "nelder"}, "Did you mean 'nelder_mead'"),
        ({"method": 3}, "method must be a name"),
        ({"popsize": 3}, "has no option 'popsize'"),
        ({"method": "random_search", "size": 0}, "size must be a whole number of at least 1"),
        ({"jac": "4-point"}, "jac must be"),
        ({"hess": 3}, "hess must be"),
        ({"f": 3}, "f must be a function"),
        ({"callback": 3}, "callback must be a function"),
        ({"simplex": np.zeros((2, 2))}, "simplex must have the shape"),
    ],
)
def test_bad_input_is_refused_by_name(changed, says):
    def f(x):
        raise AssertionError("the function was called")

    given = {"f": f, "x0": [1.0, 1.0], "method": "nelder_mead"} | changed
    with pytest.raises((ValueError, TypeError), match=says):
        minimize(**given)


@pytest.mark.parametrize(
    ("f", "says"),
    [
        (lambda x: x, r"one number, got an array of shape \(2,\)"),
        (lambda x: None, "one number, got None"),
        (lambda x: 1j, "real number"),
        (lambda x: "low", "one number, got 'low'"),
        (lambda x: x.undefined, "undefined"),
    ],
)
def test_a_function_of_no_number_is_refused(f, says):
    with pytest.raises((TypeError, AttributeError), match=says):
        minimize(f, [1.0, 1.0], "nelder_mead")


def test_a_vectorized_function_of_another_shape_is_refused():
    with pytest.raises(TypeError, match=r"given 1 points and must return the shape \(1,\); got \(\)"):
        minimize(lambda x: 1.0, [1.0, 1.0], "random_search", vectorized=True)
