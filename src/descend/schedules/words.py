"""The words of a schedule's formula: one formula for a number, for NumPy arrays and for traced JAX values.

A number is a Python float, and every word gives it the bits that an array of it would get: what IEEE 754 rounds
correctly comes from ``math``, the rest from NumPy's own loops. JAX is never imported here unless a JAX value came in.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

pi = math.pi


def is_jax(x: Any) -> bool:
    """Whether ``x`` is a JAX array or tracer."""
    return "jax" in sys.modules and isinstance(x, sys.modules["jax"].Array)


def library(x: Any) -> Any:
    """The module whose functions act on ``x``: ``numpy`` or ``jax.numpy``."""
    if isinstance(x, np.ndarray):
        return np
    import jax.numpy  # reached with a JAX value only, so it is loaded already

    return jax.numpy


def _word(name: str) -> Callable[[Any], Any]:
    of_numpy = getattr(np, name)

    def word(x: Any) -> Any:
        return float(of_numpy(x)) if type(x) is float else getattr(library(x), name)(x)

    return word


cos, exp, exp2, sqrt = map(_word, ("cos", "exp", "exp2", "sqrt"))
_expm1 = _word("expm1")


def expm1(x: Any) -> Any:
    """e^x − 1 with all its digits near 0."""
    with np.errstate(over="ignore"):
        return _expm1(x)


_LOWEST, _HIGHEST = (math.log(x) for x in (sys.float_info.min, sys.float_info.max))


def raised(base: float, k: Any) -> Any:
    """``base ** k``; 0 where that is below the smallest normal number, since NumPy takes 20 times as long there."""
    if base == 1:
        return filled(1.0, k)
    limit, beyond = (_LOWEST, 0.0) if base < 1 else (_HIGHEST, math.inf)
    limit /= math.log(base)
    if type(k) is not float:
        return where(k > limit, beyond, library(k).power(base, where(k > limit, 0.0, k)))
    # As an array: NumPy's power of two numbers takes short cuts that round otherwise.
    return beyond if k > limit else float(np.power(base, np.array((k,)))[0])


def to_power(x: Any, exponent: float) -> Any:
    """``x ** exponent`` for 0 <= x <= 1."""
    if exponent in (0.5, 1, 2):  # NumPy's short cuts for arrays, for numbers as well
        return sqrt(x) if exponent == 0.5 else x if exponent == 1 else x * x
    return float(np.power(x, exponent)) if type(x) is float else library(x).power(x, exponent)


def minimum(x: Any, bound: float) -> Any:
    return (x if x < bound else float(bound)) if type(x) is float else library(x).minimum(x, bound)


def maximum(x: Any, bound: float) -> Any:
    return (x if x > bound else float(bound)) if type(x) is float else library(x).maximum(x, bound)


def where(condition: Any, yes: Any, no: Any) -> Any:
    """Both sides are evaluated."""
    if isinstance(condition, bool):
        return yes if condition else no
    return library(condition).where(condition, yes, no)


def rounds(x: Any, period: float) -> Any:
    """How many whole periods are in ``x``."""
    if type(x) is float:
        return float(math.floor(x / period))
    if isinstance(x, np.ndarray):
        return np.floor(x / period)
    return x // period  # of integers it stays exact where float32 has no more digits


def index(x: Any, bounds: Sequence[float]) -> Any:
    """How many of the ascending ``bounds`` are at or below ``x``."""
    if type(x) is float:
        return bisect_right(bounds, x)
    lib = library(x)
    return lib.searchsorted(lib.asarray(bounds, dtype=float), x, side="right")


def take(table: Sequence[float], i: Any) -> Any:
    return float(table[i]) if isinstance(i, int) else library(i).asarray(table, dtype=float)[i]


def filled(value: float, like: Any) -> Any:
    return value if type(like) is float else library(like).full_like(like, value, dtype=float)


def pieces(x: Any, starts: Sequence[float], branches: Sequence[Callable[[Any], Any]]) -> Any:
    """``branches[i](x - starts[i])`` with the last i that has ``starts[i] <= x``, where ``starts[0] == 0``.

    Of a number or an array each branch sees its own part only, so many branches cost no more than one.
    """
    if type(x) is float:
        i = bisect_right(starts, x) - 1
        return branches[i](x - starts[i])
    if not isinstance(x, np.ndarray):
        result = branches[0](x)
        for start, branch in zip(starts[1:], branches[1:], strict=True):
            result = where(x >= start, branch(maximum(x - start, 0)), result)
        return result
    if not (x[1:] >= x[:-1]).all():
        order = np.argsort(x, kind="stable")
        out = np.empty_like(x)
        out[order] = pieces(x[order], starts, branches)
        return out
    cuts = [*np.searchsorted(x, starts, side="left").tolist(), len(x)]
    out = np.empty_like(x)
    for start, branch, here, there in zip(starts, branches, cuts, cuts[1:], strict=False):
        if here < there:
            out[here:there] = branch(x[here:there] - start)
    return out


def blend(weight: Any, start: float, end: float) -> Any:
    """``start`` where the weight is 1, ``end`` where it is 0, exactly; ``end + (start - end) * weight`` would lose
    the digits of whichever is small beside the other."""
    return start * weight + end * (1 - weight)
