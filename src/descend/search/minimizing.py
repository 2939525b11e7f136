"""``minimize``: one face for every method of search."""

import inspect
import warnings
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..draw.progress import noticed
from . import names
from .arrays import like
from .arrays.base import Undifferentiable
from .bounds import checked_start, middle, two_arrays
from .diagnosis import TAKES, contradicts, worst_entry, wrong_gradient
from .method import Best, Method, Wanted
from .problem import Problem
from .result import OptimizeResult

CONVERGED, SPENT, STUCK, CALLED_OFF, NOTHING_FINITE = range(5)
INTERRUPTED = CALLED_OFF

PATIENCE = 5
"""Restarts in vain after which a method that restarts ends, where neither budget nor target says when."""

TRIALS = 12
"""Gradients of one iteration from which on a gradient that was given is looked at: no line search needs so many."""

LAST = 3
"""Steps before success whose values and gradients are compared: at no cost, for a step that short is hardly bent."""

NAMED = 100
"""Coordinates up to which the entry of a wrong gradient that is farthest off is looked for."""

SPELLED = {"gtol": "tol", "maxfev": "budget", "maxfun": "budget", "maxcor": "memory"}  # SciPy's options -> ours
ELSEWHERE = {
    "constraints": "minimize keeps bounds, no other constraints; SciPy's SLSQP, COBYQA and trust-constr take them",
    "maximize": "minimize looks for the least value only: hand over a function that returns -f",
}
ELSEWHERE["maximise"] = ELSEWHERE["maximize"]


