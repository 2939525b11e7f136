"""Formulas: they compute what the rule computes, and they read as a person would write them."""

import random
from typing import Any

import numpy as np
import pytest

from descend import chain, rules
from descend.core.init import full, number, start, zeros
from descend.core.ops import (
    absolute,
    eigh,
    matmul,
    matrix,
    maximum,
    mean,
    norm,
    shaped,
    sign,
    sqrt,
    total,
    transpose,
    when,
    where,
)
from descend.core.rule import Rule, after, rule
from descend.core.settings import shared
from descend.engines.eager import numpy as _words  # noqa: F401 - teaches the vocabulary arrays
from descend.explain.formula.markup import latex
from descend.explain.formula.print import text
from descend.explain.formula.read import formulas
from descend.explain.formula.run import run
from descend.explain.formula.tree import Name, Tree

CATALOGUE = {**rules.all(), **rules.modifiers()}
ORTHOGONAL = (3.4445, -4.775, 2.0315)
RATE = 0.25


def smoothed(old, new, beta):
    return beta * old + (1 - beta) * new


def quintic(x):
    a, b, c = ORTHOGONAL
    y = x * x
    return a * x + (b * y + c * y * y) * x


# What the catalogue may bring: every construct of a rule's text at least once.


@rule
def everything(p, g, m=zeros, prev=zeros, x0=start, d=number, *, t, lr=0.1, beta1=0.9, gamma=0.5, k=2.0):
    """Everything."""
    same = sign(g) * sign(prev) > 0
    grew = (absolute(g) > absolute(prev)) & ~(g == 0) | (t <= 1)
    m = where(same, smoothed(m, g, beta1), where(grew, m, -m)) * same
    d_new = maximum(d, norm(p - x0) / (1 + abs(d)))
    u = -m / (lr / k) - (p - (g - m)) * -2e-7 / 3
    w = (u + 1) ** 2 * sqrt(sqrt(m * m) + 1) ** 3 / (k / 2) ** 1.5 / (2 + sqrt(k * k))
    p = p - lr * gamma / (1 - beta1**t) * (w - 1e-6 * total(g * g) + mean(m, over="all")) * RATE
    p = (1 - lr * gamma) * p + (0 if t % k == 0 else 1.0) * quintic(m) * (-lr) ** 2
    return p, m, g, x0, d_new


@rule
def swapped(p, g, a=zeros, b=zeros, *, lr=0.1):
    """Swapped."""
    for _ in range(3):
        a = a + lr * b
    b_old = b
    b = b + g
    step = lr * a
    step += a
    return p - step, b, a - b_old


def both(p, g, m, lr, beta):
    m = smoothed(m, g, beta)
    return p - lr * m, m


@rule
def at_once(p, g, m=zeros, *, lr=0.1, beta=0.9):
    """At once."""
    return both(p, g, m, lr, beta=beta)


@rule
def whole(p, g, L=full("eps", "left"), *, t, lr=0.1, eps=0.1):
    """Whole matrices."""
    G = matrix(g)
    L = L + matmul(G, transpose(G))
    values, U = eigh(L)
    root = when(t > 1, lambda: matmul(U / sqrt(maximum(values, eps)), transpose(U)), lambda: L)
    for _ in range(2):
        H = transpose(matmul(G, transpose(G)))
        G = 1.5 * G - 0.5 * matmul(H, G) / norm(H)
    p = p - lr * shaped(matmul(root, G), p)
    return p, L


@after
def careful(p, q, g, s=zeros, *, lr=shared, keep=0.5):
    """Careful."""
    step = q - p
    s = keep * s + step
    return p + where(step * g < 0, s, 0.0) / (1 + lr), s


ZOO = {
    "whole": whole,
    "careful": careful,
    **CATALOGUE,
    "everything": everything,
    "swapped": swapped,
    "at_once": at_once,
}


def names_in(x: Tree) -> set[Name]:
    return {x} if isinstance(x, Name) else {n for a in getattr(x, "args", ()) for n in names_in(a)}


def arguments(some: Rule, seed: int, arrays: bool) -> dict[str, Any]:
    """Values for every argument of a rule: away from zero, of both signs, settings unlike their defaults."""
    draw = random.Random(seed)
    grid = np.random.default_rng(seed)

    def value(shape: tuple[int, ...], low: float) -> Any:
        return grid.uniform(low, 1, shape) if arrays and shape else draw.uniform(low, 1)

    low = (-1, 0.1)[seed % 2]  # roots of states are NaN in half of the draws only
    state = {s.name: value(s.init.shape_for((3, 4)), low) for s in some.slots}
    settings = {n: draw.uniform(0.1, 0.9) for n, d in some.settings.items()}
    first = {name: value((3, 4), -1) for name in ("p", "q", "g")}
    return {**first, **state, **settings, "t": draw.randint(1, 4)}


