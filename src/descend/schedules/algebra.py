"""Schedules of schedules: joined, multiplied, added, and moved in time; each is one formula more.

What is inside holds, so these hold by themselves; a length in fractions of a step is rounded, and they do not use it.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

from .checks import Count, Flag, Operand, Part, Parts, Positive, Real
from .formula import Formula, schedule
from .schedule import Schedule
from .words import maximum, minimum, near, passed, pieces, since, turns

_TIGHTNESS = {"then": 1, "plus": 2, "times": 3}


def _inside(x: Any, tightness: int) -> str:
    """The repr of an operand, in parentheses where Python would read it otherwise."""
    loose = isinstance(x, Formula) and _TIGHTNESS.get(x.kind, 9) < tightness
    return f"({x!r})" if loose else repr(x)


def _infix(sign: str, tightness: int) -> Any:
    def show(made: Formula) -> str:
        left, right = made.arguments
        return f"{_inside(left, tightness)} {sign} {_inside(right, tightness + 1)}"

    return show


def _method(made: Formula) -> str:
    inner, *rest = zip(made.definition.parameters, made.arguments, strict=True)
    shown = [f"{p.name}={x!r}" if p.default is not p.empty else repr(x) for p, x in rest if x != p.default]
    return f"{_inside(inner[1], 9)}.{made.kind}({', '.join(shown)})"


def _length(x: Operand) -> float:
    return x.length if isinstance(x, Schedule) else 0


def _at(x: Operand, k: Any) -> Any:
    return x.at(k) if isinstance(x, Schedule) else x


def _longer(left: Operand, right: Operand) -> float:
    return max(_length(left), _length(right))


def _ended(parts: Parts) -> None:
    for part in parts[:-1]:
        if part.length == math.inf:
            raise ValueError(f"nothing can follow {part!r}, which never ends; give it a length with .until(steps)")


@schedule(
    length=lambda parts: sum(part.length for part in parts),
    check=_ended,
    show=lambda made: " >> ".join(_inside(part, 2) for part in made.arguments[0]),
    holds=True,
)
def then(k, parts: Parts):
    """One after the other: the step of the joint is the first of the later part."""
    starts = [0.0, *accumulate(float(part.length) for part in parts[:-1])]
    return pieces(k, starts, [part.at for part in parts])


@schedule(length=_longer, show=_infix("*", 3), holds=True)
def times(k, left: Operand, right: Operand):
    """The product; the shorter one holds its end."""
    return _at(left, k) * _at(right, k)


@schedule(length=_longer, show=_infix("+", 2), holds=True)
def plus(k, left: Operand, right: Operand):
    """The sum; the shorter one holds its end."""
    return _at(left, k) + _at(right, k)


def _something_left(inner: Schedule, steps: float) -> None:
    if inner.length + steps <= 0:
        raise ValueError(f"shift({steps}) leaves nothing of {inner!r}, which has {inner.length} steps")


@schedule(length=lambda inner, steps: inner.length + steps, check=_something_left, show=_method, holds=True)
def shift(k, inner: Part, steps: Real):
    return inner.at(since(k, steps))


def _stretched(inner: Schedule, steps: float, units: float, whole: bool) -> float:
    length = inner.length * steps / units
    return near(length) if isinstance(length, float) else length


@schedule(length=_stretched, show=_method, holds=True)
def scale(k, inner: Part, steps: Positive, units: Positive = 1, whole: Flag = False):
    return inner.at(passed(k, units, steps, whole))


def _ordered(inner: Schedule, low: float | None, high: float | None) -> None:
    if low is None and high is None:
        raise ValueError("clamp needs low, high or both")
    if low is not None and high is not None and low > high:
        raise ValueError(f"clamp: low={low} is above high={high}")


@schedule(length=lambda inner, low, high: inner.length, check=_ordered, show=_method, holds=True)
def clamp(k, inner: Part, low: Real | None = None, high: Real | None = None):
    value = inner.at(k)
    value = value if low is None else maximum(value, low)
    return value if high is None else minimum(value, high)


def _repeatable(inner: Schedule, times: int | None) -> None:
    if inner.length == math.inf:
        raise ValueError(f"{inner!r} never ends, so it cannot be repeated; give it a length with .until(steps)")


@schedule(
    length=lambda inner, times: math.inf if times is None else inner.length * times,
    check=_repeatable,
    show=_method,
    holds=True,
)
def repeat(k, inner: Part, times: Count | None = None):
    return inner.at(turns(k, inner.length, times)[1])


@schedule(show=_method)
def until(k, inner: Part, steps: Positive):
    return inner.at(k)
