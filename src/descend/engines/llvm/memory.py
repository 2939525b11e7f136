"""LLVM for an element of a stream: found, loaded, stored, and told apart from every other stream.

Loads and stores carry LLVM alias scopes: the arrays of one step never overlap (the plan checks it),
and without that knowledge LLVM gives up vectorising rules with more than two state arrays, because it
would need more run-time overlap checks than it is willing to make.
"""

from typing import Any

from llvmlite import ir

STORED = {
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
    "float16": ir.HalfType(),
    "bfloat16": ir.IntType(16),
}


def element(builder: Any, address: Any, index: Any, dtype: str) -> Any:
    """Pointer to an element; ``address`` and ``index`` are int64."""
    pointer = builder.inttoptr(address, ir.PointerType(STORED[dtype]))
    return builder.gep(pointer, [index])


def fetch(builder: Any, address: Any) -> None:
    """Call for the first bytes behind an address; where nothing is, nothing happens."""
    small, byte = ir.IntType(32), ir.IntType(8)
    kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(byte), small, small, small])
    name = "llvm.prefetch.p0"
    prefetch = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    builder.call(prefetch, [builder.inttoptr(address, ir.PointerType(byte)), small(0), small(3), small(1)])


def copysign(builder: Any, size: Any, sign: Any) -> Any:
    """The size of one number with the sign of another."""
    kind = ir.FunctionType(size.type, [size.type, size.type])
    return builder.call(builder.module.declare_intrinsic("llvm.copysign", [size.type], kind), [size, sign])


def add_product(builder: Any, total: Any, a: Any, b: Any) -> Any:
    """total + a * b, rounded once or twice, and added in any order: the terms of a sum that nobody promised bits of."""
    kind = ir.FunctionType(total.type, [total.type] * 3)
    word = builder.module.declare_intrinsic("llvm.fmuladd", [total.type], kind)
    return builder.call(word, [a, b, total], fastmath=("reassoc", "contract"))


def scoped(builder: Any, instruction: Any, stream: int, streams: int) -> None:
    """Mark a load or store as touching no stream but its own."""
    module = builder.module
    domain = module.add_metadata([ir.MetaDataString(module, "descend")])
    scopes = [module.add_metadata([ir.MetaDataString(module, f"descend{i}"), domain]) for i in range(streams)]
    instruction.set_metadata("alias.scope", module.add_metadata([scopes[stream]]))
    others = [scope for i, scope in enumerate(scopes) if i != stream]
    if others:
        instruction.set_metadata("noalias", module.add_metadata(others))


def widen(builder: Any, value: Any, dtype: str) -> Any:
    """The stored value in the type of the arithmetic."""
    if dtype == "float16":
        return builder.fpext(value, ir.FloatType())
    if dtype == "bfloat16":
        bits = builder.shl(builder.zext(value, ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(bits, ir.FloatType())
    return value


def narrow(builder: Any, value: Any, dtype: str) -> Any:
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
