"""What ``switch(..., plan=True)`` says, and that it does nothing."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from switching import feed, parameters, same, snapshot

import descend.torch as ours
from descend.torch import SGD, AdamW, switch


def run(cls=AdamW, steps=3, **settings):
    params = parameters()
    opt = cls(params, **settings)
    feed(opt, params, 0, steps)
    return opt, params


@pytest.mark.parametrize(("cls", "to", "settings"), [
    (AdamW, "sgd", {"lr": 0.1}), (AdamW, "amsgradw", {}), (ours.NesterovLookahead, "nesterov_rewritten", {}),
    (ours.ScheduleFreeAdamW, "adam", {"lr": 0.1, "at": "shipped"}), (SGD, "ftrl", {"lr": 0.1}),
])  # fmt: skip
def test_a_plan_changes_nothing_and_says_what_is_done(cls, to, settings, capsys):
    opt, params = run(cls)
    before = snapshot(opt, params)
    plan = switch(opt, to, plan=True, **settings)
    assert same(before, snapshot(opt, params))
    printed = capsys.readouterr().out
    assert [line.rstrip() for line in printed.splitlines()] == plan.text(80).splitlines()
    new = switch(opt, to, **settings)
    names = {name for entries in new.state.values() for name in entries} - {"step"}
    assert {name for name, *_ in plan.state} >= names
    twin = copy.deepcopy(new)
    assert twin.steps == 3


@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
def test_a_plan_fits_its_terminal(width):
    opt, _ = run(clip_norm=1.0)
    text = switch(opt, "sgd", lr=0.1, plan=True).text(width)
    assert max(map(len, text.splitlines())) <= width
    squeezed = "".join(text.split())
    for word in ("momentum_buffer", "exp_avg_sq", "0.1", "given"):
        assert word in squeezed, (width, text)


def test_a_plan_says_where_groups_differ_and_what_is_lost():
    a, b = parameters(shapes=((3, 2),)), parameters(shapes=((4,),))
    opt = AdamW([{"params": a, "initial_lr": 1.0}, {"params": b, "betas": (0.8, 0.99)}], lr=1e-3)
    feed(opt, a, 0, 2)
    text = str(switch(opt, "sgd", lr=0.1, plan=True))
    for words in (
        "AdamW (adamw) → SGD (momentum_accumulation)", "momentum of group 0", "0.8", "a mean becomes a sum",
        "1 tensors have no state yet", "Dropped from the groups: initial_lr", "attach a new one", "exp_avg_sq",
        "Schedules go on at step 2.", "0.01 was decoupled, this is L2",
    ):  # fmt: skip
        assert words in text, words
    text = str(switch(opt, "adabelief", plan=True))
    assert "exp_avg_var cannot be known from adamw" in text
    assert "begins anew, from step 0" in text


def test_the_plan_in_the_documentation_is_the_one_that_is_printed():
    page = (Path(__file__).parents[3] / "docs" / "switch.md").read_text(encoding="utf-8")
    shown = page.split("```text\n")[1].split("```")[0]
    params = parameters(shapes=((3, 2), (2,)))
    opt = AdamW(params, lr=1e-3, clip_norm=1.0)
    feed(opt, params, 0, 100)
    assert switch(opt, "sgd", lr=0.1, plan=True).text() + "\n" == shown
