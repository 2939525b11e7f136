"""Nelder–Mead against SciPy's, call by call."""

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize
from scipy.optimize import rosen

from descend import minimize


def bumpy(x):
    return float(((x - 1) ** 2).sum() + np.cos(3 * x).sum())


@pytest.mark.parametrize("f", [rosen, bumpy])
@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("adaptive", [False, True])
def test_every_call_is_scipys(f, n, adaptive):
    calls = []

    def heard(x):
        calls.append(x.copy())
        return f(x)

    x0 = np.linspace(-1.2, 1, n)
    x0[1] = 0
    options = {
        "adaptive": adaptive,
        "xatol": 1e-8,
        "fatol": 1e-8,
        "maxfev": 120,
    }  # further on, rounding decides between equal values
    scipy_minimize(heard, x0, method="Nelder-Mead", options=options)
    theirs = calls.copy()
    calls.clear()
    minimize(heard, x0, "Nelder-Mead", adaptive=adaptive, budget=len(theirs))
    assert len(calls) == len(theirs)
    np.testing.assert_allclose(calls, theirs, rtol=0, atol=1e-9)
