"""LAPACK for small float64 matrices, without what NumPy's public functions look at first.

That takes them 2.2 µs, half of the time of 20 equations, and a search asks several times in a generation of 100 µs.
The two functions are not public: where a NumPy lacks them, its public ones do the same.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

try:
    from numpy.linalg import _umath_linalg as direct
except ImportError:
    direct = None


def checked_solve(a: Any, b: Any) -> Any:
    """The x (n,) with a (n, n) x = b (n,); NaN where a is singular."""
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        return np.full(len(b), np.nan)


eigh = getattr(direct, "eigh_lo", np.linalg.eigh)  # as np.linalg.eigh; NaN where that raises LinAlgError
solve = getattr(direct, "solve1", checked_solve)


@functools.cache
def positive_solver() -> Callable[[Any, Any], Any]:
    """What gives the x (n,) with a (n, n) x = b (n,), NaN where a is not positive definite; a is overwritten.

    By Cholesky's factors where SciPy is installed, in half of the time of NumPy's, which factorises any matrix: the
    answers agree up to rounding.
    """
    try:
        from scipy.linalg.lapack import dposv  # pyright: ignore[reportAttributeAccessIssue]
    except ImportError:
        return solve

    def solved(a: Any, b: Any) -> Any:
        _, x, failed = dposv(a.T, b, lower=1, overwrite_a=1)  # symmetric: what lies in columns is not copied
        return np.full(len(b), np.nan) if failed else x

    return solved