def called(some: Rule, values: dict[str, Any]) -> list[Any]:
    """What the rule itself makes of the values."""
    names = ["p", "q", "g"] if some.kind == "after" else ["p", "g"]
    arrays = [values[name] for name in (*names, *(s.name for s in some.slots))]
    arrays = [np.copy(x) if isinstance(x, np.ndarray) else x for x in arrays]
    return list(some.apply(*arrays, t=values["t"], **{name: values[name] for name in some.settings}))


def computed(some: Rule, values: dict[str, Any]) -> list[Any]:
    """What its formula makes of them."""
    env = dict(values)
    for line, new in run(formulas(some)[0], values):
        env.update(zip((target.name for target in line.targets), new, strict=True))
    first = {"rule": "p", "before": "g", "after": "q"}[some.kind]
    return [env[name] for name in (first, *(s.name for s in some.slots))]


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("arrays", [False, True], ids=["numbers", "arrays"])
def test_the_formula_computes_what_the_rule_computes(name: str, arrays: bool):
    some = ZOO[name]
    for seed in range(20):
        values = arguments(some, seed, arrays)
        with np.errstate(all="ignore"):
            try:
                wanted = called(some, values)
            except KeyError as error:
                pytest.skip(f"no word {error} for " + ("arrays" if arrays else "plain numbers"))
            for got, want in zip(computed(some, values), wanted, strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-11)


@pytest.mark.parametrize("name", ZOO)
def test_an_index_says_which_value_is_meant(name: str):
    values = arguments(ZOO[name], seed=1, arrays=True)
    now, assigned = dict(values), set()
    with np.errstate(all="ignore"):
        log = run(formulas(ZOO[name])[0], values)
    for line, new in log:
        for x in names_in(line.value):
            if x.when == "old":
                assert now[x.name] is values[x.base], f"{x.name} is no longer {x.base} of step t-1"
            elif x.when == "now" and x.base not in ("g", "q"):
                assert x.base in assigned or line.again, f"{x.base} has no value of step t yet"
        for target, value in zip(line.targets, new, strict=True):
            now[target.name] = value
            assigned.add(target.name)


def test_the_example_of_every_construct():
    assert text(formulas(everything)[0]) == EVERYTHING.strip().split("\n")


EVERYTHING = """
same ← sign(g)·sign(prev) > 0
grew ← |g| > |prev| ∧ ¬(g = 0) \u2228 t ≤ 1
m ← {smoothed(m, g, β₁) if same, m if grew, else −m}·same
d_new ← max(d, ‖p − x₀‖ / (1 + |d|))
u ← −m / (lr / k) + (p − (g − m))·2·10⁻⁷ / 3
w ← (u + 1)²·(√(√(m²) + 1))³ / ((k / 2)^1.5·(2 + √(k²)))
p ← p − lr·γ / (1 − β₁ᵗ) · (w − 10⁻⁶·Σ(g²) + meanₐₗₗ(m))·0.25
p ← (1 − lr·γ)·p + {0 if t mod k = 0, else 1}·quintic(m)·(−lr)²
prev ← g
d ← d_new
smoothed(old, new, β) = β·old + (1 − β)·new
quintic(x):
  a, b, c ← 3.4445, −4.775, 2.0315
  y ← x²
  quintic(x) = a·x + (b·y + c·y²)·x
"""


def test_a_chain_is_shown_stage_by_stage():
    shown = [(part.name, text(part)) for part in formulas(chain(rules.clip_norm, rules.gradient_descent))]
    assert shown == [
        ("clip_norm", ["g ← g·min(max_norm / (‖g‖ₐₗₗ + 10⁻⁶), 1)"]),
        ("gradient_descent", ["p ← p − lr·g"]),
    ]


def test_the_point_of_the_gradient_is_part_of_the_formula():
    assert text(formulas(rules.nesterov_lookahead)[0])[0] == "g ← ∇f(p + μ·v)"


def test_a_second_name_for_an_old_value_is_the_old_value_with_its_index():
    @rule
    def rewritten(p, g, v=zeros, *, lr=0.1, momentum=0.9):
        v_prev = v
        v = momentum * v - lr * g
        p = p - momentum * v_prev + (1 + momentum) * v
        return p, v

    shown = latex(formulas(rewritten)[0])
    assert "prev" not in shown
    assert r"- \mu\,v_{t-1} + (1 + \mu)\,v_t" in shown


def test_a_rule_without_text_says_so():
    scope: dict[str, Any] = {"rule": rule}
    exec("@rule\ndef typed(p, g, *, lr=0.1):\n    return p - lr * g", scope)
    with pytest.raises(OSError, match="source"):
        formulas(scope["typed"])
