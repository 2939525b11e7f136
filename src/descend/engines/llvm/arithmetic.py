"""Arithmetic of the kernel language in LLVM: floats of one or two types, int64, conditions."""

import ast
from typing import Any

from llvmlite import ir

from .memory import copysign

BIT, INT, SINGLE, DOUBLE = ir.IntType(1), ir.IntType(64), ir.FloatType(), ir.DoubleType()
_INTRINSIC = {"sqrt": "llvm.sqrt", "exp": "llvm.exp", "log": "llvm.log", "fabs": "llvm.fabs"}


class Unknown(Exception):
    """The text has a word this compiler does not know."""


class Arithmetic:
    """Makes instructions; values are LLVM's, or a Python int for a literal, which takes any type."""

    build: Any
    real: Any
    module: Any

    def function(self, word: str, x: Any) -> Any:
        x = self.to(x, x.type if x.type == DOUBLE else self.real)
        if word in _INTRINSIC:
            return self.intrinsic(_INTRINSIC[word], x)
        if word != "tanh":
            raise Unknown(word)
        name = "tanh" if x.type == DOUBLE else "tanhf"
        known = self.module.globals.get(name) or ir.Function(self.module, ir.FunctionType(x.type, [x.type]), name)
        return self.build.call(known, [x])

    def intrinsic(self, name: str, *args: Any) -> Any:
        return self.build.call(self.module.declare_intrinsic(name, [args[0].type]), args)

    def arithmetic(self, op: ast.operator, a: Any, b: Any) -> Any:
        build = self.build
        if isinstance(op, (ast.BitAnd, ast.BitOr)):
            return (build.and_ if isinstance(op, ast.BitAnd) else build.or_)(self.bit(a), self.bit(b))
        whole = all(isinstance(x, int) or x.type == INT for x in (a, b))
        if isinstance(op, ast.Mod) and not whole:
            return self.remainder(*self.alike(a, b))
        names = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"} | ({} if whole else {ast.Div: "div"})
        if type(op) not in names:
            raise Unknown(type(op).__name__)
        if whole:
            return getattr(build, names[type(op)])(self.plain(a), self.plain(b), flags=("nsw",))
        return getattr(build, "f" + names[type(op)])(*self.alike(a, b))

    def remainder(self, a: Any, b: Any) -> Any:
        """``a % b`` as in Python and NumPy: of the sign of ``b``, also where it is zero."""
        build, zero = self.build, a.type(0.0)
        rest = build.frem(a, b)
        other_side = build.xor(self.compare("<", rest, zero), self.compare("<", b, zero))
        shifted = build.select(other_side, build.fadd(rest, b), rest)
        signed = copysign(build, zero, b)
        return build.select(build.fcmp_ordered("==", rest, zero), signed, shifted)

    def compare(self, sign: str, a: Any, b: Any) -> Any:
        a, b = self.alike(a, b)
        return (self.build.fcmp_unordered if sign == "!=" else self.build.fcmp_ordered)(sign, a, b)

    def alike(self, a: Any, b: Any) -> tuple[Any, Any]:
        """Two values as floats of one type: double if one of them is."""
        double = any(not isinstance(x, int) and x.type == DOUBLE for x in (a, b))
        kind = DOUBLE if double else self.real
        return self.to(a, kind), self.to(b, kind)

    def to(self, x: Any, kind: Any) -> Any:
        """A value as a float of that type."""
        if isinstance(x, int):
            return kind(float(x))
        if x.type == kind:
            return x
        if x.type == BIT:
            return self.build.uitofp(x, kind)
        if x.type == INT:
            return self.build.sitofp(x, kind)
        return self.build.fpext(x, kind) if kind == DOUBLE else self.build.fptrunc(x, kind)

    @staticmethod
    def plain(x: Any) -> Any:
        return INT(x) if isinstance(x, int) else x

    def bit(self, x: Any) -> Any:
        """A value as a condition: a number holds unless it is zero."""
        x = self.to(x, self.real) if isinstance(x, int) else x
        return x if x.type == BIT else self.compare("!=", x, 0)
