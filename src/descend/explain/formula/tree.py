"""The formula of a rule as a tree.

``formula_read`` makes it from the text of a rule, ``formula_print`` and ``formula_markup`` print it,
``formula_run`` computes with it.

Sums, products and fractions are gathered so that a printer can set them as a person would:
``lr * m / (sqrt(v) + eps)`` is lr times a fraction, ``g * g`` is g². Every name knows whether it has
the old value (of step t-1) or the new one (of step t).
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True)
class Name:
    """``name`` as written; ``base`` and ``when`` ("old", "now" or "" for a constant) are what it means."""

    name: str
    base: str
    when: str = ""


@dataclass(frozen=True)
class Op:
    """An operation on trees.

    ``kind`` is sum, neg, product, frac, power, mod, matmul, transpose, call, cases, compare, and, or,
    not or tuple. ``word`` is the function of a call or the sign of a comparison; ``options`` are the
    keywords of a call. The arguments of cases are condition, value, condition, value, ..., otherwise.
    """

    kind: str
    args: tuple[Tree, ...]
    word: str = ""
    options: tuple[tuple[str, Tree], ...] = ()


@dataclass(frozen=True)
class Raw:
    """Python text that has no better form."""

    text: str


Tree = Number | Name | Op | Raw


@dataclass(frozen=True)
class Line:
    """``targets`` take the value; without targets, a statement that is shown as it stands."""

    targets: tuple[Name, ...]
    value: Tree
    again: bool = False  # the target had a value of this step before
    alias: bool = False  # only a second name for an old value
    given: bool = False  # says where a value comes from; nothing is computed


@dataclass(frozen=True)
class Loop:
    variables: str
    iterable: Raw
    lines: tuple[Line | Loop, ...]


@dataclass(frozen=True)
class Helper:
    """A function that rules call and that is no word of the vocabulary; without parameters, a table of numbers."""

    name: str
    parameters: tuple[Name, ...]
    lines: tuple[Line | Loop, ...]
    result: Tree
    scope: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Formula:
    """One rule, or one stage of a chain."""

    name: str
    lines: tuple[Line | Loop, ...]
    helpers: tuple[Helper, ...] = ()
    scope: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def numbers(value: Any) -> Tree:
    """A number, or numbers in tuples, as a tree."""
    return Op("tuple", tuple(numbers(x) for x in value)) if isinstance(value, tuple) else Number(float(value))


# How trees are put together: flat sums and products, signs in front, one fraction per division.


def neg(x: Tree) -> Tree:
    if isinstance(x, Number):
        return Number(-x.value)
    return x.args[0] if isinstance(x, Op) and x.kind == "neg" else Op("neg", (x,))


def unsigned(x: Tree) -> tuple[bool, Tree]:
    """Whether a minus stands in front, and what it stands in front of."""
    minus = x.value < 0 if isinstance(x, Number) else isinstance(x, Op) and x.kind == "neg"
    return minus, neg(x) if minus else x


def parts(kind: str, x: Tree) -> tuple[Tree, ...]:
    """The arguments of a sum, a product, a tuple; anything else is one of one."""
    return x.args if isinstance(x, Op) and x.kind == kind else (x,)


def _gather(kind: str, args: tuple[Tree, ...]) -> Tree:
    return args[0] if len(args) == 1 else Op(kind, args)


def add(a: Tree, b: Tree) -> Tree:
    return Op("sum", parts("sum", a) + parts("sum", b))


def mul(a: Tree, b: Tree) -> Tree:
    (minus_a, a), (minus_b, b) = unsigned(a), unsigned(b)
    factors = list(parts("product", a))
    for factor in parts("product", b):
        base, exponent = _whole_power(factors[-1])
        if base == factor and not isinstance(base, Number | Raw):
            factors[-1] = Op("power", (base, Number(exponent + 1)))
        else:
            factors.append(factor)
    product = _gather("product", tuple(factors))
    return neg(product) if minus_a != minus_b else product


def _whole_power(x: Tree) -> tuple[Tree, float]:
    if isinstance(x, Op) and x.kind == "power" and isinstance(x.args[1], Number) and x.args[1].value % 1 == 0:
        return x.args[0], x.args[1].value
    return x, 1.0


def div(a: Tree, b: Tree, in_front: Container[str] = ()) -> Tree:
    """``a / b``: the divisor goes below the factors since the last division.

    Numbers, and names in ``in_front``, that lead the factors stay in front of the fraction.
    """
    minus, a = unsigned(a)
    factors = parts("product", a)
    last = factors[-1]
    if isinstance(last, Op) and last.kind == "frac":
        kept, fraction = factors[:-1], Op("frac", (last.args[0], mul(last.args[1], b)))
    else:
        first = max((i + 1 for i, x in enumerate(factors) if isinstance(x, Op) and x.kind == "frac"), default=0)
        while first < len(factors) - 1 and _leads(factors[first], in_front):
            first += 1
        kept, fraction = factors[:first], Op("frac", (_gather("product", factors[first:]), b))
    whole = _gather("product", (*kept, fraction))
    return neg(whole) if minus else whole


def _leads(x: Tree, names: Container[str]) -> bool:
    return isinstance(x, Number) or (isinstance(x, Name) and x.name in names)


def cases(condition: Tree, a: Tree, b: Tree, lazy: bool = False) -> Tree:
    """``a`` where the condition holds, else ``b``; ``lazy``: only the one that is wanted is computed."""
    word = "when" if lazy else ""
    rest = b.args if isinstance(b, Op) and b.kind == "cases" and b.word == word else (b,)
    return Op("cases", (condition, a, *rest), word)


def nodes(x: Any) -> Iterator[Any]:
    """A tree, a line, a function or a whole formula, and all that it is made of."""
    yield x
    for name in ("targets", "args", "lines", "value", "helpers", "result"):
        inner = getattr(x, name, ())
        for part in inner if isinstance(inner, tuple) else (inner,):
            yield from nodes(part)


def varies(x: Tree) -> bool:
    """Whether the value depends on the step."""
    return any(isinstance(node, Name) and (node.when != "" or node.name == "t") for node in nodes(x))


def put(x: Tree, values: Mapping[str, float]) -> Tree:
    """The tree with numbers in place of names."""
    if isinstance(x, Name) and isinstance(values.get(x.name), int | float):
        return Number(values[x.name])
    if not isinstance(x, Op):
        return x
    return Op(x.kind, tuple(put(a, values) for a in x.args), x.word, tuple((k, put(v, values)) for k, v in x.options))
