"""The tracer: runs a rule once on symbols and keeps what it did as a tape.

Every value on the tape knows its *extent*: one number per step, one for all parameters, one per
tensor, or one per element. The extent is what separates work done once on the host in float64 from
work done on every element.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from . import ops
from .rule import Rule


class Extent(IntEnum):
    STEP = 0  # depends on the step and the settings only
    ALL = 1  # one number for all parameters
    TENSOR = 2  # one number per tensor
    ELEMENT = 3


@dataclass(frozen=True)
class Node:
    """One value: ``op`` applied to earlier values. Inputs and constants carry theirs in ``value``."""

    op: str
    args: tuple[int, ...]
    extent: Extent
    level: int  # how many reductions must have finished before it can be computed
    value: Any = None


@dataclass
class Tape:
    """The record of one run of a rule: values in order of computation, and which are the results."""

    rule: Rule
    nodes: list[Node] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)  # "p" and each slot -> node
    guard: int | None = None  # number of non-finite gradient elements, if it was asked for
    _known: dict[Any, int] = field(default_factory=dict, repr=False)

    def add(self, op: str, *args: int, value: Any = None, extent: Extent = Extent.STEP, over: str = "") -> int:
        """The index of the value, computed before or added now."""
        level = max((self.nodes[a].level for a in args), default=0)
        extent = max((self.nodes[a].extent for a in args), default=extent)
        if op in ("total", "count"):
            extent = Extent.TENSOR if over == "tensor" else Extent.ALL
            value, level, args = over, (level + 1 if op == "total" else 0), (args if op == "total" else ())
        key = (op, args, type(value), value)  # 1, 1.0 and True hash alike, so the type is in the key
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(Node(op, args, extent, level, value))
        return self._known[key]

    def ancestors(self, roots: list[int], through: Callable[[Node], bool] = lambda node: True) -> list[int]:
        """Every value the roots need, roots included, in order; arguments only of nodes ``through`` admits."""
        needed, queue = set(), list(roots)
        while queue:
            index = queue.pop()
            if index not in needed:
                needed.add(index)
                if through(self.nodes[index]):
                    queue += self.nodes[index].args
        return sorted(needed)


class Symbol:
    """A value that stands for an array or a number while a rule is traced."""

    __slots__ = ("index", "tape")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tape: Tape, index: int) -> None:
        self.tape = tape
        self.index = index

    def _lift(self, value: Any) -> int:
        if isinstance(value, Symbol):
            if value.tape is not self.tape:
                raise TypeError("a value of one rule was used while another was traced")
            return value.index
        if isinstance(value, int | float):
            return self.tape.add("const", value=float(value))
        raise TypeError(f"rule {self.tape.rule.name}: {value!r} is neither a number nor a value of the rule")

    def _op(self, op: str, *args: Any) -> Symbol:
        return Symbol(self.tape, self.tape.add(op, *(self._lift(a) for a in args)))

    def __add__(self, other: Any) -> Symbol:
        return self._op("add", self, other)

    def __radd__(self, other: Any) -> Symbol:
        return self._op("add", other, self)

    def __sub__(self, other: Any) -> Symbol:
        return self._op("sub", self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return self._op("sub", other, self)

    def __mul__(self, other: Any) -> Symbol:
        return self._op("mul", self, other)

    def __rmul__(self, other: Any) -> Symbol:
        return self._op("mul", other, self)

    def __truediv__(self, other: Any) -> Symbol:
        return self._op("div", self, other)

    def __rtruediv__(self, other: Any) -> Symbol:
        return self._op("div", other, self)

    def __pow__(self, other: Any) -> Symbol:
        if not isinstance(other, Symbol) and other in (2, 0.5):
            return self._op("mul", self, self) if other == 2 else self._op("sqrt", self)
        return self._op("pow", self, other)

    def __rpow__(self, other: Any) -> Symbol:
        return self._op("pow", other, self)

    def __mod__(self, other: Any) -> Symbol:
        return self._op("mod", self, other)

    def __neg__(self) -> Symbol:
        return self._op("neg", self)

    def __abs__(self) -> Symbol:
        return self._op("abs", self)

    def __lt__(self, other: Any) -> Symbol:
        return self._op("lt", self, other)

    def __le__(self, other: Any) -> Symbol:
        return self._op("le", self, other)

    def __gt__(self, other: Any) -> Symbol:
        return self._op("gt", self, other)

    def __ge__(self, other: Any) -> Symbol:
        return self._op("ge", self, other)

    def __eq__(self, other: Any) -> Any:
        return self._op("eq", self, other)

    def __ne__(self, other: Any) -> Any:
        return self._op("ne", self, other)

    def __and__(self, other: Symbol) -> Symbol:
        return self._op("and", self, other)

    def __or__(self, other: Symbol) -> Symbol:
        return self._op("or", self, other)

    def __invert__(self) -> Symbol:
        return self._op("not", self)

    def _refuse(self, *_: Any) -> Any:
        raise TypeError(
            f"rule {self.tape.rule.name} branches on a value that is only known while it runs; "
            f"write where(condition, a, b) instead of if, and, or, min, max, float or a loop over an array"
        )

    __bool__ = __float__ = __int__ = __index__ = __iter__ = __len__ = __getitem__ = _refuse


def _word(op: str) -> Callable[..., Symbol]:
    def word(*args: Any) -> Symbol:
        symbol = next(a for a in args if isinstance(a, Symbol))
        return symbol._op(op, *args)

    return word


class NotTraceable(TypeError):
    """The rule works on rows, columns or whole matrices: it runs in the engines that need no tracer."""


def _reduce(op: str) -> Callable[[Symbol, str], Symbol]:
    def word(x: Symbol, over: str) -> Symbol:
        if over in ("row", "column"):
            raise NotTraceable(f"{x.tape.rule.name} sums over each {over}")
        return Symbol(x.tape, x.tape.add(op, x.index, over=over))

    return word


def _refused(op: str) -> Callable[..., Any]:
    def word(*args: Any) -> Any:
        raise NotTraceable(f"{op} works on whole matrices")

    return word


_ELEMENTWISE = ("sqrt", "exp", "log", "tanh", "abs", "sign", "isfinite", "maximum", "minimum", "where")
ops.register(
    Symbol,
    {
        **{op: _word(op) for op in _ELEMENTWISE},
        **{op: _refused(op) for op in ops.MATRIX_WORDS},
        "when": lambda condition, then, otherwise: _word("where")(condition, then(), otherwise()),
        "total": _reduce("total"),
        "count": _reduce("count"),
    },
)


def trace(rule: Rule, guard: bool = False) -> Tape:
    """Run ``rule`` once on symbols.

    Args:
        rule: a rule or a chain (not a modifier).
        guard: also count the non-finite elements of the gradient, over all parameters.
    Raises:
        TypeError: the rule branches on data, or does not return what its signature promises.
        NotTraceable: it works on rows, columns or whole matrices.
    """
    tape = Tape(rule)

    def element(name: str) -> Symbol:
        return Symbol(tape, tape.add("input", value=name, extent=Extent.ELEMENT))

    def single(name: str, extent: Extent) -> Symbol:
        return Symbol(tape, tape.add("input", value=name, extent=extent))

    p, g = element("p"), element("g")
    extents = {"tensor": Extent.TENSOR, "all": Extent.ALL}
    state = [single(slot.name, extents.get(slot.init.shape, Extent.ELEMENT)) for slot in rule.slots]
    settings = {name: single(name, Extent.STEP) for name in rule.settings}
    values = rule.apply(p, g, *state, t=single("t", Extent.STEP), **settings)
    for name, value in zip(["p", *(slot.name for slot in rule.slots)], values, strict=True):
        tape.outputs[name] = p._lift(value)
    if guard:
        bad = ops.total(ops.where(ops.isfinite(g), 0.0, 1.0), over="all")
        tape.guard = bad.index
    return tape
