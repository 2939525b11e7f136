"""Least squares beside SciPy's, across libraries, and where the problem is bad."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from descend import minimize
from descend.search.names import build


def rosenbrock(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def powell(x):  # singular Jacobian at the solution 0 (Moré, Garbow and Hillstrom 1981, problem 13)
    return np.array([x[0] + 10 * x[1], 5**0.5 * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, 10**0.5 * (x[0] - x[3]) ** 2])


TIMES = np.linspace(0, 3, 40)
DATA = 2.5 * np.exp(-1.3 * TIMES) + 0.5 + 0.05 * np.sin(40 * TIMES)


def decay(x):
    return x[0] * np.exp(-x[1] * TIMES) + x[2] - DATA


@pytest.mark.parametrize(
    ("f", "x0"), [(rosenbrock, [-1.2, 1.0]), (powell, [3.0, -1.0, 0.0, 1.0]), (decay, [1.0, 0.5, 0.0])]
)
@pytest.mark.parametrize("jac", [None, "3-point"])
def test_it_ends_where_scipys_does(f, x0, jac):
    mine = minimize(f, x0, "gauss_newton", jac=jac, tol=1e-10)
    theirs = least_squares(f, x0, method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15, jac="2-point")
    assert mine.success, mine.message
    assert mine.fun <= theirs.cost + 1e-12
    assert mine.fun == pytest.approx(np.square(f(mine.x)).sum() / 2, abs=1e-15)
    if f is not powell:
        np.testing.assert_allclose(mine.x, theirs.x, atol=1e-5)
    steps = (mine.nfev - mine.nit) / (1 + len(x0) * (1 if jac is None else 2))  # without the differences
    assert steps <= theirs.nfev + 4


def test_levenberg_marquardt_is_its_other_name():
    for name in ("lm", "Levenberg-Marquardt", "least_squares"):
        assert type(build(name, np.zeros(2))).__name__ == "GaussNewton"


def test_iterates_are_the_same_in_every_library():
    import jax
    import torch

    def residuals(x):
        return x**2 + 0.5 * x[[1, 2, 0]] - 1

    def jacobian(x):
        J = np.diag(2 * x)
        J[[0, 1, 2], [1, 2, 0]] += 0.5
        return J

    paths = []
    with jax.enable_x64():
        for x0 in (np.array([2.0, 0.5, -3]), torch.tensor([2.0, 0.5, -3]).double(), jax.numpy.array([2.0, 0.5, -3])):
            index = np.array([1, 2, 0])

            def f(x, index=index):
                return x**2 + 0.5 * x[index] - 1

            path = []
            given = {"jac": jacobian} if isinstance(x0, np.ndarray) else {}
            minimize(f, x0, "gauss_newton", callback=lambda r, path=path: path.append(np.asarray(r.x)), **given)
            paths.append(np.array(path))
    for other in paths[1:]:
        np.testing.assert_allclose(other, paths[0], rtol=0, atol=1e-10)


def test_a_hole_is_stepped_back_from_and_a_zero_column_does_no_harm():
    def f(x):
        return np.array([x[0] - 3, np.nan if x[0] > 3.5 else 0.1 * x[0], 0.0])

    found = minimize(f, [-50.0, 7.0], "gauss_newton")
    assert found.success, found.message
    assert found.x[0] == pytest.approx(3 / 1.01)
    assert found.x[1] == 7.0
    assert not minimize(lambda x: np.array([np.nan, 1.0]), [1.0, 1.0], "gauss_newton").success


def test_a_run_that_is_saved_goes_on_to_the_bit():
    def answer(wanted):
        x = wanted.points[0]
        if wanted.what == "residuals":
            return rosenbrock(x)
        return np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])

    whole, one = build("lm", np.array([-1.2, 1.0])), build("lm", np.array([-1.2, 1.0]))
    while (wanted := whole.wanted) is not None:
        other = build("lm", np.zeros(2))
        other.load_state_dict(one.state_dict())
        one = other
        np.testing.assert_array_equal(one.wanted.points, wanted.points)
        whole.answer(answer(wanted))
        one.answer(answer(wanted))
    assert one.best.f == whole.best.f < 1e-18


def test_bounds_are_refused():
    with pytest.raises(ValueError, match="GaussNewton keeps no bounds"):
        minimize(rosenbrock, [0.0, 0.0], "gauss_newton", (-1, 1))
