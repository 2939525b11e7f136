"""Every rule to every other: what is carried is what the target would have had, and no step is wild."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from switching import feed, parameters, same, snapshot
from torch.nn import Parameter

from descend import rules
from descend.core.rule import Rule
from descend.rules.state import meaning
from descend.torch import optimizer, switch
from descend.torch.switching.handover import Handover, base
from descend.torch.switching.rule import Switch

ALL = rules.all()
NAMES = [name for name in ALL if not name.endswith("_vector")]


def given(rule, lr=1e-3) -> dict[str, Any]:
    return {"lr": lr} if "lr" in rule.settings else {}


def hands(switching: Switch) -> list[tuple[torch.Tensor, Handover]]:
    return [(p, group.hand(p)) for group in switching.groups for p in group.params]


def fresh(rule: Rule, settings: dict[str, Any]) -> tuple[Any, list[Parameter]]:
    params = parameters(shapes=((4, 3), (5,)))
    return optimizer(rule)(params, engine="torch", **settings), params


@functools.cache
def from_the_start(target: Rule, settings: tuple[tuple[str, Any], ...]) -> tuple[list[dict[str, Any]], float]:
    """A run of the target from the first gradient on: its state after seven steps, and the longest of eight."""
    opt, params = fresh(target, dict(settings))
    longest, state = 0.0, []
    for i in range(8):
        at = [p.detach().clone() for p in params]
        feed(opt, params, i, 1)
        longest = max(longest, *(float((p.detach() - s).norm()) for p, s in zip(params, at, strict=True)))
        if i == 6:
            state = [copy.deepcopy(opt.state[p]) for p in params]
    return state, longest


@functools.cache
def trained(one: str) -> tuple[Any, list[Parameter]]:
    opt, params = fresh(ALL[one], given(ALL[one]))
    feed(opt, params, 0, 7)
    return opt, params


def check(one: str, other: str) -> None:
    """Seven steps of one rule, then the other."""
    target = ALL[other]
    opt, params = copy.deepcopy(trained(one))
    before = snapshot(opt, params)
    switching = Switch(opt, target, "trained", True, given(target))
    assert same(before, snapshot(opt, params))
    new = switch(opt, target, **given(target))

    # The target from the first gradient on, with the decays that it has now.
    group = new.param_groups[0]
    settings = {k: v for k, v in group.items() if k in new.spec.settings and k != "clip_norm"}
    states, limit = from_the_start(target, tuple(settings.items()))
    for (p, hand), there in zip(hands(switching), states, strict=True):
        assert bool(new.state.get(p)) == (hand.made_up or any(m.source for m in hand.moves))
        if hand.anew:
            assert float(new.state.get(p, {}).get("step", 0)) == 0
            continue
        for move in hand.moves:
            if move.source is None or move.source.meaning.what not in (meaning.GRADIENT, meaning.SQUARE):
                continue
            a, b = move.source.meaning, move.to.meaning
            if {a.form, b.form} & {"first", "same"} or a.late or hand.a[a.decay] != hand.b[b.decay]:
                continue
            if hand.conversion and b.form == "velocity":  # the way goes on at the old lr, whatever the new one
                continue
            name = move.to.slot.saved_as
            torch.testing.assert_close(new.state[p][name], there[name], rtol=1e-12, atol=1e-14, msg=name)

    # Its steps show how long a step of this rule may be.
    starts = [p.detach().clone() for p in params]
    feed(new, params, 7, 1)
    length = max(float((p.detach() - s).norm()) for p, s in zip(params, starts, strict=True))
    assert all(torch.isfinite(p).all() for p in params)
    if (one, other) != ("schedule_free_adamw", "schedule_free_radam"):  # weights of AdamW's steps, larger at first
        assert length <= 3 * limit + 1e-9, (length, limit)
    feed(new, params, 8, 3)
    assert all(torch.isfinite(p).all() for p in params)


@pytest.mark.parametrize("one", [pytest.param(n, marks=[pytest.mark.slow] * (i % 20 > 0)) for i, n in enumerate(NAMES)])
def test_a_rule_to_every_other(one):
    wrong = []
    for other in NAMES:
        try:
            check(one, other)
        except Exception as error:
            wrong.append((other, type(error).__name__, str(error)[:120]))
    assert wrong == []


def test_every_name_in_the_table_is_a_rule_with_these_slots_and_settings():
    for name, slots in meaning.MEANINGS.items():
        rule = ALL[name]
        assert set(slots) <= {slot.name for slot in rule.slots}, name
        for one in slots.values():
            assert one.decay in ("", *rule.settings), (name, one)
            if isinstance(one.begins, str) and one.begins not in ("anew", "own"):
                assert one.begins in slots, (name, one)


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_to_itself_keeps_every_bit(name):
    params, twins = parameters(), parameters()
    opt = optimizer(ALL[name])(params, engine="torch")
    twin = optimizer(ALL[name])(twins, engine="torch")
    feed(opt, params, 0, 4)
    feed(twin, twins, 0, 4)
    new = switch(opt, ALL[name])
    assert same(new.state_dict(), twin.state_dict())
    feed(new, params, 4, 4)
    feed(twin, twins, 4, 4)
    assert same([p.detach() for p in params], [p.detach() for p in twins])
    assert same(new.state_dict(), twin.state_dict())


_THERE_AND_BACK = [
    ("adam", "adamw"), ("adamw", "radamw"), ("adamw", "amsgradw"), ("adam", "lamb"), ("adam", "grams"),
    ("momentum_accumulation", "nesterov_accumulation"), ("momentum_velocity", "nesterov_rewritten"),
    ("signum", "tiger"),
    ("rmsprop", "rmsprop_momentum"), ("adagrad", "adagrad_eps_inside"), ("adam", "nadam"), ("adam", "ademamix"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), _THERE_AND_BACK)
def test_there_and_back_is_as_if_nothing_had_been(one, other):
    params, twins = parameters(), parameters()
    opt, twin = optimizer(ALL[one])(params, engine="torch"), optimizer(ALL[one])(twins, engine="torch")
    feed(opt, params, 0, 5)
    feed(twin, twins, 0, 5)
    between = switch(opt, ALL[other], lr=1e-3)
    back = switch(between, ALL[one], lr=twin.defaults["lr"])
    assert same(back.state_dict(), twin.state_dict())
    feed(back, params, 5, 3)
    feed(twin, twins, 5, 3)
    assert same([p.detach() for p in params], [p.detach() for p in twins])


def test_base_is_the_rule_of_a_chain():
    from descend import chain

    assert base(chain(rules.clip_tensor(1.0), rules.adam, rules.cautious)) is rules.adam
