"""Steps by hand: those of the rule itself, on one number or on a matrix of four."""

from typing import Any

import numpy as np
import pytest
from test_formula import careful

from descend import chain, rules
from descend.core.rule import rule
from descend.core.settings import shared
from descend.engines.eager import numpy as _words  # noqa: F401 - teaches the vocabulary numbers of NumPy
from descend.explain import facts
from descend.explain.by_hand import by_hand, given, shown
from descend.explain.cost import host, needs_matrix

NAMES = list(facts.catalogue())


@pytest.mark.parametrize("name", NAMES)
def test_steps_by_hand_are_the_steps_of_the_rule(name: str):
    # arrays and numbers of NumPy: a division by zero is infinite there, as in a rule
    some, steps = rules.get(name), by_hand(rules.get(name), 4)
    some = chain(host(some), some) if some.kind == "after" else some
    base = host(some).settings if some.kind == "before" else {}
    settings = {k: np.float64(base[k] if v is shared else v) for k, v in some.settings.items()}
    state: list[Any] = [np.array(steps[0].before[slot.name])[()] for slot in some.slots]
    p: Any = np.array(steps[0].before["p"])[()]
    assert np.shape(p) == ((2, 2) if needs_matrix(some) else ())
    for step in steps:
        for slot, value in zip(some.slots, state, strict=True):
            np.testing.assert_allclose(step.before[slot.name], value, rtol=1e-9)
        with np.errstate(all="ignore"):
            new, *state = some.apply(p, np.array(step.g)[()], *state, t=np.float64(step.t), **settings)
        if some.kind == "before":
            assert (step.p == p).all()
            np.testing.assert_allclose(step.values[-1].value if step.values else step.g, new, rtol=1e-9)
        else:
            p = new
            np.testing.assert_allclose(step.p, p, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_state_by_hand_begins_as_it_is_declared(name: str):
    some = rules.get(name)
    first = by_hand(some)[0]
    named = {**{k: v for k, v in some.settings.items() if v is not shared}, "p": first.before["p"], "g": first.g}
    for slot in some.slots:
        value = np.array(first.before[slot.name])
        fill = np.array(named.get(str(slot.init.fill), slot.init.fill))
        if needs_matrix(some) and slot.init.shape in ("left", "right"):
            fill = fill * np.eye(2)
        assert value.shape == (slot.init.shape_for((2, 2)) if needs_matrix(some) else ())
        assert (value == fill).all()


def test_a_chain_by_hand_passes_gradient_and_point_on():
    linked = chain(rules.negate, rules.decay_l2, rules.adam, careful)
    p, state = 1.0, [0.0, 0.0, 0.0]
    for step in by_hand(linked, 4):
        p, *state = linked.apply(p, step.g, *state, t=step.t, **linked.settings)
        assert step.p == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.1 + 0.2, "0.3"),
        (True, "true"),
        ([1, 0], "[1 0]"),
        ([[1.0], [-0.25]], "[1; −0.25]"),
        ([[1.0, 1e-17], [2 / 3, 1e-6]], "[1 0; 0.66667 10⁻⁶]"),
        ([[float("nan"), float("inf")]], "[NaN ∞]"),
    ],
)
def test_values_are_shown_shortly(value: Any, said: str):
    assert shown(value) == said


def test_what_the_steps_start_with_is_said():
    assert given(rules.adam) == "p = 1, g = 0.5"
    assert given(rules.adam, 4) == "p = 1, g = 0.5, −0.2, 1, …"
    assert given(rules.muon) == "p = [1 −1; 0.5 2], g = [0.5 −0.2; 1 0.3]"
    assert given(rules.muon, 2) == "p = [1 −1; 0.5 2], g = [0.5 −0.2; 1 0.3], …"
    assert given(rules.modifiers()["cautious"]) == "p = 1, g = 0.5; q from gradient_descent"


def test_a_rule_that_takes_neither_number_nor_matrix_says_so():
    @rule
    def only_lists(p, g, *, lr=0.1):
        first = g[0]
        return p - lr * first

    with pytest.raises(TypeError, match="only_lists does not work on a single number"):
        by_hand(only_lists)
