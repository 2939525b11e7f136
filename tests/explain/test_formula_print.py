"""What is printed can be read back: precedence and parentheses are right in each of the three notations.

Each notation is turned back into a number by a reader of its own, which knows only the rules of that
notation (what binds tighter, what a bar or a brace groups) and nothing of the tree.
"""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formula_readers import TRANSPOSED, markup, spoken, tex
from test_formula import ZOO, names_in

from descend import rules
from descend.core import ops
from descend.core.init import zeros
from descend.core.ops import sign, sqrt, when
from descend.core.rule import rule
from descend.core.symbols import glyph
from descend.engines.eager import numpy as _words  # noqa: F401 - teaches the vocabulary arrays
from descend.explain.formula.markup import Latex, MathML, latex, mathml
from descend.explain.formula.print import Terminal, text
from descend.explain.formula.read import formulas
from descend.explain.formula.run import OPERATIONS, evaluate
from descend.explain.formula.tree import Formula, Helper, Line, Loop, Name, Op, Tree, parts

FUNCTIONS = {
    **{name: getattr(ops, name) for name in ("sign", "exp", "log", "tanh", "isfinite", "sqrt", *ops.MATRIX_WORDS)},
    **{"max": ops.maximum, "min": ops.minimum, "abs": ops.absolute},
}
NOTATIONS = {"terminal": (Terminal(), spoken), "latex": (Latex(), tex), "mathml": (MathML(), markup)}
OVER = {"tensor": 1.0, "all": 2.0, "row": 3.0, "column": 5.0}  # in a matrix of one number, to tell them apart


def reduction(word: str) -> Any:
    return lambda x, over="tensor": getattr(ops, word)(x) * OVER[over]


def over(word: str, where: str) -> Any:
    return lambda x: getattr(ops, word)(x) * OVER[where]


REDUCTIONS = {word: reduction(word) for word in ("mean", "norm", "total")}
FUNCTIONS |= {word if o == "tensor" else f"{word}_{o}": over(word, o) for word in REDUCTIONS for o in OVER}


def lines_of(lines: tuple[Line | Loop, ...]) -> Iterator[Line]:
    for line in lines:
        yield from lines_of(line.lines) if isinstance(line, Loop) else [line]


def readable(formula: Formula) -> list[Tree]:
    """The right-hand sides that are one value, and made of words the readers know."""
    known = {*FUNCTIONS, "maximum", "minimum", "absolute", *(h.name for h in formula.helpers)}

    def plain(x: Tree) -> bool:
        if isinstance(x, Op) and x.kind == "call" and x.word not in known - {"eigh"}:
            return False
        return all(plain(a) for a in getattr(x, "args", ()))

    found = [line for line in lines_of(formula.lines) if line.targets and not line.given]
    values = [(parts("tuple", line.value), line) for line in found]
    return [a for x, line in values if len(x) == len(line.targets) for a in x if plain(a)]


CASES = [(name, i) for name, some in ZOO.items() for i in range(len(readable(formulas(some)[0])))]


def values_for(x: Tree, seed: int, scope: Mapping[str, Any]) -> dict[Name, Any]:
    """A value for every name: positive settings, a whole t, a matrix of one number of any sign for the others."""
    draw = random.Random(seed)

    def value(name: Name) -> Any:
        if isinstance(scope.get(name.name), tuple):  # a table of numbers
            return scope[name.name]
        size = float(draw.randint(1, 4)) if name.name == "t" else draw.uniform(0.1, 2)
        if name.name.startswith("places"):
            return np.array([0])
        sign = -1 if name.when and draw.random() < 0.5 else 1
        return np.full((1, 1), sign * size) if name.when else size

    return {name: value(name) for name in sorted(names_in(x), key=str)}


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize(("name", "index"), CASES)
def test_what_is_printed_reads_back(name: str, index: int, notation: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(OPERATIONS, "transpose", lambda x: x + TRANSPOSED)  # a matrix of one number shows no turn
    formula = formulas(ZOO[name])[0]
    tree = readable(formula)[index]
    writer, reader = NOTATIONS[notation]
    scope = {**formula.scope, **REDUCTIONS}
    functions = {**FUNCTIONS, **{h.name.lstrip("_"): helper(h) for h in formula.helpers if h.parameters}}
    for seed in range(5):
        values = values_for(tree, seed, formula.scope)
        names = {writer.name(n): v for n, v in values.items()}
        with np.errstate(all="ignore"):
            want = evaluate(tree, {n.name: v for n, v in values.items()}, scope)
            got = reader(writer.show(tree), names, functions)
        np.testing.assert_allclose(got, want, rtol=1e-9, err_msg=writer.show(tree))


def helper(h: Helper) -> Any:
    """A helper as a function of values."""
    call, names = Op("call", h.parameters, h.name), [p.name for p in h.parameters]
    return lambda *args: evaluate(call, dict(zip(names, args, strict=True)), {h.name: h})


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("name", ZOO)
def test_two_names_of_a_rule_never_look_alike(name: str, notation: str):
    formula, writer = formulas(ZOO[name])[0], NOTATIONS[notation][0]
    lines = list(lines_of(formula.lines))
    names = set().union(*(names_in(x) for line in lines for x in (line.value, *line.targets)))
    names |= {Name(setting, setting) for setting in ZOO[name].settings}
    meant = {(x.name, "") if notation == "terminal" else (x.base, x.when) for x in names}
    assert len({writer.name(x) for x in names}) == len(meant)


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("beta1", ("β", ("1",), "")),
        ("m_hat", ("m", (), "hat")),
        ("rho_inf", ("ρ", ("∞",), "")),
        ("m_slow", ("m", ("slow",), "")),
        ("weight_decay", ("λ", (), "")),
        ("max_norm", ("max_norm", (), "")),
        ("lr", ("lr", (), "")),
        ("_", ("_", (), "")),
    ],
)
def test_names_become_signs(name: str, drawn: tuple[str, tuple[str, ...], str]):
    made = glyph(name)
    assert (made.base, made.below, made.accent) == drawn


