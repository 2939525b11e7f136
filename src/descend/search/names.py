"""Which methods there are, by which names they are called, and how one is built."""

import importlib
import inspect
from typing import Any

import numpy as np

from ..core.nearest import did_you_mean, folded
from .arrays import like
from .bounds import checked_start, sides
from .kinds import checked
from .method import EPS, Method

METHODS = {  # name -> where its class stands
    "l_bfgs": "second_order.l_bfgs:LBFGS",
    "bfgs": "second_order.bfgs:BFGS",
    "ssbroyden": "second_order.bfgs:SSBroyden",
    "nonlinear_cg": "second_order.nonlinear_cg:NonlinearCG",
    "newton": "second_order.newton:Newton",
    "saddle_free": "second_order.newton:SaddleFree",
    "newton_cg": "second_order.newton_cg:NewtonCG",
    "trust_ncg": "second_order.trust:TrustNCG",
    "trust_krylov": "second_order.trust:TrustKrylov",
    "trust_exact": "second_order.trust:TrustExact",
    "hessian_free": "second_order.hessian_free:HessianFree",
    "gauss_newton": "second_order.gauss_newton:GaussNewton",
    "nelder_mead": "populations.nelder_mead:NelderMead",
    "random_search": "populations.random_search:RandomSearch",
    "ga": "populations.genetic:GA",
    "pso": "populations.particle_swarm:PSO",
    "de": "populations.differential_evolution:DE",
    "l_shade": "populations.differential_evolution:LSHADE",
    "cma_es": "populations.cma_es:CMAES",
    "sep_cma_es": "populations.sep_cma_es:SepCMAES",
    "lq_cma_es": "populations.lq_cma_es:LqCMAES",
    "xnes": "populations.natural:XNES",
    "snes": "populations.natural:SNES",
    "pgpe": "populations.smoothing:PGPE",
    "es": "populations.smoothing:OpenAIES",
    "simulated_annealing": "populations.annealing:SimulatedAnnealing",
    "auto": "populations.auto:Auto",
}
SPELLINGS = {  # how SciPy and others call some of them -> the name here
    "l_bfgs_b": "l_bfgs",
    "lbfgs": "l_bfgs",
    "cg": "nonlinear_cg",
    "differential_evolution": "de",
    "dual_annealing": "simulated_annealing",
    "least_squares": "gauss_newton",
    "lm": "gauss_newton",
    "levenberg_marquardt": "gauss_newton",
    "cma": "cma_es",
    "cmaes": "cma_es",
    "bipop_cma_es": "cma_es",
    "openai_es": "es",
    "lshade": "l_shade",
}
_FOLDED = {folded(name): here for name, here in [*zip(METHODS, METHODS, strict=True), *SPELLINGS.items()]}


def spelled(name: str) -> str | None:
    """The name here of a method in any spelling; None if there is none."""
    return _FOLDED.get(folded(name))


def find(name: Any) -> type[Method]:
    """The class of a method, by its name in any case, with hyphens or without, or as SciPy spells it.

    Raises:
        ValueError: there is none; the message has the nearest.
    """
    if isinstance(name, type) and issubclass(name, Method):
        return name
    if not isinstance(name, str):
        raise ValueError(f"method must be a name or a class of methods, got {name!r}")
    found = spelled(name)
    if found is None:
        raise ValueError(
            f"no method {name!r}.{did_you_mean(name, [*METHODS, *SPELLINGS])} Methods: {', '.join(METHODS)}."
        )
    module, _, kind = METHODS[found].partition(":")
    return getattr(importlib.import_module(f"{__package__}.{module}"), kind)


def called(kind: type[Method]) -> str:
    """The name here of a class of methods."""
    at = f"{kind.__module__.removeprefix(f'{__package__}.')}:{kind.__qualname__}"
    return next((name for name, where in METHODS.items() if where == at), kind.__name__)


def suited(differentiable: bool, n: int, curved: bool = False) -> str:
    """What "auto" takes: a trust region where curvature is given, quasi-Newton where a gradient is cheap.

    Elsewhere CMA-ES, at first with a quadratic model.
    """
    if curved and differentiable:
        return "trust_krylov"
    if differentiable:
        return "l_bfgs"
    return "auto" if n <= 1_000 else "sep_cma_es"  # to decompose a full covariance of 1,000 coordinates takes a second


def options(kind: type[Method]) -> dict[str, inspect.Parameter]:
    """What a method may be told besides where to start: the keyword-only arguments of its class and of its bases."""
    found: dict[str, inspect.Parameter] = {}
    for base in reversed(kind.__mro__[: kind.__mro__.index(Method)]):
        if "__init__" in vars(base):
            signature = inspect.signature(base.__init__, eval_str=True)
            found |= {name: one for name, one in signature.parameters.items() if one.kind is one.KEYWORD_ONLY}
    return found


def build(
    name: Any, x0: Any, bounds: tuple[Any, Any] | None = None, *, seed: Any = None, eps: float = EPS, **given: Any
) -> Method:
    """The method of that name, ready to be asked. Arguments as of ``Method``, and the options of the method.

    Raises:
        ValueError: an unknown name, a start that is no finite vector inside the bounds, refused options.
        TypeError: an option it does not have, and the message lists those it has; or one of another kind.
    """
    kind = find(name)
    known = options(kind)
    for option, value in given.items():
        if option not in known:
            says = f"it takes {', '.join(known)}" if known else "it takes none"
            raise TypeError(
                f"{kind.__name__} has no option {option!r}.{did_you_mean(option, known)} Besides the start, {says}."
            )
        checked(option, value, known[option].annotation)
    if np.ndim(x0) != 1 or not len(x0):
        raise ValueError(
            f"x0 must be one vector (D,), got the shape {np.shape(x0)}; minimize takes arrays of any shape"
        )
    start = like(x0).start.copy()
    if bounds is not None:
        bounds = sides(bounds, len(start))
    checked_start(start, *(bounds or (np.full(len(start), -np.inf), np.full(len(start), np.inf))))
    return kind(start, bounds, seed=seed, eps=eps, **given)
