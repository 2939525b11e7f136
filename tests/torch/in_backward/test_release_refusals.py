"""What step_in_backward refuses, by name and before anything is touched; what a failing pass leaves behind."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from test_release import Net, both, everything, loss, ordinary, released
from torch import nn
from torch.utils.checkpoint import checkpoint
from twins import bits

import descend.torch as ours
from descend import chain, rules
from descend.torch import step_in_backward
from descend.torch.in_backward.norm import takes_totals

TOTALS = ("prodigy", "dadapt_sgd", "dadapt_adam", "dog", "dowg")


@pytest.mark.parametrize("name", [name for name in rules.all() if rules.all()[name].kind == "rule"])
def test_rules_with_totals_are_refused_by_name_and_no_others(name):
    rule = rules.all()[name]
    assert takes_totals(rule) is (name in TOTALS)
    if takes_totals(rule):
        with pytest.raises(ValueError, match=rf"{name} cannot be stepped tensor by tensor.*ordinary class"):
            step_in_backward(Net(), rule)


@pytest.mark.parametrize("rule", [rules.adamw, rules.muon])
def test_a_chain_with_a_global_norm_is_refused_and_told_what_to_do(rule):
    model = Net()
    with pytest.raises(ValueError, match=r"clip_norm\+.*cannot.*measure\(\)"):
        step_in_backward(model, chain(rules.clip_norm(1.0), rule))
    loss(model, 0).backward()
    assert model.head.weight.grad is not None  # no hook was left behind


def test_a_look_ahead_rule_is_refused():
    name = next(n for n, r in rules.all().items() if r.gradient_point is not None)
    with pytest.raises(ValueError, match=f"{name} wants its gradient at another point"):
        step_in_backward(Net(), rules.all()[name])


@pytest.mark.parametrize(
    ("what", "settings", "error", "says"),
    [
        (torch.optim.AdamW, {}, TypeError, "descend.torch"),
        ("adamw", {}, TypeError, "rule or a class"),
        (ours.RuleOptimizer, {}, TypeError, "rule or a class"),
        (ours.AdamW, {"accumulate": 0}, ValueError, "accumulate must be"),
        (ours.AdamW, {"accumulate": True}, ValueError, "accumulate must be"),
        (ours.AdamW, {"lr": -1.0}, ValueError, "learning rate"),
        (ours.AdamW, {"lrr": 1.0}, TypeError, "lrr"),
    ],
)
def test_arguments_are_refused_by_name(what, settings, error, says):
    with pytest.raises(error, match=says):
        step_in_backward(Net(), what, **settings)


def unchanged_by(opt, model, call, match):
    before = everything(opt, model)
    with pytest.raises(RuntimeError, match=match):
        call()
    assert everything(opt, model) == before
    opt.zero_grad()


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_passes_that_cannot_be_right_are_refused_and_change_nothing():
    (opt, model), theirs = both("adamw")
    released(opt, model, range(2))
    unchanged_by(opt, model, lambda: loss(model, 2).backward(create_graph=True), "create_graph=True")

    def nested():
        x = torch.randn(2, 16, requires_grad=True)
        checkpoint(model.shared, x, use_reentrant=True).sum().backward()

    unchanged_by(opt, model, nested, "use_reentrant=False")

    def elsewhere():
        with opt.shipped():
            loss(model, 2).backward()

    unchanged_by(opt, model, elsewhere, "leave the block")
    released(opt, model, range(2, 4))
    ordinary(*theirs, range(4))
    assert everything(opt, model) == everything(*theirs)


def test_checkpointing_without_reentrance_has_the_ordinary_bits():
    (opt, model), (plain, twin) = both("adamw")
    for m in (model, twin):
        inner = m.shared.forward
        m.shared.forward = lambda x, inner=inner: checkpoint(inner, x, use_reentrant=False)
    released(opt, model, range(3))
    ordinary(plain, twin, range(3))
    assert everything(opt, model) == everything(plain, twin)


def test_a_second_pass_through_a_graph_of_old_parameters_is_refused_by_torch():
    opt = step_in_backward(model := Net(), ours.SGD, lr=0.1)
    value = loss(model, 0)
    value.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()
    assert opt.steps == 1


def test_a_grad_scaler_is_refused():
    opt = step_in_backward(model := Net(), ours.SGD, lr=0.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale(loss(model, 0)).backward()
    with pytest.raises(RuntimeError, match="GradScaler"):
        scaler.step(opt)


def test_copies_and_second_owners_are_refused():
    opt = step_in_backward(model := Net(), ours.SGD)
    for copied in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="state_dict"):
            copied(opt)
    with pytest.raises(ValueError, match=r"'conv.weight' \(group 0, parameter 0\) is stepped.*another"):
        step_in_backward(model, ours.SGD)
    other = step_in_backward(nn.Linear(2, 2), ours.SGD)
    with pytest.raises(ValueError, match=r"stepped.*another"):
        other.add_param_group({"params": [("conv.weight", model.conv.weight)]})
    assert len(other.param_groups) == 1
    assert bits(copy.deepcopy(model).head.weight) == bits(model.head.weight)
    opt.remove()
    step_in_backward(model, ours.SGD).remove()


def test_an_object_that_is_dropped_frees_its_state_and_is_missed_aloud():
    model = Net()
    opt = step_in_backward(model, ours.AdamW)
    released(opt, model, range(2))
    gone, state = weakref.ref(opt), weakref.ref(opt.state[model.head.weight]["exp_avg"])
    del opt
    assert gone() is None  # at once, without the garbage collector
    gc.collect()
    assert state() is None
    with pytest.raises(RuntimeError, match="keep it"):
        loss(model, 0).backward()
    model.zero_grad()
    loss(model, 0).backward()  # said once
    assert model.head.weight.grad is not None
    model.zero_grad()
    step_in_backward(model, ours.AdamW)
    opt = step_in_backward(model, ours.AdamW)  # in the place of the dropped one
    released(opt, model, range(2))
    assert opt.steps == 2
