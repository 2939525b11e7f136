"""The arrays of a pytree as one value of a rule: arithmetic leaf by leaf, reductions to numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.scipy.linalg import solve_triangular

from ...core import ops
from ...core.value import give_operators
from ..base import Gather
from ..noise import ARRAYS, spectral_bound
from .numbers import ELEMENTWISE, WORDS, Arithmetic, Number, Pending, wide_types, x64

_AXIS = {"row": -1, "column": -2}


@dataclass(eq=False)
class Group:
    """Leaves that one rule steps.

    Attributes:
        dtypes: of the arithmetic, one per leaf. sizes: elements, one per leaf. gather: sums over all groups.
    """

    dtypes: Sequence[Any]
    sizes: Sequence[int]
    gather: Gather


class Leaves(Arithmetic):
    """One value per leaf: an array, or a number where a word gives numbers (``rows(x)``)."""

    __slots__ = ("group", "items")

    def __init__(self, items: Sequence[Any], group: Group) -> None:
        self.items = list(items)
        self.group = group


def _rounded(x: Number, dtypes: Sequence[Any], arrays: Sequence[bool]) -> list[Any]:
    """A number for each leaf, of the leaf's type where it meets an array.

    Numbers of all tensors are rounded together, behind a barrier, or XLA computes all of them anew for each leaf: LAMB
    on 200 leaves compiled in 30 s instead of 4.
    """
    if not x.shape:
        return [x] * len(dtypes)
    of_type = {d: lax.optimization_barrier(x.to(d)) for d, on_array in zip(dtypes, arrays, strict=True) if on_array}
    return [of_type[d][i] if on_array else x[i] for i, (d, on_array) in enumerate(zip(dtypes, arrays, strict=True))]


def _mapped(function: Callable[..., Any], on_arrays: Callable[..., Any] | None = None) -> Callable[..., Leaves]:
    """``function`` leaf by leaf; ``on_arrays`` where an operand is an array, numbers rounded to its type first."""

    def apply(*operands: Any) -> Leaves:
        operands = tuple(o.settled() if isinstance(o, Pending) else o for o in operands)
        group = next(o for o in operands if isinstance(o, Leaves)).group
        columns = [o.items if isinstance(o, Leaves) else [o] * len(group.dtypes) for o in operands]
        arrays = [
            on_arrays is not None and any(isinstance(x, jax.Array) for x in row) for row in zip(*columns, strict=True)
        ]
        columns = [
            _rounded(o, group.dtypes, arrays) if isinstance(o, Number) else c
            for o, c in zip(operands, columns, strict=True)
        ]
        made = []
        for row, dtype, on_array in zip(zip(*columns, strict=True), group.dtypes, arrays, strict=True):
            if on_array and on_arrays is ELEMENTWISE["where"]:  # two plain numbers know no type
                row = [row[0], *(jnp.asarray(x, dtype) if isinstance(x, int | float) else x for x in row[1:])]
            if on_array:
                row = [x.to(dtype) if isinstance(x, Number) else x for x in row]
            made.append((on_arrays if on_arrays and on_array else function)(*row))
        return Leaves(made, group)

    return apply


give_operators(Leaves, lambda _, f: _mapped(f, f), unary=lambda _, f: _mapped(f))


def _sum(x: Any) -> jax.Array:
    return jnp.sum(x, dtype=jnp.float64 if x64() else jnp.float32)


def _total(x: Leaves, over: str) -> Any:
    if over in _AXIS:
        return Leaves([jnp.sum(item, axis=_AXIS[over], keepdims=True) for item in x.items], x.group)
    sums = Number.of(lax.optimization_barrier(jnp.stack([_sum(item) for item in x.items])))
    return sums if over == "tensor" else x.group.gather.all(sums.sum())


def _count(x: Leaves, over: str) -> Any:
    if over == "all":
        return float(x.group.gather.count)
    if over == "tensor":
        return Number.of(np.array(x.group.sizes, np.float64))
    return Leaves([float(item.shape[_AXIS[over]]) for item in x.items], x.group)


def _choose(condition: Any, then: Any, otherwise: Any) -> Any:
    if isinstance(then, tuple):
        return tuple(_choose(condition, a, b) for a, b in zip(then, otherwise, strict=True))
    if isinstance(condition, Leaves) and all(isinstance(item, bool) for item in condition.items):
        return _mapped(lambda c, a, b: a if c else b)(condition, then, otherwise)
    return ops.where(condition, then, otherwise)


def _when(condition: Leaves, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """Shapes decide while the function is traced; where leaves differ, both are computed."""
    if all(item is True for item in condition.items):
        return then()
    if all(item is False for item in condition.items):
        return otherwise()
    return _choose(condition, then(), otherwise())


def _when_number(condition: Number, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """One branch is computed; both only in a step in which tensors differ."""
    if not condition.shape:
        return lax.cond(condition.wide, then, otherwise)
    return lax.cond(condition.wide.any(), lambda: _choose(condition, then(), otherwise()), otherwise)


def _pair(function: Callable[[Any], tuple[Any, Any]]) -> Callable[[Leaves], tuple[Leaves, Leaves]]:
    def apply(x: Leaves) -> tuple[Leaves, Leaves]:
        first, second = zip(*map(function, x.items), strict=True)
        return Leaves(first, x.group), Leaves(second, x.group)

    return apply


def _highest(word: Callable[..., Any]) -> Callable[..., Any]:
    """Products of float32 matrices in float32: GPUs and TPUs would round their factors to fewer digits."""

    def precise(*args: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return word(*args)

    return precise


def _mixed(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _integer(x: Any) -> jax.Array:
    with wide_types(True):
        return lax.convert_element_type(Number.of(x).wide, jnp.uint32)


def _noise(like: jax.Array, t: Any, seed: Any) -> jax.Array:
    """``engines/noise.py`` in 32-bit integers, whose overflow is its mask; normal numbers by Box and Muller."""
    place = lax.iota(jnp.uint32, like.size) * np.uint32(2)
    key = _mixed(_integer(t) + np.uint32(0x9E3779B9) * _integer(seed))
    u, v = _mixed(_mixed(place) + key), _mixed(_mixed(place + np.uint32(1)) + key)
    below, above, turn = ((x.astype(like.dtype) + 0.5) / 2.0**32 for x in (u, ~u, v))
    logarithm = jnp.where(u >> 31 > 0, jnp.log1p(-above), jnp.log(below))  # float32 holds no u just below 1
    return (jnp.sqrt(-2.0 * logarithm) * jnp.cos(2.0 * math.pi * turn)).reshape(like.shape)


def _order(d: jax.Array) -> jax.Array:
    return jnp.argsort(d, descending=True, stable=True)


MATRIX: dict[str, Callable[..., Any]] = {
    **ARRAYS,
    "matmul": _highest(jnp.matmul),
    "transpose": lambda x: x.mT,
    "eigh": _highest(lambda x: tuple(jnp.linalg.eigh(x))),
    "qr": _highest(lambda x: jnp.linalg.qr(x)[0]),
    "diagonal": jnp.diagonal,
    "order": _order,
    "upper": jnp.triu,
    "solve_lower": _highest(lambda a, b: solve_triangular(a, b, lower=True)),
    "spectral_bound": _highest(spectral_bound),
    "noise": _noise,
}
_ARRAYS = {
    **ELEMENTWISE,
    **MATRIX,
    "when": lambda condition, then, otherwise: lax.cond(condition, then, otherwise),
    "total": lambda x, over: jnp.sum(x, axis=_AXIS[over], keepdims=True) if over in _AXIS else _sum(x),
    "count": lambda x, over: x.shape[_AXIS[over]] if over in _AXIS else x.size,
}
ops.register(jax.Array, _ARRAYS)
ops.register(Tracer, _ARRAYS)
ops.register(Number, {**WORDS, "when": _when_number})
LEAVES: ops.Words = {
    **{name: _mapped(getattr(ops, {"abs": "absolute"}.get(name, name)), f) for name, f in ELEMENTWISE.items()},
    **{name: _mapped(f) for name, f in MATRIX.items() if name != "eigh"},
    "eigh": _pair(MATRIX["eigh"]),
    "total": _total,
    "count": _count,
    "when": _when,
}
ops.register(Leaves, LEAVES, containing=True)
jax.tree_util.register_pytree_node(Leaves, lambda x: (x.items, x.group), lambda group, items: Leaves(items, group))
