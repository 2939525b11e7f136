"""Hostile problems by the thousand: noise, holes, singular and indefinite Hessians, condition 1e10, float32."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from descend.search import names
from descend.search.minimizing import minimize

Function = Callable[[np.ndarray], Any]
METHODS = (
    "l_bfgs",
    "bfgs",
    "ssbroyden",
    "nonlinear_cg",
    "newton",
    "saddle_free",
    "newton_cg",
    "trust_ncg",
    "trust_krylov",
    "trust_exact",
    "hessian_free",
    "nelder_mead",
)
KINDS = ("plain", "noisy", "holes", "raising", "wrong gradient", "unbounded", "flat", "singular", "indefinite")


class Problem(NamedTuple):
    """A function, its derivatives, a start and what is wrong with it."""

    kind: str
    f: Function
    gradient: Function
    hessian: Function
    start: np.ndarray


def problem(seed: int) -> Problem:
    """One problem: a quadratic of condition 1 to 1e10 with a bend, spoilt in one of the ways of KINDS."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    n = int(rng.integers(1, 8))
    q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    values = 10.0 ** rng.uniform(-rng.uniform(0, 10), 0, n)
    if kind == "singular":
        values[: max(1, n // 2)] = 0
    if kind in ("indefinite", "unbounded"):
        values[0] *= -1
    A, centre = q @ np.diag(values) @ q.T, rng.standard_normal(n)
    bend = 0.0 if kind == "unbounded" else 0.1

    def f(x: np.ndarray) -> Any:
        if kind == "raising" and (x[0] > centre[0] + 1.5 or rng.random() < 0.1):
            raise ZeroDivisionError("fuzz")
        z = x - centre
        value = z @ A @ z / 2 + bend * (z**4).sum()
        if kind == "holes" and rng.random() < 0.2:
            return rng.choice([np.nan, np.inf, -np.inf])
        return value * 0 + 1.0 if kind == "flat" else value + (1e-3 * rng.standard_normal() if kind == "noisy" else 0)

    def gradient(x: np.ndarray) -> np.ndarray:
        g = A @ (x - centre) + 4 * bend * (x - centre) ** 3
        if kind == "holes" and rng.random() < 0.2:
            g[rng.integers(n)] = np.nan
        return -g if kind == "wrong gradient" else 0 * g if kind == "flat" else g

    def hessian(x: np.ndarray) -> np.ndarray:
        H = A + np.diag(12 * bend * (x - centre) ** 2)
        if kind == "holes" and rng.random() < 0.2:
            H[0, 0] = np.nan
        return 0 * H if kind == "flat" else H

    single = seed // len(KINDS) % 3 == 0
    return Problem(kind, f, gradient, hessian, rng.standard_normal(n).astype(np.float32 if single else np.float64))


def fault(seed: int) -> tuple[str, str]:
    """What is wrong with the outcome of one problem, empty if nothing is; and its reason to stop."""
    one = problem(seed)
    seen = []

    def heard(x: np.ndarray) -> Any:
        value = one.f(x)
        seen.append(value)
        return value

    method = METHODS[seed // 2 % len(METHODS)]
    uses = names.find(method).uses or frozenset()
    given: dict[str, Any] = {"jac": one.gradient} if "gradient" in uses and seed % 4 else {}
    if given and uses & {"hessian", "product"}:
        given["hess"] = one.hessian
    result = minimize(heard, one.start, method, budget=500, seed=seed, **given)
    finite = [value for value in seen if np.isfinite(value)]
    wrong = []
    if not np.isfinite(result.x).all():
        wrong.append("x is not finite")
    if finite and result.fun > min(finite):
        wrong.append("not the best point")
    if not result.message or "nan" in result.message.replace("f is nan", ""):
        wrong.append(f"no reason: {result.message!r}")
    if result.nfev > 500:
        wrong.append("over the budget")
    return ("; ".join(f"{method} on {one.kind}: {what}" for what in wrong), result.message)


def rows(count: int = 1000) -> Iterator[list[str]]:
    """Kinds of problems, how many of each, and how many ended wrong."""
    wrong: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for seed in range(count):
        kind = KINDS[seed % len(KINDS)]
        total[kind] += 1
        wrong[kind] += bool(fault(seed)[0])
    for kind in KINDS:
        yield [kind, str(total[kind]), str(wrong[kind])]
