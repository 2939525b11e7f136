"""The tracer: runs a rule once on symbols and keeps what it did as a tape.

Every value on the tape knows its *extent*: one number per step, one for all parameters, one per
tensor, or one per element. The extent is what separates work done once on the host in float64 from
work done on every element.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from . import ops
from .init import Init
from .refusal import disordered, ending, explained, place
from .rule import Declared, Rule
from .settings import taken_by
from .value import LOGIC, Misreturned, Refused, Value, give_operators


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
    inputs: list[str] = field(default_factory=list)  # the arrays the function takes, in order
    nodes: list[Node] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)  # "p" and each slot -> node
    guard: int | None = None  # number of non-finite gradient elements, if it was asked for
    whole: str = ""  # why it needs whole tensors, if it does
    _known: dict[Any, int] = field(default_factory=dict, repr=False)

    def add(self, op: str, *args: int, value: Any = None, extent: Extent = Extent.STEP, over: str = "") -> int:
        """The index of the value, computed before or added now."""
        level = max((self.nodes[a].level for a in args), default=0)
        extent = max((self.nodes[a].extent for a in args), default=extent)
        if op in _OF_TENSORS:
            extent = Extent.TENSOR
        if op in ("total", "count"):
            value = over
        if over in ("tensor", "all"):
            extent = Extent.TENSOR if over == "tensor" else Extent.ALL
            level, args = (level + 1 if op == "total" else 0), (args if op == "total" else ())
        key = (op, args, type(value), value)  # 1, 1.0 and True hash alike, so the type is in the key
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(Node(op, args, extent, level, value))
        return self._known[key]

    def lifted(self, value: Any) -> int:
        """The index of a value that a rule computes with.

        Raises:
            Refused: it is no value of this rule, and no number.
        """
        if isinstance(value, Symbol):
            if value.tape is not self:
                raise Refused("uses a value of one rule, or of a step before, while another is traced")
            return value.index
        if isinstance(value, int | float):
            return self.add("const", value=float(value))
        shown = " ".join(f"{value!r:.60}".split())
        if isinstance(value, Init):
            raise Refused("computes with an initialiser, which begins state and stands in the signature: m=zeros")
        if isinstance(value, tuple | list):
            raise Refused(f"{shown} is several values where one is needed")
        raise Refused(
            f"{shown} ({type(value).__name__}) is neither a number nor a value of the rule: what differs from element "
            f"to element is p, g or state, and a number of NumPy or torch is written float(number) outside of the rule"
        )

    def is_condition(self, index: int) -> bool:
        """Whether the value is true or false, and no number."""
        node = self.nodes[index]
        return node.op in _TRUTHS or (node.op == "where" and all(map(self.is_condition, node.args[1:])))

    def number(self, value: Any) -> int:
        """The index of a value that is computed with or kept: engines differ in what a truth adds up to.

        Raises:
            Refused: it is a condition.
        """
        index = self.lifted(value)
        if self.is_condition(index):
            raise Refused("takes a condition for a number: write where(condition, 1.0, 0.0)")
        return index

    def condition(self, value: Any) -> int:
        """The index of a value that is chosen by.

        Raises:
            Refused: it is a number.
        """
        index = self.lifted(value)
        if not self.is_condition(index):
            raise Refused("takes a number for a condition: compare it, as in where(x != 0, a, b)")
        return index

    def repeat(self, record: Tape, given: Mapping[str, Any]) -> list[int]:
        """Add all values of another tape, with these in place of its inputs; where each is now."""
        places: list[int] = []
        for node in record.nodes:
            if node.op == "input":
                places.append(self.lifted(given[node.value]))
            elif node.op in ("total", "count"):
                args = [places[a] for a in node.args]
                places.append(self.add(node.op, *args, over=node.value))
            else:
                places.append(self.add(node.op, *(places[a] for a in node.args), value=node.value))
        self.whole = self.whole or record.whole
        return places

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


_TRUTHS = ("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not", "isfinite")
_OF_TENSORS = ("rows", "columns", "spectral_bound")


class Symbol(Value):
    """A value that stands for an array or a number while a rule is traced."""

    __slots__ = ("index", "tape")

    def __init__(self, tape: Tape, index: int) -> None:
        self.tape = tape
        self.index = index

    def _op(self, op: str, *args: Any) -> Symbol:
        return Symbol(self.tape, self.tape.add(op, *(self.tape.number(a) for a in args)))

    def _logic(self, op: str, *args: Any) -> Symbol:
        return Symbol(self.tape, self.tape.add(op, *(self.tape.condition(a) for a in args)))

    def __repr__(self) -> str:
        node = self.tape.nodes[self.index]
        return f"<{node.value if node.op == 'input' else node.op} of rule {self.tape.rule.name}>"

    def repeated(self, rule: Rule, arrays: tuple[Any, ...], t: Any, settings: dict[str, Any]) -> tuple[Symbol, ...]:
        """What ``rule`` returns, by what its function did when it was traced: it is run once for all."""
        record = recorded(rule)
        given = {**dict(zip(record.inputs, arrays, strict=True)), **settings, "t": t}
        places = self.tape.repeat(record, given)
        return tuple(Symbol(self.tape, places[i]) for i in record.outputs.values())

    def _forward(self, name: str, other: Any) -> Symbol:
        if name == "pow" and not isinstance(other, Symbol) and other in (2, 0.5):
            return self._op("mul", self, self) if other == 2 else self._op("sqrt", self)
        if name in LOGIC or (name in ("eq", "ne") and self.tape.is_condition(self.index)):
            return self._logic(name, self, other)  # two numbers or two conditions may be equal
        return self._op(name, self, other)

    if TYPE_CHECKING:

        def __add__(self, other: Any, /) -> Symbol: ...
        def __truediv__(self, other: Any, /) -> Symbol: ...


def _named(name: str) -> str:
    return {"truediv": "div", "invert": "not"}.get(name, name)


def _backward(name: str, _: Any) -> Any:
    if name in LOGIC:  # a number on the left
        return vars(Value)[f"__r{name}__"]
    return lambda self, other: self._op(_named(name), other, self)


give_operators(
    Symbol,
    lambda name, _: lambda self, other: self._forward(_named(name), other),
    _backward,
    lambda name, _: lambda self: (self._logic if name == "invert" else self._op)(_named(name), self),
)


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
            x.tape.whole = x.tape.whole or f"{x.tape.rule.name} sums over each {over}"
        return Symbol(x.tape, x.tape.add(op, x.tape.number(x), over=over))

    return word


def _matrix_word(op: str) -> Callable[..., Any]:
    def word(*args: Any) -> Any:
        tape = next(a for a in args if isinstance(a, Symbol)).tape
        tape.whole = tape.whole or f"{op} works on whole matrices"
        made = _word(op)(*args)
        return (made, made._op("eigenvectors", made)) if op == "eigh" else made

    return word


def _where(condition: Any, a: Any, b: Any) -> Any:
    """``a`` or ``b``: two numbers, or two conditions."""
    tape = next(x for x in (condition, a, b) if isinstance(x, Symbol)).tape
    sides = [tape.lifted(x) for x in (a, b)]
    if not all(map(tape.is_condition, sides)):
        sides = [tape.number(x) for x in (a, b)]
    return Symbol(tape, tape.add("where", tape.condition(condition), *sides))


def _when(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """Both sides, to be chosen from."""
    a, b = then(), otherwise()
    if isinstance(a, tuple):
        return tuple(_where(condition, x, y) for x, y in zip(a, b, strict=True))
    return _where(condition, a, b)


_ELEMENTWISE = ("sqrt", "exp", "log", "tanh", "abs", "sign", "isfinite", "maximum", "minimum")
ops.register(
    Symbol,
    {
        **{op: _word(op) for op in _ELEMENTWISE},
        **{op: _matrix_word(op) for op in ops.MATRIX_WORDS},
        "where": _where,
        "when": _when,
        "total": _reduce("total"),
        "count": _reduce("count"),
    },
)


def trace(rule: Rule, guard: bool = False, whole: bool = False) -> Tape:
    """What ``rule`` does, as a tape.

    Args:
        rule: a rule or a chain (not a modifier).
        guard: also count the non-finite elements of the gradient, over all parameters.
        whole: take rules that work on rows, columns or whole matrices, too.
    Raises:
        Refused: the rule branches on data, or does not return what its signature promises.
        NotTraceable: it works on rows, columns or whole matrices.
    """
    tape = Tape(rule)
    given = _inputs(tape)
    values = rule.apply(*(given[name] for name in tape.inputs), t=given["t"], **{n: given[n] for n in rule.settings})
    for name, value in zip(rule.results, values, strict=True):
        tape.outputs[name] = tape.lifted(value)
    if tape.whole and not whole:
        raise NotTraceable(tape.whole)
    if guard:
        bad = ops.total(ops.where(ops.isfinite(given["g"]), 0.0, 1.0), over="all")
        tape.guard = bad.index
    return tape


def _inputs(tape: Tape) -> dict[str, Symbol]:
    """A symbol for everything that a rule is given; ``tape.inputs`` has the names of the arrays, in order."""
    rule = tape.rule
    slots = {slot.name: _EXTENTS.get(slot.init.shape, Extent.ELEMENT) for slot in rule.slots}
    extents = {**dict.fromkeys(rule.leading, Extent.ELEMENT), **slots}
    tape.inputs = list(extents)
    extents |= {**dict.fromkeys(rule.settings, Extent.STEP), "t": Extent.STEP}
    return {name: Symbol(tape, tape.add("input", value=name, extent=extent)) for name, extent in extents.items()}


_EXTENTS = {"tensor": Extent.TENSOR, "all": Extent.ALL}


def recorded(rule: Rule) -> Tape:
    """What the function of a rule or modifier does: it is run once, however often it is asked for.

    Raises:
        Refused: no engine runs it; the message says at which line, and what to write instead.
    """
    return _recorded(rule.declared)


@functools.lru_cache(maxsize=512)
def _recorded(of: Declared) -> Tape:
    rule = of.rule
    tape = Tape(rule)
    given = _inputs(tape)
    settings = {name: given[name] for name in rule.settings} | ({"t": given["t"]} if rule.uses_t else {})
    try:
        returned = rule.fn(*(given[name] for name in tape.inputs), **settings)
    except Exception as error:
        raise explained(error, rule.kind, rule.name, rule.fn) from error
    values = rule.returned(returned)
    where = place(rule.kind, rule.name, rule.fn)
    for name, value in zip(rule.results, values, strict=True):
        try:
            tape.outputs[name] = tape.lifted(value)
        except Refused as error:
            raise Misreturned(f"{where} returns for {name} what is no value: {error}") from None
        if tape.is_condition(tape.outputs[name]):
            raise Misreturned(f"{where} returns for {name} a condition: write where(condition, 1.0, 0.0)")
    if said := disordered(rule.kind, rule.name, rule.fn, rule.results):
        raise Misreturned(said)
    if slot := _in_place_of_p(tape):
        raise Misreturned(
            f"{where} returns for p what does not depend on p, and for {slot} the old p and a step; "
            f"{ending(rule.results)}"
        )
    for slot in rule.slots:
        limit = _EXTENTS.get(slot.init.shape)
        if limit is not None and tape.nodes[tape.outputs[slot.name]].extent > limit:
            raise Misreturned(f"{where} keeps {slot.name} as one number per {slot.init.shape}; it was given more")
    return tape


def _in_place_of_p(tape: Tape) -> str:
    """The state that is surely returned in the place of the new ``p``, or "".

    So it is where the new ``p`` knows nothing of the old one, while a state that begins as something else is the old
    ``p`` and a step, computed from what stands in the place of ``p``.
    """
    first = tape.outputs.get("p")
    if first is None or _reads(tape, first, "p"):
        return ""
    for slot in tape.rule.slots:
        new = tape.outputs[slot.name]
        apart = slot.init.shape == "element" and slot.init.fill != "p" and tape.nodes[new].op != "input"
        if apart and _moves(tape, new) and first in tape.ancestors([new]):
            return slot.name
    return ""


def _reads(tape: Tape, index: int, name: str) -> bool:
    return any(tape.nodes[i].op == "input" and tape.nodes[i].value == name for i in tape.ancestors([index]))


def _moves(tape: Tape, index: int) -> bool:
    """Whether the value is the old ``p``, or a share of it, and something added."""
    node = tape.nodes[index]
    if node.op == "mul":
        return any(_moves(tape, a) and tape.nodes[b].extent is Extent.STEP for a, b in (node.args, node.args[::-1]))
    if node.op in ("add", "sub"):
        return any(_moves(tape, a) for a in node.args[: 2 if node.op == "add" else 1])
    return node.op == "input" and node.value == "p"


def admit(rule: Rule) -> Rule:
    """The rule itself, if its every function is one that all engines can run: stages, points, the rule for vectors.

    Every front end asks before anything is touched, so that none runs what another refuses.

    Raises:
        Refused: a function that is none; the message says at which line, and what to write instead.
    """
    for stage in rule.stages or (rule,):
        recorded(stage)
        for which in ("gradient_point", "shipped_point"):
            if getattr(stage, which) is not None:
                _recorded_point(stage.declared, which, getattr(stage, which))
    if rule.vectors is not None:
        admit(rule.vectors)
    return rule


@functools.lru_cache(maxsize=512)
def _recorded_point(of: Declared, which: str, point: Callable[..., Any]) -> None:
    rule, tape = of.rule, Tape(of.rule)
    given = _inputs(tape)
    wanted = taken_by(point, {name: given[name] for name in rule.settings})
    kind = f"{which} of rule {rule.name}"
    try:
        made = point(given["p"], *(given[s.name] for s in rule.slots), **wanted)
        tape.number(made)
    except Exception as error:
        raise explained(error, kind, point.__name__, point) from error
