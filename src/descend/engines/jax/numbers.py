"""Numbers of a step inside a jitted function, in float64 whether or not ``jax_enable_x64`` is on.

A rule's scalars (``1 - beta2**t``, ``lr * weight_decay``, a norm) are computed in float64 and rounded once, where
they meet an array: ``1 - beta2**t`` in float32 is off by 1.3e-5 at t = 1. Without x64, float64 exists inside
``enable_x64`` only, and the derivative rules of JAX run outside of it, so each number also has a float32 twin that
carries the derivative; XLA drops the twin where nobody differentiates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ...core import ops
from ...core.value import Value, give_operators

wide_types: Callable[[bool], Any] = jax.enable_x64


def x64() -> bool:
    """Whether float64 is on for everything."""
    return bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]


@jax.custom_jvp
def _rounded(wide: Any, narrow: Any) -> jax.Array:
    return lax.convert_element_type(wide, jnp.float32)


@_rounded.defjvp
def _rounded_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    return _rounded(*primals), tangents[1]


class Arithmetic(Value):
    """What a type checker may know of values whose operators are made in a loop."""

    __slots__ = ()
    if TYPE_CHECKING:

        def __add__(self, other: Any, /) -> Any: ...
        def __radd__(self, other: Any, /) -> Any: ...
        def __sub__(self, other: Any, /) -> Any: ...
        def __rsub__(self, other: Any, /) -> Any: ...
        def __mul__(self, other: Any, /) -> Any: ...
        def __rmul__(self, other: Any, /) -> Any: ...
        def __truediv__(self, other: Any, /) -> Any: ...
        def __neg__(self) -> Any: ...


class Pending(Arithmetic):
    """A number that is not part of the traced function yet."""

    __slots__ = ()

    def settled(self) -> Number:
        """The number as part of the function."""
        raise NotImplementedError


class Number(Arithmetic):
    """One number (shape ``()``) or one per tensor (shape ``(n,)``); also the truth of a comparison."""

    __slots__ = ("narrow", "wide")

    def __init__(self, wide: Any, narrow: Any) -> None:
        self.wide = wide
        self.narrow = narrow

    @classmethod
    def of(cls, value: Any) -> Number:
        """From a number, or an array of any real type."""
        if isinstance(value, Number | Pending):
            return value.settled() if isinstance(value, Pending) else value
        value = value if isinstance(value, jax.Array) else np.asarray(value, np.float64)
        if x64():
            return cls(jnp.asarray(value, jnp.float64), None)
        with wide_types(True):
            wide = lax.convert_element_type(lax.stop_gradient(value), jnp.float64)
        with np.errstate(over="ignore"):
            return cls(wide, jnp.asarray(value, jnp.float32))

    @classmethod
    def loaded(cls, stored: jax.Array) -> Number:
        """From state: float64, or the float32 halves of it in the last dimension."""
        if stored.dtype == jnp.float64:
            return cls.of(stored)
        with wide_types(True):
            halves = lax.convert_element_type(lax.stop_gradient(stored), jnp.float64)
            wide = halves[..., 0] + halves[..., 1]
        return cls(wide, None) if x64() else cls(wide, stored[..., 0])

    def stored(self) -> jax.Array:
        """As state: float64 ``shape`` with x64, else float32 ``shape + (2,)``, the number and what rounding cut off."""
        if x64():
            return self.wide
        high = self.to(jnp.float32)
        with wide_types(True):
            rest = self.wide - lax.convert_element_type(lax.stop_gradient(high), jnp.float64)
            rest = jnp.where(jnp.isfinite(rest), rest, 0.0)
            low = lax.convert_element_type(rest, jnp.float32)
        return jnp.stack([high, low], axis=-1)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.wide.shape

    def to(self, dtype: Any) -> jax.Array:
        """Rounded to an array's type; with gradient."""
        if self.wide.dtype == jnp.bool_:
            return self.wide
        if self.narrow is None:
            return lax.convert_element_type(self.wide, dtype)
        if dtype == jnp.float64:
            raise TypeError("float64 arrays need jax_enable_x64")
        return lax.convert_element_type(_rounded(self.wide, self.narrow), dtype)

    def __getitem__(self, i: int) -> Number:
        """The number of tensor ``i``."""
        if not self.shape:
            return self
        with wide_types(True):
            wide = lax.index_in_dim(self.wide, i, keepdims=False)
        return Number(wide, None if self.narrow is None else lax.index_in_dim(self.narrow, i, keepdims=False))

    def per_tensor(self, n: int) -> Number:
        """With shape ``(n,)``."""
        with wide_types(True):
            wide = jnp.broadcast_to(self.wide, (n,))
        return Number(wide, None if self.narrow is None else jnp.broadcast_to(self.narrow, (n,)))

    def take(self, places: list[int]) -> Number:
        """The numbers of some tensors."""
        return self if len(places) == len(self.wide) else _apply(lambda x: x[np.array(places)], self)

    def put(self, places: list[int], new: Number) -> Number:
        """With the numbers of some tensors replaced."""
        if len(places) == len(self.wide):
            return new
        return _apply(lambda x, y: x.at[np.array(places)].set(y), self, new)

    def through(self, function: Callable[[Any], Any]) -> Number:
        """``function`` of it, in float64."""
        return _apply(function, self)

    def sum(self) -> Number:
        return _apply(jnp.sum, self)


def _apply(function: Callable[..., Any], *operands: Any) -> Number:
    operands = tuple(o.settled() if isinstance(o, Pending) else o for o in operands)
    wide = [o.wide if isinstance(o, Number) else o for o in operands]
    with wide_types(True):
        result = function(*wide)
    if x64():
        return Number(result, None)
    return Number(result, function(*(o.narrow if isinstance(o, Number) else o for o in operands)))


def _operator(function: Callable[..., Any], swapped: bool = False) -> Callable[[Any, Any], Any]:
    def method(self: Number, other: Any) -> Any:
        if isinstance(other, Number | int | float):
            return _apply(function, other, self) if swapped else _apply(function, self, other)
        if isinstance(other, jax.Array):
            mine = self.to(other.dtype)
            return function(other, mine) if swapped else function(mine, other)
        return NotImplemented

    return method


give_operators(
    Number,
    lambda _, f: _operator(f),
    lambda _, f: _operator(f, swapped=True),
    lambda _, f: lambda self: _apply(f, self),
)


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    **{w: getattr(jnp, w) for w in ("sqrt", "exp", "log", "tanh", "sign", "isfinite", "maximum", "minimum")},
    "abs": jnp.abs,
    "where": jnp.where,
}


def _word(function: Callable[..., Any]) -> Callable[..., Any]:
    def word(*operands: Any) -> Any:
        operands = tuple(o.settled() if isinstance(o, Pending) else o for o in operands)
        arrays = [o for o in operands if isinstance(o, jax.Array)]
        if not arrays:
            return _apply(function, *operands)
        dtype = jnp.result_type(*(a for a in arrays if a.dtype != jnp.bool_)) if arrays else jnp.float32
        return function(*(o.to(dtype) if isinstance(o, Number) else o for o in operands))

    return word


WORDS: ops.Words = {
    **{name: _word(function) for name, function in ELEMENTWISE.items()},
    "total": lambda x, over: x,
    "count": lambda x, over: 1,
}
jax.tree_util.register_pytree_node(Number, lambda n: ((n.wide, n.narrow), None), lambda _, parts: Number(*parts))
