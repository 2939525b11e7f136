"""Formulas: they compute what the rule computes, and they read as a person would write them."""

import random
from typing import Any

import numpy as np
import pytest

from descend import chain, rules
from descend.core.formula_markup import latex, mathml
from descend.core.formula_print import text
from descend.core.formula_read import formulas
from descend.core.formula_run import run
from descend.core.ops import absolute, maximum, mean, norm, sign, sqrt, total, where
from descend.core.rule import Rule, number, rule, start, zeros
from descend.core.symbols import glyph
from descend.engines import numpy as _words  # noqa: F401 - teaches the vocabulary arrays

CATALOGUE = {**rules.all(), **rules.modifiers()}
SHAPE = {"element": (3, 4), "tensor": (), "row": (3, 1), "column": (1, 4)}
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


ZOO = {**CATALOGUE, "everything": everything, "swapped": swapped}


def arguments(some: Rule, seed: int, arrays: bool) -> dict[str, Any]:
    """Values for every argument of a rule: away from zero, of both signs, settings unlike their defaults."""
    draw = random.Random(seed)
    grid = np.random.default_rng(seed)

    def value(shape: tuple[int, ...], low: float) -> Any:
        return grid.uniform(low, 1, shape) if arrays and shape else draw.uniform(low, 1)

    low = (-1, 0.1)[seed % 2]  # roots of states are NaN in half of the draws only
    state = {s.name: value(SHAPE.get(s.init.shape, ()), low) for s in some.slots}
    settings = {n:  draw.uniform(0.1, 0.9) for n, d in some.settings.items()}
    first = {name: value(SHAPE["element"], -1) for name in ("p", "q", "g")}
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
            np.testing.assert_allclose(
                [np.broadcast_to(x, (3, 4)) for x in computed(some, values)],
                [np.broadcast_to(x, (3, 4)) for x in called(some, values)],
                rtol=1e-11,
            )
