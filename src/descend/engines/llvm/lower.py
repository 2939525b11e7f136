"""Compiles the text of a kernel to machine code, with LLVM alone.

The language is the little that ``source`` writes: counted loops, assignments, arithmetic, selects,
loads and stores. Its types are int64, bool, and one or two kinds of float, so no inference is needed:
this takes about 40 ms. Whatever it does not know it refuses (``Unknown``).
"""

import ast
from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from ..formats import WIDTH, working
from .arithmetic import DOUBLE, INT, SINGLE, Arithmetic, Unknown
from .machine import emitted
from .memory import add_product, copysign, element, fetch, narrow, scoped, widen

LARGEST = {SINGLE: 3.4028234663852886e38, DOUBLE: 1.7976931348623157e308}
TABLES = ("addresses", "chunks", "scalars", "partials")
OPTIONS = {"speed_level": 3, "loop_vectorization": True, "slp_vectorization": True}
_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


def compiled(text: str, streams: Sequence[str], dtype: str) -> bytes:
    """An object file whose ``kernel`` is the function in ``text``.

    Its C signature is ``void kernel(int64 *arguments, int64 lo, int64 hi)``, where ``arguments`` holds
    address and number of columns of each of the four tables.

    Raises:
        Unknown: the text is outside the language. RuntimeError: LLVM refuses it.
    """
    return emitted(_Kernel(text, tuple(streams), dtype).module, **OPTIONS)


