"""The words of a kernel for Numba, which compiles what ``native`` does not know."""

from __future__ import annotations

from typing import Any

import numba
from numba import types
from numba.extending import intrinsic

from . import native_memory
from .native_memory import element, narrow, scoped, widen


@intrinsic
def select(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return a(types.boolean, a, a), codegen


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return a(a, a, a), codegen


@intrinsic
def add_any_order(typingctx: Any, a: Any, b: Any) -> Any:
    """a + b, which alone may be reordered: what lets LLVM sum in vector lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(args[0], args[1], flags=("reassoc", "contract"))

    return a(a, a), codegen


@intrinsic
def add_product_any_order(typingctx: Any, total: Any, a: Any, b: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return native_memory.add_product(builder, *args)

    return total(total, total, total), codegen


def loader(stream: int, streams: int, dtype: str) -> Any:
    """``load(address, index)`` for arrays of ``dtype``; the value is float32, or float64 for float64."""

    @intrinsic
    def load(typingctx: Any, address: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = builder.load(element(builder, args[0], args[1], dtype))
            scoped(builder, value, stream, streams)
            return widen(builder, value, dtype)

        return (types.float64 if dtype == "float64" else types.float32)(types.int64, types.int64), codegen

    return load


def storer(stream: int, streams: int, dtype: str) -> Any:
    """``store(address, index, value)``: the counterpart of ``loader``."""

    @intrinsic
    def store(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
        number = types.float64 if dtype == "float64" else types.float32

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            instruction = builder.store(narrow(builder, args[2], dtype), element(builder, args[0], args[1], dtype))
            scoped(builder, instruction, stream, streams)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, number), codegen

    return store


@intrinsic
def copysign(typingctx: Any, a: Any, b: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return native_memory.copysign(builder, *args)

    return a(a, a), codegen


@numba.njit
def fetch(address: int) -> None:
    """Nothing: Numba has no word for it, and it changes no result."""
