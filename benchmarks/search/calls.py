"""How many calls a search needs to the solution of smooth problems, beside SciPy's in the same run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from descend.search import names

from .problems import ABOVE, Rosenbrock, Softmax, answer

METHODS = {  # a method -> SciPy's of the kind
    "l_bfgs": "L-BFGS-B",
    "bfgs": "BFGS",
    "ssbroyden": None,
    "nonlinear_cg": "CG",
    "newton": None,
    "newton_cg": "Newton-CG",
    "trust_ncg": "trust-ncg",
    "trust_krylov": "trust-krylov",
    "trust_exact": "trust-exact",
    "hessian_free": None,
}
MATRICES = ("bfgs", "ssbroyden", "newton", "trust_exact")
LARGE = 300  # coordinates from which on the methods with a matrix are left out: minutes


class Arrived(Exception):
    """The run is where it was to go."""


class Count(NamedTuple):
    """Calls of a run: values with gradients, Hessians, products; its lowest value, and whether it arrived."""

    fg: int
    hessians: int
    products: int
    value: float
    arrived: bool

    def __str__(self) -> str:
        parts = [f"{self.fg}"]
        parts += [f"{self.hessians} H"] if self.hessians else []
        parts += [f"{self.products} Hv"] if self.products else []
        return " + ".join(parts)


class Counted:
    """A problem that counts, and ends the run on arrival or after ``limit`` values."""

    def __init__(self, problem: Any, limit: float = np.inf) -> None:
        self.problem, self.limit = problem, limit
        self.fg = self.hessians = self.products = 0
        self.done = False
        self.lowest = self.last = np.inf

    def value(self, x: np.ndarray) -> float:
        self.fg += 1
        self.last = f = self.problem.value(x)
        self.lowest = min(self.lowest, f)
        if self.fg > self.limit:
            raise Arrived
        if self.problem.arrived(f):
            self.done = True
            raise Arrived
        return f

    def gradient(self, x: np.ndarray) -> np.ndarray:
        g = self.problem.gradient(x)
        if self.problem.arrived(self.last, g):
            self.done = True
            raise Arrived
        return g

    def hessian(self, x: np.ndarray) -> np.ndarray:
        self.hessians += 1
        return self.problem.hessian(x)

    def product(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        self.products += 1
        return self.problem.product(x, v)

    def count(self) -> Count:
        return Count(self.fg, self.hessians, self.products, self.lowest, self.done)


def ours(problem: Any, name: str, limit: int = 100_000, **options: Any) -> Count:
    counted = Counted(problem)
    method = names.build(name, problem.start, tol=0.0, **options)
    with contextlib.suppress(Arrived):
        while (wanted := method.wanted) is not None and counted.fg < limit:
            method.answer(answer(counted, wanted))
    return counted.count()


def scipys(problem: Any, name: str, limit: int = 100_000) -> Count:
    from scipy.optimize import minimize

    counted = Counted(problem, limit)
    tight = {"L-BFGS-B": {"ftol": 0.0, "gtol": 0.0, "maxiter": 10**6, "maxfun": 10**6}, "Newton-CG": {"xtol": 1e-15}}
    options = tight.get(name, {"gtol": 1e-15})
    given: dict[str, Any] = {}
    if name == "trust-exact":
        given["hess"] = counted.hessian
    elif name.startswith(("trust", "Newton")):
        given["hessp"] = counted.product
    if name in ("CG", "BFGS", "Newton-CG"):
        options = options | {"maxiter": 10**6}
    with contextlib.suppress(Arrived):
        minimize(counted.value, problem.start, jac=counted.gradient, method=name, options=options, **given)
    return counted.count()


def rows(sizes: tuple[int, ...] = (2, 10, 100, 1000), digits: bool = True) -> Iterator[list[str]]:
    """The table: problem, method, our calls, SciPy's method, its calls."""
    for problem in [*(Rosenbrock(n) for n in sizes), *([Softmax()] if digits else [])]:
        for name, theirs in METHODS.items():
            if len(problem.start) > LARGE and name in MATRICES:
                continue
            mine = ours(problem, name)
            other = scipys(problem, theirs) if theirs else None
            yield [problem.name, name, said(mine, problem), theirs or "", said(other, problem) if other else ""]


def said(count: Count, problem: Any) -> str:
    """The calls; failed, where the run ended somewhere else."""
    wrong = count.value > problem.least + ABOVE
    return f"failed at {count.value - problem.least:.3g} ({count})" if wrong else str(count)
