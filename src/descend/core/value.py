"""What a value of a rule is not: it has no truth, no length, no items, no digits, and nobody writes into it.

A rule is one arithmetic for all data, on every engine alike. So whatever stands for arrays or numbers while a rule
runs (the tracer's symbols, an engine's tensors together) is a ``Value`` and refuses in the same words.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from .words import instead, listed

WHERE = (
    "write where(condition, a, b) instead of if, and, or, not, in, min, max, float, int, round or a loop over an array"
)


class Refused(TypeError):
    """A rule that no engine runs; the message says where and what to write instead. Nothing was touched."""


class Misreturned(Refused):
    """A rule that does not return what its signature promises."""


class NoAttribute(Refused, AttributeError):
    """A value was asked for an attribute."""


class Value:
    """Base of what a rule computes with."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None  # numbers of NumPy leave the arithmetic to us

    def _branch(self, *_: Any) -> Any:
        raise Refused(f"branches on a value that is only known while it runs; {WHERE}")

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __round__ = __trunc__ = __floor__ = __ceil__ = _branch
    __iter__ = __len__ = __contains__ = __reversed__ = _branch

    def __getitem__(self, place: Any) -> Any:
        raise Refused(f"takes elements out of a value, which differ from tensor to tensor; {WHERE}")

    def _written(self, *_: Any) -> Any:
        raise Refused(
            "writes into a value, and a value is never overwritten: write v = ... and return v; "
            "for some of its elements v = where(condition, new, v)"
        )

    __setitem__ = __delitem__ = _written

    def _product(self, *_: Any) -> Any:
        raise Refused("multiplies by @: write matmul(a, b) (from descend import matmul)")

    __matmul__ = __rmatmul__ = _product

    def _whole(self, *_: Any) -> Any:
        raise Refused("divides into whole numbers: write (a - a % b) / b, or a / b with its fraction")

    __floordiv__ = __rfloordiv__ = __divmod__ = __rdivmod__ = _whole

    def _bits(self, *_: Any) -> Any:
        raise Refused("shifts or compares bits, and a rule has numbers: write * or / and ** or a comparison")

    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = __xor__ = __rxor__ = _bits

    def _unbraced(self, *_: Any) -> Any:
        raise Refused("has a number beside & or |, which bind before > and <: write (a > 0) & (b > 0)")

    __rand__ = __ror__ = _unbraced

    def __pos__(self) -> Any:
        return self

    def __format__(self, form: str) -> str:
        raise Refused("puts a value into a text, and its digits are known while it runs: print in the training loop")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        way = instead(name) or "descend has nothing of the kind"
        raise NoAttribute(
            f"asks a value for .{name}, and a value has neither attributes nor methods: {way}. {listed()}"
        )

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise Refused("hands a value to a function of another library, which descend's engines do not know")


ARITHMETIC = {name: getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "pow", "mod")}
LOGIC: dict[str, Callable[..., Any]] = {"and": operator.and_, "or": operator.or_}
COMPARISONS = {name: getattr(operator, name) for name in ("lt", "le", "gt", "ge", "eq", "ne")}
UNARY = {name: getattr(operator, name) for name in ("neg", "abs", "invert")}


def give_operators(
    kind: type[Value],
    forward: Callable[[str, Callable[..., Any]], Any],
    backward: Callable[[str, Callable[..., Any]], Any] | None = None,
    unary: Callable[[str, Callable[..., Any]], Any] | None = None,
) -> None:
    """Give a kind of values its operators.

    Args:
        forward, backward: make the method of an operator out of its name and Python's function for it, for a value on
            the left, and on the right alone. Without the others, what ``forward`` makes takes operands of any kind.
    """

    def reflected(name: str, function: Callable[..., Any]) -> Any:
        apply = forward(name, function)
        return lambda self, other: apply(other, self)

    for name, function in (ARITHMETIC | LOGIC | COMPARISONS).items():
        setattr(kind, f"__{name}__", forward(name, function))
    for name, function in (ARITHMETIC | LOGIC).items():
        setattr(kind, f"__r{name}__", (backward or reflected)(name, function))
    for name, function in UNARY.items():
        setattr(kind, f"__{name}__", (unary or forward)(name, function))
