"""Numbers of a step computed on the host: what depends on settings and the step alone is an argument of the function.

While a rule is traced its settings and ``t`` are ``Recorded``: arithmetic among them is written into a ``Book``, and
what meets an array (or a number of the device) becomes an entry of one small array, which the host fills before each
step, in float64.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import lax

from ...core import ops
from ...core.value import give_operators
from .numbers import Number, Pending, x64


class Book:
    """The arithmetic of a step on the host: values in order of computation, and which of them the function takes.

    Attributes:
        wanted: place of a value among the arguments, by its index. given: while a rule is traced, these arguments.
    """

    def __init__(self) -> None:
        self.wanted: dict[int, int] = {}
        self.given: jax.Array | None = None
        self._lines: list[tuple[Any, tuple[Any, ...]]] = []
        self._known: dict[Any, int] = {}

    def add(self, function: Any, *operands: Any) -> Recorded:
        args = tuple(o.index if isinstance(o, Recorded) else (type(o), o) for o in operands)
        key = (function, args)
        if key not in self._known:
            self._known[key] = len(self._lines)
            self._lines.append((function, args))
        return Recorded(self, self._known[key])

    def input(self, name: str) -> Recorded:
        return self.add(name)

    def argument(self, index: int) -> Number:
        place = self.wanted.setdefault(index, len(self.wanted))
        if self.given is None or place >= len(self.given):  # the first look: how many are there?
            return Number.of(1.0)
        return Number.loaded(lax.index_in_dim(self.given, place, keepdims=False))

    def arguments(self, inputs: Mapping[str, float]) -> np.ndarray:
        """What the function takes: float64 ``(n,)`` with x64, else the float32 halves of each, ``(n, 2)``."""
        values: list[Any] = []
        for function, args in self._lines:
            if isinstance(function, str):
                values.append(inputs[function])
            else:
                values.append(function(*(a[1] if isinstance(a, tuple) else values[a] for a in args)))
        numbers = np.array([float(values[i]) for i in self.wanted], np.float64)
        if x64():
            return numbers
        with np.errstate(over="ignore", invalid="ignore"):
            high = numbers.astype(np.float32)
            rest = numbers - high
        return np.stack([high, np.where(np.isfinite(rest), rest, 0.0).astype(np.float32)], axis=-1)


class Recorded(Pending):
    """A number of the host, while a rule is traced."""

    __slots__ = ("book", "index")

    def __init__(self, book: Book, index: int) -> None:
        self.book = book
        self.index = index

    def settled(self) -> Number:
        return self.book.argument(self.index)


_PLAIN = {"truediv": ops.divide, "pow": ops.power, "and": lambda a, b: a and b, "or": lambda a, b: a or b}
_PLAIN["invert"] = operator.not_


def _operator(function: Callable[..., Any], plain: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def method(self: Recorded, other: Any) -> Any:
        if isinstance(other, Recorded | int | float):
            return self.book.add(plain, self, other)
        return function(self.settled(), other)

    return method


def _reflected(function: Callable[..., Any], plain: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def method(self: Recorded, other: Any) -> Any:
        return self.book.add(plain, other, self) if isinstance(other, int | float) else function(other, self.settled())

    return method


give_operators(
    Recorded,
    lambda name, function: _operator(function, _PLAIN.get(name, function)),
    lambda name, function: _reflected(function, _PLAIN.get(name, function)),
    lambda name, function: lambda self: self.book.add(_PLAIN.get(name, function), self),
)


def _word(name: str) -> Callable[..., Any]:
    plain = ops.NUMBERS[name]

    def word(*operands: Any) -> Any:
        first = next(o for o in operands if isinstance(o, Recorded))
        if all(isinstance(o, Recorded | int | float) for o in operands):
            return first.book.add(plain, *operands)
        settled = [o.settled() if isinstance(o, Recorded) else o for o in operands]
        return ops.words_of(*settled)[name](*settled)

    return word


ELEMENTWISE = ("sqrt", "exp", "log", "tanh", "abs", "sign", "isfinite", "maximum", "minimum", "where")
ops.register(
    Recorded,
    {
        **{name: _word(name) for name in ELEMENTWISE},
        "when": lambda condition, then, otherwise: ops.when(condition.settled() != 0, then, otherwise),
        "total": lambda x, over: x,
        "count": lambda x, over: 1,
    },
)
