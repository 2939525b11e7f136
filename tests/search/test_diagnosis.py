"""A gradient that is not that of the function is found out, named, and nothing else is accused."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from descend import minimize
from descend.search import names
from descend.search.diagnosis import wrong_gradient

START = np.array([-1.2, 1.0, 0.7])
WITH_GRADIENTS = [name for name in names.METHODS if "gradient" in (names.find(name).uses or ())]


@pytest.mark.parametrize("method", WITH_GRADIENTS)
def test_a_wrong_sign_is_named_long_before_the_budget_is_spent(method):
    found = minimize(rosen, START, method, jac=lambda x: -rosen_der(x), budget=5_000)
    assert not found.success
    assert found.status == 2
    assert "jac has the wrong sign: along it f rises by -" in found.message
    assert found.nfev < 150


@pytest.mark.parametrize("method", ["l_bfgs", "trust_ncg", "nonlinear_cg", "hessian_free"])
def test_a_wrong_factor_is_named_where_it_leads_nowhere(method):
    found = minimize(rosen, START, method, jac=lambda x: 10 * rosen_der(x), budget=5_000)
    assert found.success or "jac is not the gradient of f: along it f rises by" in found.message


def test_a_coordinate_that_is_forgotten_is_seen():
    forgotten = rosen_der(START) * [1, 0, 1]
    says = wrong_gradient(answer(rosen, START), START, rosen(START), forgotten, 2.0**-52)
    assert says.startswith("jac is not the gradient of f")


def test_it_is_named_when_half_of_the_budget_is_gone():
    """A trust region takes what goes down; with such steps nothing gets stuck."""
    wrong = np.array([1.0, 0.2, 3.0])
    found = minimize(rosen, START, "nonlinear_cg", jac=lambda x: rosen_der(x) * wrong, budget=60)
    assert "jac is not the gradient of f" in found.message


def pulled(x):
    """A valley with a term that its gradient may have forgotten."""
    return rosen(x) + 0.3 * x[1]


FORGOTTEN = {
    "a term": (pulled, rosen_der, "entry 1"),
    "half of an entry": (rosen, lambda x: rosen_der(x) * [1, 1, 0.5], "entry 2"),
    "a double entry": (rosen, lambda x: rosen_der(x) * [2, 1, 1], "entry 0"),
}


@pytest.mark.parametrize(
    ("method", "what"),
    [(method, what) for method in ("l_bfgs", "bfgs") for what in FORGOTTEN] + [("trust_ncg", "a term")],
)
def test_a_wrong_gradient_with_which_a_run_converges_is_named_with_its_entry(method, what):
    f, g, entry = FORGOTTEN[what]
    found = minimize(f, START, method, jac=g, tol=1e-5)
    assert not found.success
    assert "jac is not the gradient of f" in found.message
    assert f"farthest off in {entry}," in found.message


def answer(f, x):
    return lambda points: np.array([f(p) for p in points])


RIGHT = {
    "smooth": (rosen, rosen_der),
    "nearly flat": (lambda x: 1e-12 * rosen(x), lambda x: 1e-12 * rosen_der(x)),
    "huge": (lambda x: 1e200 * rosen(x), lambda x: 1e200 * rosen_der(x)),
    "far above 0": (lambda x: 1e10 + rosen(x), rosen_der),
    "noisy": (lambda x: rosen(x) + 1e-3 * np.random.default_rng(abs(hash(x.tobytes()))).standard_normal(), rosen_der),
    "steps": (lambda x: float(np.floor(10 * x).sum()), lambda x: np.full(3, 10.0)),
    "at a kink": (lambda x: float(np.abs(x - START).sum()), lambda x: np.ones(3)),
    "not finite": (lambda x: np.inf if (x > START).any() else rosen(x), rosen_der),
}


@pytest.mark.parametrize("name", RIGHT)
def test_no_gradient_is_accused_that_differences_cannot_refute(name):
    f, g = RIGHT[name]
    for x in (START, np.ones(3), START + 1e-7):
        assert wrong_gradient(answer(f, x), x, f(x), g(x), 2.0**-52) == ""


@pytest.mark.parametrize("factor", [-1, 0.5, 0.95, 1.05, 2, 100])
def test_a_factor_is_seen(factor):
    says = wrong_gradient(answer(rosen, START), START, rosen(START), factor * rosen_der(START), 2.0**-52)
    assert says.startswith("jac has the wrong sign" if factor == -1 else "jac is not the gradient of f")


@pytest.mark.parametrize("method", WITH_GRADIENTS)
@pytest.mark.parametrize("noise", [1e-12, 1e-8, 1e-3])
def test_no_gradient_is_accused_for_the_noise_of_values(method, noise):
    for seed in range(10):
        draws = np.random.default_rng(seed).standard_normal(1000)
        at = iter(draws)
        found = minimize(lambda x, at=at: rosen(x) + noise * next(at), START, method, jac=rosen_der, budget=500)
        assert "jac" not in found.message


def test_a_right_gradient_costs_nothing():
    calls = []

    def f(x):
        calls.append(1)
        return rosen(x)

    found = minimize(f, START, "l_bfgs", jac=rosen_der)
    assert found.success
    assert len(calls) == found.nfev == found.njev
