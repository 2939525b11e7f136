"""Finite differences: steps that follow the noise and the bend of the function, and what is said where they end."""

import re

import numpy as np
import pytest
from scipy.optimize import approx_fprime, rosen, rosen_der

from descend import minimize
from descend.search.differences import Differences

EVERYWHERE = np.full(3, -np.inf), np.full(3, np.inf)
X = np.array([-1.2, 1.0, 0.7])
SECOND_ORDER = ["l_bfgs", "bfgs", "newton", "newton_cg", "trust_ncg", "trust_krylov", "trust_exact", "hessian_free"]


def differences(f, eps=2.0**-52, scheme=None, rounded=lambda points: points):
    def values(points):
        return np.array([f(point) for point in rounded(points)])

    return Differences(values, *EVERYWHERE, eps, scheme, rounded), values


def single(points):
    return np.asarray(points, np.float32).astype(float)


def in_single(x):
    return float(np.float32(rosen(np.asarray(x, np.float32))))


NOISE = np.random.default_rng(0)
HARD = {  # a function, and how exact its values are
    "float64": (rosen, 2.0**-52 * rosen(X)),
    "far above 0": (lambda x: 1e8 + rosen(x), 2.0**-52 * 1e8),
    "computed in float32": (in_single, 2.0**-23 * rosen(X)),
    "noise of 1e-4": (lambda x: rosen(x) + 1e-4 * NOISE.standard_normal(), 1e-4),
    "stopped early": (lambda x: round(rosen(x), 6), 5e-7),
}


@pytest.mark.parametrize("name", HARD)
def test_the_noise_of_a_function_is_measured_and_the_error_known(name):
    f, noise = HARD[name]
    one, _ = differences(f)
    found = one.gradient(X, f(X))
    assert noise / 12 < found.noise < 12 * noise
    off = np.abs(found.g - rosen_der(X))
    assert (off <= 8 * found.error).all()  # the third derivative is not known
    naive = np.abs(approx_fprime(X, f) - rosen_der(X)).max()
    assert off.max() <= max(3 * naive, 1e-5)
    if noise > 1e-7:
        assert off.max() < naive / 30


@pytest.mark.parametrize("scheme", [None, "2-point", "3-point"])
def test_central_differences_serve_where_forward_ones_tell_nothing(scheme):
    counts = []

    def f(x):
        counts.append(1)
        return rosen(x)

    one, _ = differences(f, scheme=scheme)
    far = one.gradient(X, f(X))
    before = len(counts)
    near = one.gradient(np.ones(3), 0.0)
    assert np.abs(far.g - rosen_der(X)).max() < 1e-3
    taken = {"2-point": 3, "3-point": 6}.get(scheme, 3 + 6 + 22)
    assert len(counts) - before <= taken
    assert (np.abs(near.g).max() < 1e-6) == (scheme != "2-point")
    assert (np.abs(near.g) <= 2 * near.error).all()
    back = one.gradient(X, rosen(X))  # and away from there one value is enough again
    assert one.central == (scheme == "3-point")
    np.testing.assert_allclose(back.g, rosen_der(X), rtol=1e-4)


def test_without_values_to_spare_nothing_is_measured():
    one, _ = differences(rosen)
    found = one.gradient(X, rosen(X), left=3)
    assert (found.noise, found.error.max()) == (0, 0)
    np.testing.assert_allclose(found.g, rosen_der(X), rtol=1e-5)


def test_the_width_is_that_between_the_points_as_the_function_is_given_them():
    def f(x):
        return float(single(x).sum())

    x = single(1000.1 * np.ones(3))  # where floats of 32 bits are 6e-5 apart
    one, _ = differences(f, 2.0**-23, rounded=single)
    one.noise, one.measured_at, one.bend = 1e-7, 0.0, np.full(3, 1e7)
    np.testing.assert_allclose(one.gradient(x, f(x)).g, 1, rtol=1e-9)


@pytest.mark.parametrize("method", SECOND_ORDER)
def test_a_start_at_the_optimum_is_content_at_once(method):
    found = minimize(rosen, np.ones(3), method)
    assert found.success
    assert found.status == 0
    assert found.nfev < 40
    assert "no entry of the gradient" in found.message


@pytest.mark.parametrize("method", SECOND_ORDER)
@pytest.mark.parametrize("kind", ["float32", "computed in float32", "far above 0"])
def test_what_can_be_reached_is_reached_and_said(method, kind):
    start = X.astype(np.float32) if kind == "float32" else X
    f = {"float32": rosen}.get(kind) or HARD[kind][0]
    found = minimize(f, start, method)
    assert found.success or (method, kind) == ("newton", "computed in float32"), found.message
    assert rosen(np.asarray(found.x, float)) < 1e-5
    if kind == "float32":
        # which of the two comes first is the processor's rounding: the slopes are too small, or no lower value is found
        assert re.search("finite differences cannot tell from 0|as low as its rounding .* finite diff", found.message)
        assert "tol = 1e-06 is out of their reach" in found.message


def test_asked_for_forward_differences_say_how_far_they_reach():
    found = minimize(lambda x: 1.0 + rosen(x), X, "l_bfgs", jac="2-point", tol=1e-9)
    assert found.success
    assert found.fun - 1 < 1e-7
    assert "finite differences cannot tell from 0" in found.message
    assert minimize(lambda x: 1.0 + rosen(x), X, "l_bfgs").message == "no entry of the gradient is above 1e-06"


def test_a_run_by_differences_that_is_saved_goes_on_to_the_bit():
    from descend.search.names import build
    from descend.search.problem import Problem

    def run(reload):
        problem, one = Problem(rosen, X, EVERYWHERE), build("l_bfgs", X)
        while one.wanted is not None:
            one.answer(problem.answer(one.wanted))
            if reload:
                other = build("l_bfgs", X + 1)
                other.load_state_dict(one.state_dict())
                one = other
        return one

    whole, again = run(False), run(True)
    assert whole.unsure[0] == again.unsure[0] > 0
    np.testing.assert_array_equal(whole.x, again.x)
    assert whole.stop == again.stop
