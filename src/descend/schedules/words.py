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
_EPS = sys.float_info.epsilon
_ROUNDINGS = 2


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


def _counts(x: Any) -> bool:
    """Whether JAX's ``x`` is of integers."""
    return library(x).issubdtype(x.dtype, library(x).integer)


def _largest(x: Any) -> int:
    """The largest whole number that JAX holds beside ``x``."""
    lib = library(x)
    return int(lib.iinfo(x.dtype if _counts(x) else lib.result_type(int)).max)


def fitting(x: Any, number: Any) -> Any:
    """``number``, an int as a float where JAX's integers beside ``x`` do not reach it: JAX would refuse it."""
    return float(number) if type(number) is int and is_jax(x) and abs(number) > _largest(x) else number


def minimum(x: Any, bound: float) -> Any:
    return (x if x < bound else float(bound)) if type(x) is float else library(x).minimum(x, fitting(x, bound))


def maximum(x: Any, bound: float) -> Any:
    return (x if x > bound else float(bound)) if type(x) is float else library(x).maximum(x, fitting(x, bound))


def where(condition: Any, yes: Any, no: Any) -> Any:
    """Both sides are evaluated."""
    if isinstance(condition, bool):
        return yes if condition else no
    return library(condition).where(condition, yes, no)


def near(x: Any) -> Any:
    """``x``, or the whole number within a few roundings of it: 17796 / 296.6 is 60, not 59.99999999999999."""
    if type(x) is float:
        if x >= 2.0**52:
            return x  # whole, or infinite
        whole = float(round(x))
        return whole if abs(whole - x) <= _ROUNDINGS * _EPS * whole else x
    lib = library(x)
    whole = lib.rint(x)
    with np.errstate(invalid="ignore"):  # of infinity
        return lib.where(abs(whole - x) <= _ROUNDINGS * float(lib.finfo(x.dtype).eps) * whole, whole, x)


def _floor(x: Any) -> Any:
    return float(math.floor(x)) if type(x) is float else library(x).floor(x)


def rounds(x: Any, period: float) -> Any:
    """How many whole periods are in ``x``."""
    if period != int(period):
        return _floor(near(x / period))
    if is_jax(x):
        return x // fitting(x, period)  # of integers it stays exact where float32 has no more digits
    return _floor(x / period)


def turns(x: Any, period: float, times: float | None = None) -> tuple[Any, Any]:
    """How many whole periods are in ``x`` (at most ``times - 1``), and how far it is in the one under way.

    Far away the product loses digits; it never leads out of the period.
    """
    n = rounds(x, period)
    if times is not None:
        n = minimum(n, times - 1)  # the end of the last round, not the start of one more
    return n, minimum(maximum(x - n * fitting(x, period), 0), period)


def passed(x: Any, units: float, steps: float, whole: bool) -> Any:
    """``x * units / steps``: how many units have passed after ``x`` steps, where ``units`` take ``steps`` steps."""
    exact = type(units) is int and type(steps) is int
    if is_jax(x) and exact:
        return _whole_units(x, units, steps) if whole else x * float(units) / fitting(x, steps)  # type: ignore[arg-type]
    u = near(x * float(units) / steps)  # of whole numbers the division's is the one rounding
    return _floor(u) if whole else u


def _whole_units(x: Any, units: int, steps: int) -> Any:
    if units * steps > _largest(x) or not _counts(x):
        return _floor(x * float(units) / fitting(x, steps))
    # Integers as long as no product leaves them; more units than steps might.
    return x // steps * (units if units <= steps else float(units)) + x % steps * units // steps


def since(x: Any, start: float) -> Any:
    """``x - start``, 0 before."""
    if start < 0 and type(start) is int and is_jax(x) and _counts(x):
        x = minimum(x, _largest(x) + start)  # optax's counter stays at the largest integer, which has no successor
    return maximum(x - start, 0)


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
    if is_jax(weight):
        weight = minimum(weight, 1.0)  # XLA divides by a constant in two roundings, and n / n may be above 1
    return start * weight + end * (1 - weight)
