"""``switch``: what is carried, what is converted, and what a run after it looks like."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from switching import feed, parameters, same, ulps

import descend.torch as ours
from descend import rules
from descend.rules.state.conversion import convert
from descend.torch import SGD, Adam, AdamW, optimizer, switch

ENGINES = ("llvm", "torch", "numpy")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("k", [1, 5])
def test_adam_to_adamw_without_decay_is_a_run_of_either(engine, k):
    params, twins = parameters(), parameters()
    opt, twin = Adam(params, lr=0.01, engine=engine), AdamW(twins, lr=0.01, weight_decay=0.0, engine=engine)
    feed(opt, params, 0, k)
    new = switch(opt, "adamw")
    feed(new, params, k, 6)
    feed(twin, twins, 0, k + 6)
    assert new.engine == engine
    assert same([p.detach() for p in params], [p.detach() for p in twins])
    assert same(new.state_dict(), twin.state_dict())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_adamw_to_sgd_carries_the_sum_of_gradients(dtype):
    """By hand: v = Σ μ^(t-i) g_i is what SGD would have after the same gradients, from a buffer of zeros."""
    params = parameters(dtype)
    opt = AdamW(params, betas=(0.8, 0.99))
    feed(opt, params, 0, 6)
    new = switch(opt, "sgd", lr=0.1)
    assert new.param_groups[0]["momentum"] == 0.8
    for p in params:
        total = torch.zeros(p.shape, dtype=torch.float64)
        for i in range(6):
            g = torch.Generator().manual_seed(1000 + i)
            for q in params:  # the stream of feed()
                one = (torch.randn(q.shape, generator=g, dtype=torch.float64) + 0.5).to(dtype).double()
                if q is p:
                    total = 0.8 * total + one
        buffer = new.state[p]["momentum_buffer"]
        assert buffer.dtype == (torch.float32 if dtype == torch.bfloat16 else dtype)
        torch.testing.assert_close(buffer.double(), total, rtol=1e-14 if dtype == torch.float64 else 2e-6, atol=0)
        assert set(new.state[p]) == {"step", "momentum_buffer"}


def test_momentum_zero_drops_the_momentum():
    params = parameters()
    opt = AdamW(params)
    feed(opt, params, 0, 3)
    new = switch(opt, SGD, lr=0.1, momentum=0)
    assert not new.state
    start = [p.detach().clone() for p in params]
    feed(new, params, 3, 1)
    for p, s in zip(params, start, strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.detach(), s - 0.1 * p.grad, rtol=0, atol=1e-15)


_CONVENTIONS = [
    ("momentum_accumulation", "momentum_ema"), ("momentum_accumulation", "momentum_velocity"),
    ("momentum_ema", "momentum_velocity"), ("nesterov_lookahead", "nesterov_rewritten"),
    ("nesterov_accumulation", "nesterov_lookahead"), ("nesterov_rewritten", "nesterov_accumulation"),
    ("momentum_ema", "quasi_hyperbolic"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), [*_CONVENTIONS, *((b, a) for a, b in _CONVENTIONS[:-1])])
def test_conventions_are_converted_as_conversion_says(one, other):
    source, target = rules.all()[one], rules.all()[other]
    params = parameters()
    opt = optimizer(source)(params, lr=0.03)
    feed(opt, params, 0, 5)
    slot, new_slot = source.slots[0], target.slots[0]
    state = [opt.state[p][slot.saved_as] for p in params]
    settings = {k: opt.param_groups[0][k] for k in source.settings}
    made, points, buffers = convert(source, target, settings, [p.detach() for p in params], {slot.name: state})
    extra: dict[str, Any] = {"nu": 1.0} if other == "quasi_hyperbolic" else {}
    new = switch(opt, target, **extra)
    assert {k: new.param_groups[0][k] for k in target.settings} == made
    assert same([p.detach() for p in params], points)
    assert same([new.state[p][new_slot.saved_as] for p in params], buffers[new_slot.name])


@pytest.mark.parametrize(("one", "other"), _CONVENTIONS[:-1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_there_and_back_between_conventions_rounds_twice(one, other, dtype):
    params = parameters(dtype)
    opt = optimizer(rules.all()[one])(params, lr=0.03)
    feed(opt, params, 0, 5)
    before = {p: opt.state[p][rules.all()[one].slots[0].saved_as].clone() for p in params}
    back = switch(switch(opt, other), one)
    assert back.param_groups[0]["lr"] == pytest.approx(0.03, rel=5e-16)
    for p in params:
        assert ulps(before[p], back.state[p][rules.all()[one].slots[0].saved_as]) <= 2


@pytest.mark.parametrize(("one", "other"), [_CONVENTIONS[0], _CONVENTIONS[5]])
def test_a_converted_run_is_the_run_of_the_target(one, other):
    params, twins = parameters(), parameters()
    opt = optimizer(rules.all()[one])(params, lr=0.03)
    feed(opt, params, 0, 5)
    new = switch(opt, other)
    feed(new, params, 5, 5)
    settings = {k: new.param_groups[0][k] for k in rules.all()[other].settings}
    twin = optimizer(rules.all()[other])(twins, **settings)
    feed(twin, twins, 0, 10)
    for p, q in zip(params, twins, strict=True):
        torch.testing.assert_close(p.detach(), q.detach(), rtol=0, atol=1e-14)


def test_another_decay_keeps_the_corrected_mean():
    params = parameters()
    opt = Adam(params)
    feed(opt, params, 0, 4)
    means = {p: opt.state[p]["exp_avg"] / (1 - 0.9**4) for p in params}
    squares = {p: opt.state[p]["exp_avg_sq"] / (1 - 0.999**4) for p in params}
    new = switch(opt, "adamw", betas=(0.5, 0.9))
    for p in params:
        torch.testing.assert_close(new.state[p]["exp_avg"] / (1 - 0.5**4), means[p], rtol=1e-14, atol=0)
        torch.testing.assert_close(new.state[p]["exp_avg_sq"] / (1 - 0.9**4), squares[p], rtol=1e-14, atol=0)


def test_another_decay_of_the_same_class_does_so_too():
    params = parameters()
    opt = Adam(params, lr=0.02)
    feed(opt, params, 0, 4)
    means = {p: opt.state[p]["exp_avg"] / (1 - 0.9**4) for p in params}
    new = switch(opt, Adam, betas=(0.5, 0.999))
    assert new.param_groups[0]["lr"] == 0.02
    for p in params:
        torch.testing.assert_close(new.state[p]["exp_avg"] / (1 - 0.5**4), means[p], rtol=1e-14, atol=0)


def test_another_decay_of_an_average_that_misses_the_first_gradient():
    params = parameters(shapes=((4, 3),))
    opt = ours.SOAP(params, betas=(0.9, 0.95))
    feed(opt, params, 0, 5)
    mean = opt.state[params[0]]["exp_avg"] / (1 - 0.9**4)
    new = switch(opt, "momentum_ema", lr=0.1, beta=0.5)
    torch.testing.assert_close(new.state[params[0]]["exp_avg"] / (1 - 0.5**5), mean, rtol=1e-14, atol=0)