@pytest.mark.parametrize(
    ("value", "plain", "tex_form"),
    [
        (1.0, "1", "1"),
        (0.9, "0.9", "0.9"),
        (-0.25, "−0.25", "-0.25"),
        (1e-4, "0.0001", "0.0001"),
        (1e-6, "10⁻⁶", "10^{-6}"),
        (-2.5e-7, "−2.5·10⁻⁷", r"-2.5 \cdot 10^{-7}"),
        (1e30, "10³⁰", "10^{30}"),
        (float("inf"), "∞", r"\infty"),
        (0.1 + 0.2, "0.3", "0.3"),
    ],
)
def test_numbers_are_written_as_in_a_paper(value: float, plain: str, tex_form: str):
    assert Terminal().number(value) == plain
    assert Latex().number(value) == tex_form


def test_tables_of_numbers_stand_behind_the_formula():
    assert "step ← orthogonalized(ahead / max(‖ahead‖, ε), JORDAN)" in text(formulas(rules.muon)[0])
    assert text(formulas(rules.muon)[0])[-1] == "JORDAN = 5 × (3.4445, −4.775, 2.0315)"
    assert latex(formulas(rules.muon)[0]).endswith("5 \\times (3.4445, -4.775, 2.0315)\n\\end{aligned}")
    assert r"\quad x \leftarrow \begin{cases} x^\top" in latex(formulas(rules.muon)[0])  # x has a value before
    head, *rows = text(formulas(rules.muon_polar_express)[0])[-6:]
    assert head == "POLAR_EXPRESS:"
    assert rows[0] == "  (8.20516041401, −22.9019349871, 16.4607249102)"


def test_what_when_takes_is_read_where_it_is_taken():
    @rule
    def lazy(p, g, *, t, lr=0.1):
        q = 2 * g

        def later():
            return p - lr * q

        return when(t > 1, later, lambda: p)

    assert text(formulas(lazy)[0]) == ["q ← 2·g", "p ← {p − lr·q if t > 1, else p}"]


# Two rules of the papers, in copies that stay as they are, as they must look in all three notations.


@rule
def adam(p, g, m=zeros, v=zeros, *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam (Kingma & Ba 2015, Algorithm 1)."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    p = p - lr * m_hat / (sqrt(v_hat) + eps)
    return p, m, v


@rule
def lion(p, g, m=zeros, *, lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
    """Lion (Chen et al. 2023, Algorithm 2)."""
    c = beta1 * m + (1 - beta1) * g
    p = p - lr * (sign(c) + weight_decay * p)
    m = beta2 * m + (1 - beta2) * g
    return p, m


def golden() -> str:
    shown = []
    for some in (adam, lion):
        formula = formulas(some)[0]
        shown += [f"# {some.name}", *text(formula), "", latex(formula), "", *mathml(formula), ""]
    return "\n".join(shown)


def test_adam_and_lion_look_as_they_did():
    # A change that is meant: python tests/explain/test_formula_print.py > tests/explain/formulas.golden
    assert golden() == (Path(__file__).parent / "formulas.golden").read_text(encoding="utf-8")


def test_markup_brings_no_inline_style():
    lines = [line for some in rules.all().values() for part in formulas(some) for line in mathml(part)]
    assert any('<mtd class="left">' in line for line in lines)
    assert not any("style=" in line for line in lines)


if __name__ == "__main__":
    print(golden(), end="")
