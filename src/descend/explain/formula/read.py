"""Reads the text of a rule, line by line, into a ``Formula``."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from ...core import ops
from ...core.rule import Rule
from . import tree as formula
from .tree import Formula, Helper, Line, Loop, Name, Number, Op, Raw, Tree

FIRST = {"rule": "p", "before": "g", "after": "q"}
BUILTIN = {"abs": "absolute", "max": "maximum", "min": "minimum"}
COMPARE = {ast.Lt: "<", ast.LtE: "≤", ast.Gt: ">", ast.GtE: "≥", ast.Eq: "=", ast.NotEq: "≠"}
JOIN = {ast.BitAnd: "and", ast.BitOr: "or", ast.And: "and", ast.Or: "or"}
JOIN |= {ast.Mod: "mod", ast.MatMult: "matmul"}


def formulas(rule: Rule) -> tuple[Formula, ...]:
    """The formula of a rule, or of each stage of a chain in order.

    Raises:
        OSError: the text of the rule is not at hand (it was typed at a prompt).
    """
    return tuple(_formula(stage) for stage in (rule.stages or (rule,)))


def _formula(rule: Rule) -> Formula:
    *body, last = statements_of(rule.fn)
    reader = _Reader(rule.fn, rule.settings)
    results, values = [FIRST[rule.kind], *(slot.name for slot in rule.slots)], returned(last)
    at_once = len(values) < len(results)  # one call returns everything
    renamed = [x for x in zip(results, values, strict=False) if at_once or not is_name(x[1], x[0])]
    written = {name for node in body for name in stored(node)} | {name for name, _ in renamed}
    reader.lasting = {"p", *(name for name in results[1:] if at_once or name in written)}
    reader.when = {**dict.fromkeys(reader.lasting, "old"), "g": "now", "q": "now"}
    lines = reader.statements(body)
    lines += [reader.assign(results, reader.tree(values[0]))] if at_once else reader.results(renamed)
    if rule.gradient_point is not None:
        point = _point(rule, rule.gradient_point, dict.fromkeys(reader.lasting, "old"))
        lines.insert(0, Line((Name("g", "g", "now"),), Op("call", (point,), "∇f"), given=True))
    if rule.shipped_point is not None:
        point = _point(rule, rule.shipped_point, dict.fromkeys(reader.lasting, "now"))
        lines.append(Line((Name("shipped", "shipped", "now"),), point, given=True))
    helpers = sorted(reader.helpers.values(), key=lambda helper: not helper.parameters)  # constants last
    return Formula(rule.name, tuple(lines), tuple(helpers), reader.scope)


def _point(rule: Rule, fn: Callable[..., Any], when: dict[str, str]) -> Tree:
    """The point that a function of ``p``, state and settings names."""
    *lines, last = statements_of(fn)
    reader = _Reader(fn, rule.settings)
    reader.when = when
    return Raw(f"{fn.__name__}(p)") if lines else reader.tree(returned(last)[0])


class _Reader:
    """Reads statements in order; ``when`` says which value each name has by now."""

    def __init__(self, fn: Callable[..., Any], settings: Mapping[str, Any] = {}) -> None:
        closed = inspect.getclosurevars(fn).nonlocals if fn.__closure__ else {}
        self.scope: dict[str, Any] = {**fn.__globals__, **closed}
        self.settings = settings
        self.when: dict[str, str] = {}
        self.lasting: set[str] = set()  # names whose value outlives the step; none in a helper
        self.aliases: dict[str, Name] = {}
        self.local: set[str] = set()
        self.helpers: dict[str, Helper] = {}
        self.later: dict[str, ast.expr] = {}
        self.looping = 0

    # Statements

    def statements(self, body: list[ast.stmt]) -> list[Line | Loop]:
        return [line for node in body for line in self.statement(node)]

    def statement(self, node: ast.stmt) -> list[Line | Loop]:
        match node:
            case ast.Assign(targets=[target], value=value) if named(target):
                return [self.assign(named(target), self.tree(value))]
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                return [self.assign([name], self.tree(ast.BinOp(ast.Name(name), op, value)))]
            case ast.For(target=target, iter=iterable, body=body, orelse=[]):
                # what a loop sets changes several times within the step
                for name in set().union(*map(stored, body)) if self.lasting else ():
                    self._set(name, "now")
                self.local |= stored(target)
                self.looping += 1
                lines = tuple(self.statements(body))
                self.looping -= 1
                return [Loop(ast.unparse(target).strip("()"), Raw(ast.unparse(iterable)), lines)]
            case ast.FunctionDef(name=name, body=[ast.Return(value=ast.expr() as value)]) if not node.args.args:
                self.later[name] = value  # what `when` takes is read where it takes it
                return []
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return []
        for name in stored(node):
            self._set(name, "now")
        return [Line((), Raw(ast.unparse(node)))]

    def assign(self, names: list[str], value: Tree) -> Line:
        inside = self.lasting == set()  # a helper: its names have no index, its parameters have values
        again = self.looping > 0 or any(self.when.get(x) == "now" or (inside and x in self.local) for x in names)
        changes = any(name in self.lasting for name in names) or (bool(self.lasting) and formula.varies(value))
        when = "now" if changes else ""
        alias = isinstance(value, Name) and value.when == "old" and names[0] not in self.lasting
        for name in names:
            self._set(name, when)
        if alias and isinstance(value, Name):
            self.aliases[names[0]] = value
        return Line(tuple(Name(n, n, when) for n in names), value, again=again, alias=alias)

    def _set(self, name: str, when: str) -> None:
        self.when[name] = when
        self.local.add(name)
        self.aliases.pop(name, None)

    def results(self, missing: list[tuple[str, ast.expr]]) -> list[Line | Loop]:
        """What the return statement assigns, ordered so that nothing is overwritten before it is read."""
        lines: list[Line | Loop] = []
        while missing:
            free = [x for x in missing if not any(reads(v, x[0]) for n, v in missing if n != x[0])]
            ready = free[:1] or missing
            missing = [x for x in missing if x not in ready]
            values = [self.tree(value) for _, value in ready]
            value = values[0] if len(values) == 1 else Op("tuple", tuple(values))
            lines.append(self.assign([name for name, _ in ready], value))
        return lines

    # Expressions

    def tree(self, node: ast.expr) -> Tree:
        match node:
            case ast.Constant(value=bool()):
                return Raw(ast.unparse(node))
            case ast.Constant(value=int() | float() as value):
                return Number(float(value))
            case ast.Name(id=name):
                return self.name(name)
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(op, self.tree(left), self.tree(right)) or Raw(ast.unparse(node))
            case ast.UnaryOp(op=ast.USub(), operand=x):
                return formula.neg(self.tree(x))
            case ast.UnaryOp(op=ast.Invert() | ast.Not(), operand=x):
                return Op("not", (self.tree(x),))
            case ast.BoolOp(op=op, values=values):
                return Op(JOIN[type(op)], tuple(self.tree(x) for x in values))
            case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in COMPARE:
                return Op("compare", (self.tree(left), self.tree(right)), COMPARE[type(sign)])
            case ast.IfExp(test=test, body=a, orelse=b):
                return formula.cases(self.tree(test), self.tree(a), self.tree(b))
            case ast.Attribute(value=x, attr="T"):
                return Op("transpose", (self.tree(x),))
            case ast.Tuple(elts=elts):
                return Op("tuple", tuple(self.tree(x) for x in elts))
            case ast.Call():
                return self.call(node)
        return Raw(ast.unparse(node))

    def name(self, name: str) -> Tree:
        if name in self.aliases:
            return Name(name, self.aliases[name].base, self.aliases[name].when)
        known = name in self.local or name in self.settings or name in self.when
        value = None if known else self.scope.get(name)
        items: tuple[Any, ...] = value if isinstance(value, tuple) else (value,)
        if items and all(isinstance(x, int | float) for x in items):
            return formula.numbers(value)
        if items and all(isinstance(x, tuple) for x in items):
            self.helpers[name] = Helper(name, (), (), formula.numbers(value), self.scope)
        return Name(name, name, self.when.get(name, ""))

    def binary(self, op: ast.operator, a: Tree, b: Tree) -> Tree | None:
        match op:
            case ast.Add():
                return formula.add(a, b)
            case ast.Sub():
                return formula.add(a, formula.neg(b))
            case ast.Mult():
                return formula.mul(a, b)
            case ast.Div():
                return formula.div(a, b, self.settings)
            case ast.Pow():
                return Op("call", (a,), "sqrt") if b == Number(0.5) else Op("power", (a, b))
        return Op(JOIN[type(op)], (a, b)) if type(op) in JOIN else None

    def call(self, node: ast.Call) -> Tree:
        function = node.func
        name = ast.unparse(function).rpartition(".")[2]
        meant = self.scope.get(name) if isinstance(function, ast.Name) else getattr(ops, name, None)
        args = [self.tree(self.body(x) if name == "when" else x) for x in node.args]
        options = {k.arg: self.tree(k.value) for k in node.keywords if k.arg}
        if getattr(meant, "__module__", "") == ops.__name__:
            name = str(getattr(meant, "__name__", name))
        elif meant is None and name in BUILTIN:
            name = BUILTIN[name]
        elif inspect.isfunction(meant) and isinstance(function, ast.Name):
            bound = inspect.signature(meant).bind(*args, **options)
            bound.apply_defaults()
            self._help(name, meant)
            return Op("call", tuple(self.default(x, meant) for x in bound.arguments.values()), name)
        elif meant is None:
            return Raw(ast.unparse(node))
        if name in ("where", "when") and len(args) == 3:
            return formula.cases(*args, lazy=name == "when")
        if name in ("matmul", "transpose"):
            return Op(name, tuple(args))
        if name in ("total", "mean", "norm") and len(args) == 2:
            options["over"] = args.pop()
        return Op("call", tuple(args), name, tuple(options.items()))

    def body(self, x: ast.expr) -> ast.expr:
        """What a function without arguments, given to ``when``, returns."""
        if isinstance(x, ast.Lambda):
            return x.body
        return self.later.get(x.id, x) if isinstance(x, ast.Name) else x

    def default(self, x: Any, fn: Callable[..., Any]) -> Tree:
        """An argument of a call; a default by the name that it has beside the function."""
        if isinstance(x, Tree):
            return x
        name = next((name for name, value in fn.__globals__.items() if value is x), "")
        self.scope.setdefault(name, x)
        return self.name(name) if isinstance(x, tuple) and self.scope[name] is x else Raw(repr(x))

    def _help(self, name: str, fn: Callable[..., Any]) -> None:
        """Read a function the rule calls; one that is more than assignments and a return stays a name."""
        reader = _Reader(fn)
        parameters = list(inspect.signature(fn).parameters)
        reader.local |= set(parameters)
        *body, last = statements_of(fn)
        try:
            values = returned(last)
        except ValueError:
            return
        lines = tuple(reader.statements(body))
        result = reader.tree(values[0] if len(values) == 1 else ast.Tuple(values))
        self.helpers |= reader.helpers
        helper = Helper(name, tuple(Name(x, x) for x in parameters), lines, result, reader.scope)
        self.helpers[name] = self.scope[name] = helper


# The text of a function: its statements, and which names they read and write.


def statements_of(fn: Callable[..., Any]) -> list[ast.stmt]:
    """The statements of a function, without its docstring."""
    module = ast.parse(textwrap.dedent(inspect.getsource(fn)))
    found = next(node for node in module.body if isinstance(node, ast.FunctionDef))
    return found.body[ast.get_docstring(found) is not None :]


def returned(last: ast.stmt) -> list[ast.expr]:
    if not isinstance(last, ast.Return) or last.value is None:
        raise ValueError("a rule ends with the return of its new values")
    return last.value.elts if isinstance(last.value, ast.Tuple) else [last.value]


def stored(node: ast.AST) -> set[str]:
    """The names that a statement gives a value."""
    return {x.id for x in ast.walk(node) if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store)}


def named(target: ast.expr) -> list[str]:
    """The names on the left of an assignment; none if something else stands there too."""
    nodes = target.elts if isinstance(target, ast.Tuple) else [target]
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    return names if len(names) == len(nodes) else []


def reads(node: ast.expr, name: str) -> bool:
    return any(isinstance(x, ast.Name) and x.id == name for x in ast.walk(node))


def is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
