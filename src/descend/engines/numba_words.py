"""How the Numba engine spells the vocabulary, loads an element and stores it.

Loads and stores carry LLVM alias scopes: the arrays of one step never overlap (the plan checks it),
and without that knowledge LLVM gives up vectorising rules with more than two state arrays, because it
would need more run-time overlap checks than it is willing to make.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

SPELLING = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "axpy": "fma({0}, {1}, {2})",
    "axmy": "fma(-{0}, {1}, {2})",
    "div": "{0} / {1}",
    "pow": "power({0}, {1})",
    "mod": "{0} % {1}",
    "neg": "-{0}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "not": "not {0}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    **{op: f"math.{op}({{0}})" for op in ("sqrt", "exp", "log", "tanh")},
    "abs": "math.fabs({0})",
    # selects, not conditional expressions: a branch keeps LLVM from vectorising (Rprop fell to 40 %)
    "sign": "select({0} > 0, one, select({0} < 0, -one, {0}))",
    "isfinite": "math.fabs({0}) <= largest",
    "maximum": "select(({0} > {1}) | ({0} != {0}), {0}, {1})",
    "minimum": "select(({0} < {1}) | ({0} != {0}), {0}, {1})",
    "where": "select({0}, {1}, {2})",
}


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


_STORED = {
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
    "float16": ir.HalfType(),
    "bfloat16": ir.IntType(16),
}
WIDTH = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}


def _element(context: Any, builder: Any, address: Any, index: Any, dtype: str) -> Any:
    pointer = builder.inttoptr(address, ir.PointerType(_STORED[dtype]))
    return builder.gep(pointer, [index])


def _scoped(builder: Any, instruction: Any, stream: int, streams: int) -> None:
    """Mark a load or store as touching no stream but its own."""
    module = builder.module
    domain = module.add_metadata([ir.MetaDataString(module, "descend")])
    scopes = [module.add_metadata([ir.MetaDataString(module, f"descend{i}"), domain]) for i in range(streams)]
    instruction.set_metadata("alias.scope", module.add_metadata([scopes[stream]]))
    others = [scope for i, scope in enumerate(scopes) if i != stream]
    if others:
        instruction.set_metadata("noalias", module.add_metadata(others))


def _widen(builder: Any, value: Any, dtype: str) -> Any:
    """The stored value in the type of the arithmetic."""
    if dtype == "float16":
        return builder.fpext(value, ir.FloatType())
    if dtype == "bfloat16":
        bits = builder.shl(builder.zext(value, ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(bits, ir.FloatType())
    return value


def _narrow(builder: Any, value: Any, dtype: str) -> Any:
    """The computed value as stored: rounded to nearest even; a NaN stays a NaN."""
    if dtype == "float16":
        return builder.fptrunc(value, ir.HalfType())
    if dtype == "bfloat16":
        i32 = ir.IntType(32)
        bits = builder.bitcast(value, i32)
        high = builder.lshr(bits, ir.Constant(i32, 16))
        odd = builder.and_(high, ir.Constant(i32, 1))
        rounded = builder.lshr(builder.add(bits, builder.add(odd, ir.Constant(i32, 0x7FFF))), ir.Constant(i32, 16))
        quiet = builder.or_(high, ir.Constant(i32, 0x40))
        isnan = builder.fcmp_unordered("uno", value, value)
        return builder.trunc(builder.select(isnan, quiet, rounded), ir.IntType(16))
    return value


def loader(stream: int, streams: int, dtype: str) -> Any:
    """``load(address, index)`` for arrays of ``dtype``; the value is float32, or float64 for float64."""

    @intrinsic
    def load(typingctx: Any, address: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = builder.load(_element(context, builder, args[0], args[1], dtype))
            _scoped(builder, value, stream, streams)
            return _widen(builder, value, dtype)

        return (types.float64 if dtype == "float64" else types.float32)(types.int64, types.int64), codegen

    return load


def storer(stream: int, streams: int, dtype: str) -> Any:
    """``store(address, index, value)``: the counterpart of ``loader``."""

    @intrinsic
    def store(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
        number = types.float64 if dtype == "float64" else types.float32

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            instruction = builder.store(
                _narrow(builder, args[2], dtype), _element(context, builder, args[0], args[1], dtype)
            )
            _scoped(builder, instruction, stream, streams)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, number), codegen

    return store
