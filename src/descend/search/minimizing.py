"""``minimize``: one face for every method of search."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from . import names
from .arrays import like
from .arrays.base import Undifferentiable
from .bounds import checked_start, middle, two_arrays
from .method import Best, Method, Wanted
from .problem import Problem
from .result import OptimizeResult

CONVERGED, SPENT, STUCK, CALLED_OFF, NOTHING_FINITE = range(5)

PATIENCE = 5
"""Restarts in vain after which a method that restarts ends, where neither budget nor target says when."""


def minimize(
    f: Callable[..., Any],
    x0: Any = None,
    method: Any = "auto",
    bounds: Any = None,
    *,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    budget: int | None = None,
    target: float | None = None,
    tol: float | None = None,
    callback: Callable[[OptimizeResult], Any] | None = None,
    seed: Any = None,
    vectorized: bool = False,
    **options: Any,
) -> OptimizeResult:
    """Search for the point where ``f`` is smallest; the best point ever seen is returned, whatever happens.

    A value that is not finite, or an evaluation that raises, is counted and never chosen; a TypeError, NameError or
    AttributeError, which is a mistake in ``f``, is raised at once.

    Args:
        f: takes an array like ``x0`` (NumPy, torch or JAX; its shape, dtype, device) and returns one number; for
            "gauss_newton" the residuals, an array whose half square is minimized.
        x0: where to start, an array of any shape; may be left out where the bounds are finite: their middle.
        method: a name (``descend.search.names.METHODS``; SciPy's spellings too), or a class of methods. "auto" takes
            what suits the function, and says what it took in ``message``.
        bounds: pairs (low, high), one for each coordinate or one for all; None within a pair is no bound.
        jac: the gradient, a function; True if f returns (value, gradient); "2-point" or "3-point" for finite
            differences. Without: autograd or jax.grad for torch and JAX, finite differences for what they cannot
            differentiate.
        hess, hessp: the Hessian, a function of x to (D, D); its product, a function of (x, v).
        budget: evaluations of f at most; by default max(15 000, 1 000·D). A gradient counts one, by differences all
            that it takes; a Hessian or a product that is given or by autograd counts in ``nhev`` only.
        target: stop when a value is at most that. tol: when the method is content; what it measures is the method's.
        callback: called after each iteration with an OptimizeResult of the best so far; raise StopIteration to end.
        seed: an int or ``numpy.random.Generator``, for methods that use chance.
        vectorized: f takes a whole population, (n, *shape of x0), and returns (n,).
        options: of the method, the keyword-only arguments of its class.

    Returns:
        OptimizeResult: x, fun, success, status, message, nit, nfev, njev, nhev, nbad, method.

    Raises:
        ValueError, TypeError: an argument that cannot be meant, by name, before f is called; f returns no number.
    """
    if x0 is None:
        if bounds is None:
            raise ValueError("x0 is missing; it may be left out only where bounds are given")
        x0 = middle(bounds)
    start = like(x0).start.copy()
    if start.size == 0:
        raise ValueError("x0 is empty")
    unbounded = np.full(start.size, -np.inf), np.full(start.size, np.inf)
    low, high = unbounded if bounds is None else two_arrays(bounds, start.size)
    checked_start(start, low, high)
    if budget is not None and (not isinstance(budget, int | np.integer) or budget < 1):
        raise ValueError(f"budget must be a whole number of evaluations, at least 1; got {budget!r}")
    for name, value in (("target", target), ("tol", tol)):
        if value is not None and (not isinstance(value, Real) or np.isnan(value) or (name == "tol" and value < 0)):
            raise ValueError(f"{name} must be a number{', at least 0' if name == 'tol' else ''}; got {value!r}")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of the result so far, got {callback!r}")
    problem = Problem(f, x0, (low, high), jac=jac, hess=hess, hessp=hessp, vectorized=vectorized)
    automatic = isinstance(method, str) and names.folded(method) == "auto"
    if automatic:
        method = names.suited(problem.differentiable, start.size)
    if tol is not None:
        options["tol"] = tol
    limit = budget or max(15_000, 1_000 * start.size)
    taken = names.options(names.find(method))
    if "budget" in taken:  # a method that plans for it
        options["budget"] = limit
    if "patience" in taken and budget is None and target is None:
        options.setdefault("patience", PATIENCE)
    built = names.build(method, start, None if bounds is None else (low, high), seed=seed, eps=problem.eps, **options)
    result = run(problem, built, limit, target, callback)
    if automatic and method != "auto":
        result.message = f"{result.message} (auto took {method})"
    return result


def run(
    problem: Problem,
    method: Method,
    budget: int,
    target: float | None = None,
    callback: Callable[[OptimizeResult], Any] | None = None,
) -> OptimizeResult:
    """Answer a method from a problem until it stops, the target is reached or the budget spent."""
    while (wanted := method.wanted) is not None:
        done = method.nit
        if problem.nfev + problem.cost(wanted) > budget:
            _spend(problem, method, wanted, budget - problem.nfev)
            return _result(problem, method, SPENT, f"the budget of {budget} evaluations is spent")
        try:
            answer = problem.answer(wanted)
        except Undifferentiable:
            continue  # by differences then, if the budget has so many
        method.answer(answer)
        if target is not None and _best(problem, method).f <= target:
            return _result(problem, method, CONVERGED, f"the target {target:g} is reached")
        if callback is not None and method.nit > done:
            try:
                callback(_result(problem, method, SPENT, "running"))
            except StopIteration:
                return _result(problem, method, CALLED_OFF, "the callback ended it")
    stop = method.stop
    assert stop is not None  # nothing is wanted
    return _result(problem, method, CONVERGED if stop.success else STUCK, stop.message)


def _best(problem: Problem, method: Method) -> Best:
    return min(method.best, problem.best, key=lambda best: best.f)


def _spend(problem: Problem, method: Method, wanted: Wanted, left: int) -> None:
    """Look at as many of a population as are left, or at the start where nothing was seen yet."""
    if left > 0 and (wanted.what == "values" or not np.isfinite(method.best.f)):
        points = wanted.points[:left]
        method.see(points, problem.values(points))


def _result(problem: Problem, method: Method, status: int, message: str) -> OptimizeResult:
    best = _best(problem, method)
    if said := method.said():
        message = f"{message} ({said})"
    if not np.isfinite(best.f):
        status, message = NOTHING_FINITE, f"no value was finite ({problem.first_bad}); {message}"
    elif problem.nbad:
        many = "1 evaluation was" if problem.nbad == 1 else f"{problem.nbad} evaluations were"
        message = f"{message}; {many} not finite, the first: {problem.first_bad}"
    return OptimizeResult(
        x=problem.arrays.array(best.x),
        fun=best.f,
        success=status == CONVERGED,
        status=status,
        message=message,
        nit=method.nit,
        nfev=problem.nfev,
        njev=problem.njev,
        nhev=problem.nhev,
        nbad=problem.nbad,
        method=type(method).__name__,
    ).remember(problem.lower)
