"""The two-pass form: the norm of all gradients first, the steps in a second pass over the same graph."""

import math

import pytest
import torch
from test_release import Net, bits, both, class_of, everything, groups_of, loss, ordinary, released
from torch import nn

import descend.torch as ours
from descend import rules
from descend.stepping import NonFiniteGradient
from descend.torch import step_in_backward

CASES = {
    "adamw": (ours.AdamW, {"lr": 0.01}),
    "sgd": (ours.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    "adafactor": (ours.Adafactor, {}),
    "muon": (rules.muon, {}),
    "torch": (ours.AdamW, {"engine": "torch"}),
    "numpy": (ours.AdamW, {"engine": "numpy"}),
}


def pair(case, model=Net, **more):
    cls, settings = CASES[case]
    mine, theirs = model(), model()
    settings = {**settings, **more}
    opt = step_in_backward(groups_of(mine), cls, **settings)
    return (opt, mine), (class_of(cls)(groups_of(theirs), **settings), theirs)


def twice(opt, model, passes):
    for i in passes:
        value = loss(model, i)
        with opt.measure() as found:
            value.backward(retain_graph=True)
        assert all(p.grad is None for p in model.parameters())
        value.backward()
    return found


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("limit", [1e-3, 0.5])
def test_clipped_by_the_global_norm_with_the_ordinary_bits(case, limit):
    mine, theirs = pair(case, lambda: Net(torch.float64 if case == "numpy" else torch.float32), clip_norm=limit)
    twice(*mine, range(5))
    ordinary(*theirs, range(5))
    assert everything(*mine) == everything(*theirs)


def test_a_large_tensor_of_many_chunks_and_a_policy():
    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.a = nn.Parameter(torch.randn(300, 700))
            self.b = nn.Parameter(torch.randn(70_001))

        def forward(self, x, seldom=False):
            return (self.a**2).sum() * 0.1 + (self.b**3).mean() + x.sum()

    mine, theirs = pair("adamw", Large, clip_norm=0.1, nonfinite="skip")
    twice(*mine, range(3))
    ordinary(*theirs, range(3))
    assert everything(*mine) == everything(*theirs)


def test_the_norm_is_reported_and_groups_clip_for_themselves():
    model = Net()
    groups = groups_of(model)
    groups[0]["clip_norm"] = 0.01
    opt = step_in_backward(groups, ours.SGD)
    plain = ours.SGD(groups_of(twin := Net()))
    plain.param_groups[0]["clip_norm"] = 0.01
    found = twice(opt, model, range(1))
    loss(twin, 0).backward()
    whole = torch.nn.utils.get_total_norm([p.grad for p in twin.parameters() if p.grad is not None])
    assert math.isclose(found.norm, float(whole), rel_tol=1e-6)
    plain.step()
    assert everything(opt, model) == everything(plain, twin)


@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_gradient_skips_or_raises_as_a_whole(bad, clip_norm):
    for policy in ("skip", "raise"):
        opt = step_in_backward(model := Net(), ours.AdamW, nonfinite=policy, clip_norm=clip_norm)
        twice(opt, model, range(2))
        before = everything(opt, model)
        value = loss(model, 2) + model.conv.bias.sum() * bad
        if policy == "raise":
            with pytest.raises(NonFiniteGradient), opt.measure():
                value.backward(retain_graph=True)
            with pytest.raises(RuntimeError, match=r"opt.measure\(\)"):
                value.backward()
        else:
            with opt.measure() as found:
                value.backward(retain_graph=True)
            assert not found.finite
            value.backward()
            assert opt.skipped == 1
            assert all(p.grad is None for p in model.parameters())
        assert everything(opt, model) == before
        opt.zero_grad()
        twice(opt, model, range(3, 4))
        assert opt.steps == 3


def test_a_step_without_its_measurement_is_refused():
    (opt, model), _ = pair("adamw", clip_norm=1.0)
    before = everything(opt, model)
    with pytest.raises(RuntimeError, match=r"with opt.measure\(\): loss.backward\(retain_graph=True\)"):
        released(opt, model, range(1))
    with pytest.raises(RuntimeError, match="gradients stand already"), opt.measure():
        pass
    opt.zero_grad()
    twice(opt, model, range(1))
    with pytest.raises(RuntimeError, match="measure"):  # a measurement serves one step
        released(opt, model, range(1))
    opt.zero_grad()
    with pytest.raises(RuntimeError, match="no backward pass"), opt.measure():
        pass
    with pytest.raises(RuntimeError, match="add the losses up"), opt.measure():
        released(opt, model, range(2))
    opt.zero_grad()
    assert opt.steps == 1
    assert everything(opt, model)[0] != before[0]


def test_another_backward_than_the_measured_one_is_refused():
    opt = step_in_backward(model := nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), ours.SGD, clip_norm=1.0)
    with opt.measure():
        model[1](torch.ones(1, 2)).sum().backward()
    with pytest.raises(RuntimeError, match=r"'0.bias'.*had none inside measure|'0.weight'.*had none inside measure"):
        model(torch.ones(1, 2)).sum().backward()


def test_accumulation_is_refused_for_it():
    (opt, _), _ = both("adamw", accumulate=2, clip_norm=1.0)
    with pytest.raises(RuntimeError, match="accumulation"), opt.measure():
        pass


def test_measuring_for_its_own_sake_leaves_the_step_alone():
    mine, theirs = pair("adamw")
    assert twice(*mine, range(2)).norm > 0
    ordinary(*theirs, range(2))
    assert everything(*mine) == everything(*theirs)
    assert bits(mine[1].head.weight) == bits(theirs[1].head.weight)
