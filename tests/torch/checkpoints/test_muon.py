"""descend.torch.Muon against torch.optim.Muon, which iterates in bfloat16: here it is kept in float64."""

import itertools

import pytest
import torch
from muons import BAR, QUINTIC, STEPS, assert_same, copies, matrices, pair, train
from torch.nn import Parameter
from twins import distance, gradient

from descend.torch import Muon


@pytest.fixture(autouse=True)
def float64_all_the_way(monkeypatch):
    # a copy, as bfloat16() makes one: torch divides it in place, and without Nesterov it would be the momentum
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


COMBINATIONS = list(
    itertools.product(
        (True, False),
        (None, "original", "match_rms_adamw"),
        (0, 1, 5, 7),
        ((3.4445, -4.775, 2.0315), QUINTIC),
        ((0.95, 0.1, 1e-7), (0.0, 0.0, 30.0)),
    )
)


@pytest.mark.parametrize(("nesterov", "adjust_lr_fn", "ns_steps", "coefficients", "rest"), COMBINATIONS)
def test_every_combination_of_arguments_is_torch_s(nesterov, adjust_lr_fn, ns_steps, coefficients, rest):
    momentum, weight_decay, eps = rest
    mine, theirs = pair(
        lr=0.03,
        weight_decay=weight_decay,
        momentum=momentum,
        nesterov=nesterov,
        ns_coefficients=coefficients,
        eps=eps,
        ns_steps=ns_steps,
        adjust_lr_fn=adjust_lr_fn,
    )
    train(range(STEPS), mine, theirs)
    assert_same(mine, theirs)


def test_defaults_are_torch_s():
    mine, theirs = pair()
    for name, value in theirs[0].defaults.items():
        assert mine[0].defaults[name] == value, name
        assert mine[0].param_groups[0][name] == value, name
    train(range(STEPS), mine, theirs)
    assert_same(mine, theirs)


def test_arguments_stand_in_torch_s_order():
    values = (0.02, 0.2, 0.8, False, QUINTIC, 1e-3, 3, "match_rms_adamw")
    params = matrices()
    twins = copies(params)
    mine, theirs = (Muon(params, *values), params), (torch.optim.Muon(twins, *values), twins)
    train(range(STEPS), mine, theirs)
    assert_same(mine, theirs)


def test_groups_have_their_own_arguments():
    runs = []
    for cls in (Muon, torch.optim.Muon):
        params = matrices()
        groups = [
            {"params": params[:2], "nesterov": False, "ns_steps": 3},
            {"params": params[2:4], "adjust_lr_fn": "match_rms_adamw", "eps": 1e-2},
            {"params": params[4:], "ns_coefficients": QUINTIC, "lr": 0.1, "weight_decay": 0.0},
        ]
        runs.append((cls(groups, lr=0.02), params))
    train(range(STEPS), *runs)
    assert_same(*runs)


def test_arguments_changed_between_steps_act_from_the_next_step_on():
    mine, theirs = pair(lr=0.02)
    changes = {
        4: {"ns_steps": 2},
        7: {"nesterov": False},
        10: {"adjust_lr_fn": "match_rms_adamw"},
        13: {"ns_coefficients": QUINTIC, "lr": 0.05},
        16: {"momentum": 0.5, "eps": 1.0, "weight_decay": 0.0},
    }
    for t in range(STEPS):
        for opt, _ in (mine, theirs):
            opt.param_groups[0].update(changes.get(t, {}))
        train([t], mine, theirs)
        assert_same(mine, theirs, t)


def test_ns_coefficients_may_be_a_list_and_lr_a_tensor():
    mine, theirs = pair(lr=torch.tensor(0.02, dtype=torch.float64), ns_coefficients=list(QUINTIC))
    train(range(5), mine, theirs)
    assert_same(mine, theirs)


def test_parameters_without_a_gradient_are_left_alone():
    mine, theirs = pair(lr=0.02)
    for opt, params in (mine, theirs):
        params[0].grad = None
        for p in params[1:]:
            p.grad = torch.ones_like(p)
        opt.step()
        assert torch.equal(params[0], matrices()[0])
    assert all(distance(p, q) <= BAR for p, q in zip(mine[1], theirs[1], strict=True))


def test_transposed_and_sliced_parameters_are_stepped_as_compact_ones():
    base = torch.randn(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    odd = [Parameter(base.clone().T), Parameter(base.clone()[::2, 1:4])]
    plain = [Parameter(p.detach().clone(memory_format=torch.contiguous_format)) for p in odd]
    mine, theirs = (Muon(odd, lr=0.02), odd), (torch.optim.Muon(plain, lr=0.02), plain)
    train(range(5), mine, theirs)
    assert_same(mine, theirs)


def test_float32_stays_near_float64():
    """torch's own float32 run, in bfloat16, is 1e-2 from this."""
    params = matrices()
    small = [Parameter(p.detach().float()) for p in params]
    train(range(STEPS), (Muon(params, lr=0.02, nesterov=False), params))
    opt = Muon(small, lr=0.02, nesterov=False)
    for t in range(STEPS):
        for i, (p, q) in enumerate(zip(small, params, strict=True)):
            p.grad = torch.zeros_like(p) if t == 3 else gradient(q, 1000 * t + i).float()
        opt.step()
    for p, q in zip(small, params, strict=True):
        assert distance(p.double(), q) <= 1e-3
