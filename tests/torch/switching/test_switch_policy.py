"""Switches at given steps: a policy that looks like an optimizer."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from switching import feed, parameters, same
from torch.nn import Parameter

import descend.torch as ours
from descend.schedules import linear
from descend.torch import AdamW, switch_at

PLAN = {4: ("sgd", {"lr": 0.1}), 8: "nesterov_accumulation", 2: "amsgradw"}


def test_switches_come_at_their_steps():
    params, twins = parameters(), parameters()
    opt = switch_at(AdamW(params), PLAN)
    names = []
    for i in range(10):
        feed(opt, params, i, 1)
        names.append(type(opt.optimizer).__name__)
    assert names == ["AdamW"] * 2 + ["AMSGradW"] * 2 + ["SGD"] * 4 + ["NesterovAccumulation"] * 2
    assert opt.steps == 10
    by_hand = AdamW(twins)
    feed(by_hand, twins, 0, 2)
    by_hand = ours.switch(by_hand, "amsgradw")
    feed(by_hand, twins, 2, 2)
    by_hand = ours.switch(by_hand, "sgd", lr=0.1)
    feed(by_hand, twins, 4, 4)
    by_hand = ours.switch(by_hand, "nesterov_accumulation")
    feed(by_hand, twins, 8, 2)
    assert same([p.detach() for p in params], [p.detach() for p in twins])


@pytest.mark.parametrize("stop", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("loaded_after", [0, 6])
def test_a_policy_resumes_at_any_stage_from_any_stage(stop, loaded_after):
    whole, half = parameters(), parameters()
    a, b = switch_at(AdamW(whole), PLAN), switch_at(AdamW(half), PLAN)
    feed(a, whole, 0, 12)
    feed(b, half, 0, stop)
    saved, at = pickle.loads(pickle.dumps(b.state_dict())), [p.detach().clone() for p in half]
    other = parameters(seed=5)
    c = switch_at(AdamW(other), PLAN)
    feed(c, other, 50, loaded_after)
    with torch.no_grad():
        for p, s in zip(other, at, strict=True):
            p.copy_(s)
    c.load_state_dict(saved)
    assert c.steps == stop
    assert c.stage == b.stage
    feed(c, other, stop, 12 - stop)
    assert same([p.detach() for p in whole], [p.detach() for p in other])
    assert same(a.state_dict(), c.state_dict())


def test_a_bad_checkpoint_changes_nothing():
    params = parameters()
    opt = switch_at(AdamW(params), PLAN)
    feed(opt, params, 0, 5)
    before = copy.deepcopy(opt.state_dict())
    inner = opt.optimizer
    wrong = copy.deepcopy(before)
    wrong["policy"]["stage"] = 3
    wrong["param_groups"].append(wrong["param_groups"][0])
    for bad, says in (
        (opt.optimizer.state_dict(), "no checkpoint of a switching policy"), (7, "no checkpoint of a switching policy"),
        ({**before, "policy": {"stage": 9}}, "has 3 switches"), ({**before, "policy": {}}, "with its 'stage'"),
        (wrong, "different number of parameter groups"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            opt.load_state_dict(bad)  # pyright: ignore[reportArgumentType]
        assert opt.optimizer is inner
        assert same(before, opt.state_dict())
    feed(opt, params, 5, 1)


def test_a_policy_is_an_optimizer_to_its_loop():
    params = parameters()
    opt = switch_at(AdamW(params), {2: ("sgd", {"lr": 0.1})})
    assert issubclass(type(opt), torch.optim.Optimizer)
    assert opt.param_groups is opt.optimizer.param_groups
    calls = []
    feed(opt, params, 0, 3)
    assert opt.step(lambda: calls.append(1) or 3.0) == 3.0
    assert calls == [1]
    assert opt.state is opt.optimizer.state
    assert opt.defaults["lr"] == 0.1
    assert opt.engine == "llvm"
    opt.zero_grad()
    assert all(p.grad is None for p in params)
    assert "stage 1 of 1" in repr(opt)
    extra = Parameter(torch.zeros(2, dtype=torch.float64))
    opt.add_param_group({"params": [extra]})
    assert opt.param_groups[1]["lr"] == 0.1
    twin = pickle.loads(pickle.dumps(opt))
    assert same(twin.state_dict(), opt.state_dict())


def test_a_scheduler_of_torch_is_warned_of():
    params = parameters()
    opt = switch_at(AdamW(params), {1: ("sgd", {"lr": 0.1})})
    torch.optim.lr_scheduler.StepLR(opt, 1)
    feed(opt, params, 0, 1)
    with pytest.warns(UserWarning, match="scheduler of torch"):
        feed(opt, params, 1, 1)


@pytest.mark.parametrize(("at", "error", "says"), [
    ({5: "sgd"}, ValueError, "needs lr="), ({2: "amsgradw", 5: "sgd"}, ValueError, "needs lr="),
    ({}, TypeError, "step: rule"), ([1], TypeError, "step: rule"), ({-1: "adam"}, ValueError, "whole number"),
    ({1.5: "adam"}, ValueError, "whole number"), ({True: "adam"}, ValueError, "whole number"),
    ({3: ("adam", 7)}, TypeError, "rule, settings"), ({3: ("adam", {"plan": True})}, TypeError, "rule, settings"),
    ({3: "adan_"}, ValueError, "needs lr="), ({3: "adma"}, ValueError, "Did you mean"),
])  # fmt: skip
def test_a_plan_that_would_fail_later_fails_now(at, error, says):
    params = parameters()
    opt = AdamW(params)
    with pytest.raises(error, match=says):
        switch_at(opt, at)
    feed(opt, params, 0, 1)


def test_the_optimizer_before_a_loaded_stage_steps_no_more():
    params = parameters()
    first = AdamW(params)
    opt = switch_at(first, {1: ("sgd", {"lr": 0.1})})
    feed(opt, params, 0, 2)
    saved, other = copy.deepcopy(opt.state_dict()), AdamW(params)
    again = switch_at(other, {1: ("sgd", {"lr": 0.1})})
    again.load_state_dict(saved)
    with pytest.raises(RuntimeError, match="SGD of a checkpoint"):
        other.step()


@pytest.mark.parametrize(
    ("first", "settings", "plan"),
    [
        ("SGD", {"lr": 0.1}, {10: "adamw"}),
        ("AdamW", {}, {5: ("sgd", {"lr": 0.1, "momentum": 0.0}), 10: "adam"}),
        ("SGD", {"lr": 0.1, "momentum": 0.9}, {5: ("adamw", {"lr": 1e-3}), 10: "nadam"}),
    ],
    ids=["no count", "no count in the middle", "begun anew"],
)
def test_a_checkpoint_knows_the_steps_that_no_rule_counted(first, settings, plan):
    plan = {step: (rule, {"lr": 1e-3}) if isinstance(rule, str) else rule for step, rule in plan.items()}
    whole, half = parameters(), parameters()
    a, b = (switch_at(getattr(ours, first)(of, **settings), plan) for of in (whole, half))
    feed(a, whole, 0, 15)
    feed(b, half, 0, 8)
    again = switch_at(getattr(ours, first)(half, **settings), plan)
    again.load_state_dict(copy.deepcopy(b.state_dict()))
    assert (again.steps, again.stage) == (8, b.stage)
    feed(again, half, 8, 7)
    assert (again.steps, again.stage) == (15, a.stage)
    assert same([p.detach() for p in whole], [p.detach() for p in half])


def test_state_that_cannot_be_converted_ends_no_run():
    """A velocity says nothing of the gradients where lr is 0, as at the end of a schedule."""
    params = parameters()
    velocity = ours.MomentumVelocity(params, lr=0.1 * linear(4), momentum=0.9)
    opt = switch_at(velocity, {4: ("sgd", {"lr": 0.1, "momentum": 0.9})})
    feed(opt, params, 0, 4)
    with pytest.warns(UserWarning, match="step 4: SGD begins without state: average of gradients"):
        feed(opt, params, 4, 1)
    assert (opt.stage, opt.steps) == (1, 5)
    by_hand = ours.MomentumVelocity(params, lr=0.0, momentum=0.9)
    feed(by_hand, params, 0, 1)
    with pytest.raises(ValueError, match=r"from MomentumVelocity to SGD, parameter 0 of group 0: .*carry=False"):
        ours.switch(by_hand, "sgd", lr=0.1)


@pytest.mark.parametrize("tool", ["overfit_one_batch", "find_lr"])
@pytest.mark.parametrize("policy", ["swats", "switch_at"])
@pytest.mark.filterwarnings("ignore")
def test_a_trial_in_which_it_switches_leaves_it_unswitched(tool, policy):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    x, y = torch.randn(64, 6), torch.randint(0, 3, (64,))
    adam = ours.Adam(model.parameters(), lr=1e-2)
    opt = ours.swats(adam, eps=1e-2) if policy == "swats" else switch_at(adam, {5: ("sgd", {"lr": 0.1})})
    before = copy.deepcopy(model.state_dict())
    if tool == "find_lr":
        few = {"steps": 30, "repeats": 2, "probes": 2, "probe_steps": 10}
        ours.find_lr(model, opt, torch.nn.functional.cross_entropy, [(x[:32], y[:32]), (x[32:], y[32:])], **few)
    else:
        ours.overfit_one_batch(model, opt, torch.nn.functional.cross_entropy, (x, y))
    assert opt.optimizer is adam
    assert opt.stage == opt.steps == 0
    assert same(dict(before), dict(model.state_dict()))
    torch.nn.functional.cross_entropy(model(x), y).backward()
    opt.step()
    assert opt.steps == 1