class _Kernel(Arithmetic):
    """The module of one kernel: every statement becomes instructions as it is read."""

    def __init__(self, text: str, streams: tuple[str, ...], dtype: str) -> None:
        self.streams, self.dtype = streams, dtype
        self.real = DOUBLE if working(dtype) == "float64" else SINGLE
        self.module = ir.Module("kernel")
        (function,) = ast.parse(text).body
        if not isinstance(function, ast.FunctionDef):
            raise Unknown("no function")
        made = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [ir.PointerType(INT), INT, INT]), function.name)
        self.entry = ir.IRBuilder(made.append_basic_block("entry"))
        self.names: dict[str, Any] = {}  # a name's newest variable; another type makes another variable
        self.tables: dict[str, tuple[Any, Any]] = {}
        given = made.args[0]
        for i, table in enumerate(TABLES):
            base, columns = (self.entry.load(self.entry.gep(given, [INT(2 * i + k)])) for k in (0, 1))
            kind = {"scalars": self.real, "partials": DOUBLE}.get(table, INT)
            self.tables[table] = self.entry.inttoptr(base, ir.PointerType(kind)), columns
        start = made.append_basic_block("start")
        self.build = ir.IRBuilder(start)
        self.let("lo", made.args[1])
        self.let("hi", made.args[2])
        for statement in function.body:
            self.statement(statement)
        self.build.ret_void()
        self.entry.branch(start)

    def kind(self, stream: str) -> str:
        """As what the elements of a stream are stored."""
        return self.dtype if stream in ("p", "g") else working(self.dtype)

    def let(self, name: str, value: Any) -> None:
        value = self.plain(value)
        variable = self.names.get(name)
        if variable is None or variable.type.pointee != value.type:
            variable = self.names[name] = self.entry.alloca(value.type)
        self.build.store(value, variable)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=bounds)):
                self.loop(name, [self.plain(self.value(bound)) for bound in bounds], node.body)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.let(name, self.value(value))
            case ast.Assign(targets=[ast.Subscript() as place], value=value):
                self.build.store(self.to(self.value(value), DOUBLE), self.place(place))
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self.let(name, self.arithmetic(op, self.value(ast.Name(name)), self.value(value)))
            case ast.Expr(value=ast.Call(func=ast.Name(id="fetch"), args=[address])):
                fetch(self.build, self.value(address))
            case ast.Expr(value=ast.Call(func=ast.Name(id=word), args=[address, index, value])) if word.startswith(
                "store_"
            ):
                self.store(word.removeprefix("store_"), *(self.value(a) for a in (address, index, value)))
            case _:
                raise Unknown(ast.unparse(node))

    def loop(self, name: str, bounds: list[Any], body: list[ast.stmt]) -> None:
        first, last, step = {1: [INT(0), *bounds, INT(1)], 2: [*bounds, INT(1)], 3: bounds}[len(bounds)]
        build, function = self.build, self.build.function
        before, test, inside, after = (build.block, *(function.append_basic_block() for _ in range(3)))
        build.branch(test)
        build.position_at_end(test)
        counter = build.phi(INT)
        counter.add_incoming(first, before)
        build.cbranch(build.icmp_signed("<", counter, last), inside, after)
        build.position_at_end(inside)
        self.let(name, counter)
        for statement in body:
            self.statement(statement)
        counter.add_incoming(build.add(counter, step, flags=("nsw",)), build.block)
        build.branch(test)
        build.position_at_end(after)

    def place(self, node: ast.Subscript) -> Any:
        """Pointer to an entry of a table, which is C-contiguous."""
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Tuple(elts=[row, column])) if name in self.tables:
                base, columns = self.tables[name]
                line = self.build.mul(self.plain(self.value(row)), columns)
                return self.build.gep(base, [self.build.add(line, self.plain(self.value(column)))])
        raise Unknown(ast.unparse(node))

    def store(self, stream: str, address: Any, index: Any, value: Any) -> None:
        kind, build = self.kind(stream), self.build
        made = build.store(narrow(build, self.to(value, self.real), kind), element(build, address, index, kind))
        scoped(build, made, self.streams.index(stream), len(self.streams))

    def value(self, node: ast.expr) -> Any:
        """The value of an expression: LLVM's, or a Python int for a literal, which takes any type."""
        match node:
            case ast.Constant(value=bool()):
                raise Unknown(ast.unparse(node))
            case ast.Constant(value=int(number)):
                return number
            case ast.Constant(value=float(number)):
                return DOUBLE(number)
            case ast.Name(id="zero"):
                return self.real(0.0)
            case ast.Name(id="one"):
                return self.real(1.0)
            case ast.Name(id="largest"):
                return self.real(LARGEST[self.real])
            case ast.Name(id=name) if name.startswith("width_") and name.removeprefix("width_") in self.streams:
                return WIDTH[self.kind(name.removeprefix("width_"))]
            case ast.Name(id=name) if name in self.names:
                return self.build.load(self.names[name])
            case ast.Subscript():
                return self.build.load(self.place(node))
            case ast.BinOp(left=left, op=op, right=right):
                return self.arithmetic(op, self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                return self.compare(_COMPARE[type(op)], self.value(left), self.value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.build.fneg(self.to(self.value(operand), self.real))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.build.not_(self.bit(self.value(operand)))
            case ast.Call(func=ast.Name(id=word), args=args):
                return self.call(word, [self.value(a) for a in args])
            case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr=word), args=[arg]):
                return self.function(word, self.value(arg))
        raise Unknown(ast.unparse(node))

    def call(self, word: str, args: list[Any]) -> Any:
        build = self.build
        match word, args:
            case "select", [condition, a, b]:
                whole = all(x.type == INT for x in (a, b))
                return build.select(self.bit(condition), *((a, b) if whole else self.alike(a, b)))
            case "fma", [a, b, c]:
                return build.fma(*(self.to(x, self.real) for x in (a, b, c)))
            case "add_any_order", [a, b]:
                return build.fadd(a, self.to(b, a.type), flags=("reassoc", "contract"))
            case "add_product_any_order", [total, a, b]:
                return add_product(build, total, self.to(a, total.type), self.to(b, total.type))
            case "copysign", [a, b]:
                return copysign(build, *(self.to(x, self.real) for x in (a, b)))
            case "power", [a, b]:
                return self.intrinsic("llvm.pow", *(self.to(x, self.real) for x in (a, b)))
            case "float64", [a]:
                return self.to(a, DOUBLE)
            case "min", [a, b]:
                a, b = self.plain(a), self.plain(b)
                return build.select(build.icmp_signed("<", b, a), b, a)
            case _, [address, index] if word.startswith("load_") and word.removeprefix("load_") in self.streams:
                stream = word.removeprefix("load_")
                kind = self.kind(stream)
                value = build.load(element(build, address, index, kind))
                scoped(build, value, self.streams.index(stream), len(self.streams))
                return widen(build, value, kind)
        raise Unknown(word)