def minimize(
    f: Callable[..., Any],
    x0: Any = None,
    method: Any = "auto",
    bounds: Any = None,
    *,
    args: Any = (),
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    budget: int | None = None,
    target: float | None = None,
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    seed: Any = None,
    maxiter: int | None = None,
    vectorized: bool = False,
    options: dict[str, Any] | None = None,
    **more: Any,
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
        callback: called after each iteration with an OptimizeResult of the best so far, by the name
            ``intermediate_result`` if it has that argument, and with its x alone if its argument is called ``xk``;
            raise StopIteration or return True to end.
        seed: an int or ``numpy.random.Generator``, for methods that use chance.
        maxiter: iterations at most. args: what f, jac, hess and hessp are given besides, a tuple.
        vectorized: f takes a whole population, (n, *shape of x0), and returns (n,).
        options: of the method, the keyword-only arguments of its class; as keywords or, as SciPy has it, in a dict.

    Returns:
        OptimizeResult: x, fun, success, status, message, nit, nfev, njev, nhev, nbad, method.

    Raises:
        ValueError, TypeError: an argument that cannot be meant, by name, before f is called; f returns no number.
        KeyboardInterrupt: with the best so far as its ``result``.

    Warns:
        RuntimeWarning: jac, hess or hessp is given to a method that does not use it.
    """
    given = _options(options, more)
    budget, tol, maxiter = (
        _once(name, value, given) for name, value in (("budget", budget), ("tol", tol), ("maxiter", maxiter))
    )
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
    for name, value, of in (("budget", budget, "evaluations"), ("maxiter", maxiter, "iterations")):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
            raise ValueError(f"{name} must be a whole number of {of}, at least 1; got {value!r}")
    for name, value in (("target", target), ("tol", tol)):
        if value is not None and (not isinstance(value, Real) or np.isnan(value) or (name == "tol" and value < 0)):
            raise ValueError(f"{name} must be a number{', at least 0' if name == 'tol' else ''}; got {value!r}")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of the result so far, got {callback!r}")
    f, jac, hess, hessp = (_with(args, one) for one in (f, jac, hess, hessp))
    problem = Problem(f, x0, (low, high), jac=jac, hess=hess, hessp=hessp, vectorized=vectorized)
    automatic = isinstance(method, str) and names.folded(method) == "auto"
    if automatic:
        curved = bounds is None and not (hess is None and hessp is None)
        method = names.suited(problem.differentiable, start.size, curved)
    if tol is not None:
        given["tol"] = tol
    limit = budget or max(15_000, 1_000 * start.size)
    taken = names.options(names.find(method))
    if "budget" in taken:  # a method that plans for it
        given["budget"] = limit
    if "patience" in taken and budget is None and target is None:
        given.setdefault("patience", PATIENCE)
    built = names.build(method, start, None if bounds is None else (low, high), seed=seed, eps=problem.eps, **given)
    _warn_of_unused(built, {"jac": jac, "hess": hess, "hessp": hessp})
    with noticed(f"minimize, {method}, evaluations", after=1.0) as bar:
        result = run(problem, built, limit, target, callback, maxiter, bar)
    if automatic and method != "auto":
        result.message = f"{result.message} (auto took {method})"
    return result


def run(
    problem: Problem,
    method: Method,
    budget: int,
    target: float | None = None,
    callback: Callable[..., Any] | None = None,
    maxiter: int | None = None,
    progress: Callable[[float, float], Any] | None = None,
) -> OptimizeResult:
    """Answer a method from a problem until it stops, the target is reached or the budget or ``maxiter`` spent.

    ``progress`` is called with evaluations, those so far and at most.
    """
    try:
        return _run(problem, method, budget, target, callback, maxiter, progress)
    except KeyboardInterrupt as interruption:
        best = _result(problem, method, INTERRUPTED, "interrupted; the best so far")
        interruption.result = best  # type: ignore[attr-defined]
        interruption.add_note(f"The best so far, also in .result of this exception: {best.fun:.9g} at x = {best.x!r}")
        raise


def _run(
    problem: Problem,
    method: Method,
    budget: int,
    target: float | None,
    callback: Callable[..., Any] | None,
    maxiter: int | None,
    progress: Callable[[float, float], Any] | None,
) -> OptimizeResult:
    problem.limit = budget
    doubt = Doubt(problem, budget)
    tell = _told(callback)
    if _leaves_out_the_start(method):  # who begins somewhere counts that point too
        problem.values(method.x0[None])
        if target is not None and problem.best.f <= target:
            return _result(problem, method, CONVERGED, f"the target {target:g} is reached")
    while (wanted := method.wanted) is not None:
        done = method.nit
        if progress is not None:
            progress(problem.nfev, budget)
        if problem.nfev + problem.cost(wanted) > budget:
            _spend(problem, method, wanted, budget - problem.nfev)
            if target is not None and _best(problem, method).f <= target:
                return _result(problem, method, CONVERGED, f"the target {target:g} is reached")
            return _result(problem, method, SPENT, f"the budget of {budget} evaluations is spent")
        try:
            answer = problem.answer(wanted)
        except Undifferentiable:
            continue  # by differences then, if the budget has so many
        method.answer(answer)
        if wrong := doubt.heard(wanted, answer, method.nit > done):
            return _result(problem, method, STUCK, wrong)
        if target is not None and _best(problem, method).f <= target:
            return _result(problem, method, CONVERGED, f"the target {target:g} is reached")
        if method.nit > done:
            if tell is not None:
                try:
                    ended = tell(_result(problem, method, SPENT, "running")) is True
                except StopIteration:
                    ended = True
                if ended:
                    return _result(problem, method, CALLED_OFF, "the callback ended it")
            if maxiter is not None and method.nit >= maxiter and method.stop is None:
                return _result(problem, method, SPENT, f"the {maxiter} iterations of maxiter are done")
    stop = method.stop
    assert stop is not None  # nothing is wanted
    wrong = doubt.of_success() if stop.success else doubt.looked()
    message = f"{stop.message}; {wrong}" if wrong else stop.message
    return _result(problem, method, CONVERGED if stop.success and not wrong else STUCK, message)


Seen = tuple[float, np.ndarray, np.ndarray]  # a value, where, and the gradient there


class Doubt:
    """A gradient that a user gave is looked at once: when it leads nowhere, half of the budget is gone, or values and
    gradients of the last steps contradict each other."""

    def __init__(self, problem: Problem, budget: int) -> None:
        self.problem, self.budget = problem, budget
        self.trials = 0
        self.best: Seen | None = None
        self.last: Seen | None = None
        self.told: list[tuple[Seen, Seen] | None] = []  # of the last steps that tell: their ends where they contradict
        self.open = problem.jac is True or callable(problem.jac)

    def heard(self, wanted: Wanted, answer: Any, iterated: bool) -> str:
        """What is wrong with the gradient, as far as this answer was reason to look; "" for nothing."""
        if not self.open or wanted.what != "gradient":
            return ""
        if np.isfinite(answer[0]):
            seen = answer[0], wanted.points[0], answer[1]
            if self.last is not None:
                told = contradicts(self.last, seen, self.problem.eps)
                if told is not None:
                    self.told = [*self.told, (self.last, seen) if told else None][-LAST:]
            self.last = seen
            if self.best is None or seen[0] < self.best[0]:
                self.best = seen
        self.trials = 0 if iterated else self.trials + 1
        return self.looked() if self.trials >= TRIALS or 2 * self.problem.nfev > self.budget else ""

    def looked(self) -> str:
        if not self.open or self.best is None or self.problem.nfev + TAKES > self.budget:
            return ""
        self.open = False
        return self._named(self.best, self._wrong(self.best))

    def of_success(self) -> str:
        """The last look, at two points that contradicted each other; noise is not the same at both."""
        odd = next((one for one in reversed(self.told) if one), None)
        if not self.open or odd is None or self.problem.nfev + 2 * TAKES > self.budget:
            return ""
        first, second = odd
        return self._named(first, wrong) if (wrong := self._wrong(first)) and self._wrong(second) else ""

    def _wrong(self, seen: Seen) -> str:
        value, x, gradient = seen
        return wrong_gradient(self.problem.values, x, value, gradient, self.problem.eps)

    def _named(self, seen: Seen, wrong: str) -> str:
        _, x, gradient = seen
        if not wrong or "sign" in wrong or len(x) > NAMED or self.problem.nfev + 2 * len(x) > self.budget:
            return wrong
        return wrong + worst_entry(self.problem.values, x, gradient, self.problem.eps)


def _leaves_out_the_start(method: Method) -> bool:
    wanted = method.wanted
    return wanted is not None and wanted.what == "values" and not (wanted.points == method.x0).all(axis=1).any()


def _told(callback: Callable[..., Any] | None) -> Callable[[OptimizeResult], Any] | None:
    """A function of the result so far, which hands over what the callback takes by the names of SciPy."""
    if callback is None:
        return None
    try:
        taken = list(inspect.signature(callback).parameters.values())
    except (TypeError, ValueError):  # of a builtin
        return callback
    if any(one.name == "intermediate_result" for one in taken):
        return lambda result: callback(intermediate_result=result)
    if taken and taken[0].name == "xk":
        return lambda result: callback(result.x)
    return callback


def _options(options: Any, more: dict[str, Any]) -> dict[str, Any]:
    """Options as keywords and in SciPy's dict together, by the names here."""
    for name, says in ELSEWHERE.items():
        if name in more and (name != "constraints" or not isinstance(more[name], Sequence) or len(more[name])):
            raise TypeError(f"{name}: {says}")
        more.pop(name, None)
    if options is None:
        return more
    if not isinstance(options, dict):
        raise TypeError(f"options must be a dict of options of the method, got {options!r}")
    given = dict(options)
    if given.pop("disp", False):
        raise TypeError("options: there is no 'disp'; the result has the message, and callback tells of each iteration")
    for name, value in given.items():
        here = SPELLED.get(name) or name
        if here in more:
            raise TypeError(f"{here} is given twice, as a keyword and in options")
        more[here] = value
    return more


def _once(name: str, value: Any, given: dict[str, Any]) -> Any:
    """An argument of minimize that may stand in SciPy's dict instead."""
    if name in given and value is not None:
        raise TypeError(f"{name} is given twice, as a keyword and in options")
    return given.pop(name, value)


def _with(args: Any, function: Any) -> Any:
    """A function that is handed ``args`` too, after its own."""
    args = args if isinstance(args, tuple) else (args,)
    return (lambda *own: function(*own, *args)) if args and callable(function) else function


def _warn_of_unused(method: Method, given: dict[str, Any]) -> None:
    """As SciPy does, for a derivative that a method has no use for."""
    kinds = {"jac": {"gradient", "jacobian"}, "hess": {"hessian", "product"}, "hessp": {"hessian", "product"}}
    for name, what in kinds.items():
        if given[name] not in (None, True) and method.uses is not None and not method.uses & what:
            says = "gradient" if name == "jac" else "Hessian"
            warnings.warn(
                f"Method {names.called(type(method))} does not use {says} information ({name}).",
                RuntimeWarning,
                stacklevel=3,
            )


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
