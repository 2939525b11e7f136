"""torch.distributed.checkpoint takes a step at lr 0 with zero gradients to make state: it must leave no trace."""

import copy

import pytest
import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_optimizer_state_dict,
)

import descend.torch as ours
from descend import chain, rules, schedules

KINDS = {
    "AdamW": lambda p: ours.AdamW(p, lr=0.1 * schedules.linear_warmup(4)),
    "amsgrad": lambda p: ours.Adam(p, lr=torch.tensor(0.1), amsgrad=True, weight_decay=0.1),
    "SGD": lambda p: ours.SGD(p, lr=0.1 * schedules.linear_warmup(4), weight_decay=0.1),
    "dampened": lambda p: ours.SGD(p, lr=0.1, momentum=0.9, dampening=0.5),
    "ASGD": lambda p: ours.ASGD(p, lr=0.1, t0=2.0),
    "Rprop": lambda p: ours.Rprop(p, lr=0.1),
    "Adagrad": lambda p: ours.Adagrad(p, initial_accumulator_value=0.3),
    "ScheduleFree": lambda p: ours.ScheduleFreeAdamW(p, lr=0.1, warmup_steps=3),
    "Prodigy": lambda p: ours.Prodigy(p),
    "Muon": lambda p: ours.Muon(p, lr=0.1),
    "chain": lambda p: ours.optimizer(chain(rules.adam, rules.lookahead(3.0), rules.ema(0.9)))(p, lr=0.1),
    "telemetry": lambda p: ours.AdamW(p, lr=0.1, telemetry=True, clip_norm=1.0),
    "switch_at": lambda p: ours.switch_at(ours.AdamW(p, lr=0.1), {2: ("sgd", {"lr": 0.1})}),
    "swats": lambda p: ours.swats(ours.Adam(p, lr=0.1)),
    "torch engine": lambda p: ours.AdamW(p, lr=0.1, engine="torch"),
}


def model(seed=0):
    torch.manual_seed(seed)
    m = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    m[0].bias.requires_grad_(False)
    return m


def train(m, opt, steps):
    for t in steps:
        opt.zero_grad()
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(t)).double()
        (m(x) - 1).square().mean().backward()
        opt.step()


def weights(m):
    return [p.detach().clone() for p in m.parameters()]


def matrices(kind, m):
    return [p for p in m.parameters() if p.dim() > 1] if kind == "Muon" else m.parameters()


def fresh(kind):
    m = model()
    return m, KINDS[kind](matrices(kind, m))


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_step_leaves_no_trace(kind):
    (m, opt), (n, plain) = fresh(kind), fresh(kind)
    seen = []
    opt.register_step_post_hook(lambda *_: seen.append(opt.steps))
    before = weights(m)
    get_optimizer_state_dict(m, opt)
    get_optimizer_state_dict(m, opt)
    assert (opt.steps, seen) == (0, [])
    assert all(float(entry["step"]) == 0 for entry in opt.state.values())
    torch.testing.assert_close(weights(m), before, rtol=0, atol=0)
    if kind == "telemetry":
        assert (opt.telemetry.step, opt.telemetry.measuring, opt.telemetry.tensors) == (0, True, [])
    train(m, opt, range(5))
    train(n, plain, range(5))
    assert all(torch.equal(a, b) for a, b in zip(weights(m), weights(n), strict=True))
    assert opt.steps == 5


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_loaded_after_the_dry_step_are_where_the_state_begins(kind):
    (m, opt), (n, plain) = fresh(kind), fresh(kind)
    get_state_dict(m, opt)
    for module in (m, n):
        module.load_state_dict(model(7).state_dict())
    train(m, opt, range(4))
    train(n, plain, range(4))
    assert all(torch.equal(a, b) for a, b in zip(weights(m), weights(n), strict=True))


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("switch_at", "swats")])
def test_the_state_of_a_dry_step_is_as_none_in_a_checkpoint_and_in_a_copy(kind):
    (m, opt), (n, plain), (k, again) = fresh(kind), fresh(kind), fresh(kind)
    saved = get_optimizer_state_dict(m, opt)
    copied_m, copied = copy.deepcopy((m, opt))
    again.load_state_dict(opt.state_dict())
    set_optimizer_state_dict(m, opt, saved)
    for one in ((m, opt), (n, plain), (k, again), (copied_m, copied)):
        train(*one, range(4))
        assert all(torch.equal(a, b) for a, b in zip(weights(one[0]), weights(n), strict=True)) or one[0] is m
    assert all(torch.equal(a, b) for a, b in zip(weights(m), weights(n), strict=True))


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("kind", ["AdamW", "SGD", "dampened", "ASGD", "ScheduleFree", "chain"])
def test_a_run_goes_on_through_the_checkpoints_of_torch_distributed(kind, flat):
    m, opt = fresh(kind)
    train(m, opt, range(3))
    options = StateDictOptions(flatten_optimizer_state_dict=flat)
    saved = copy.deepcopy((m.state_dict(), get_optimizer_state_dict(m, opt, options=options)))
    n, again = fresh(kind)
    n.load_state_dict(saved[0])
    set_optimizer_state_dict(n, again, saved[1], options=options)
    assert again.steps == (0 if flat and kind == "SGD" else 3)  # flat, torch keeps only keys that a fresh group has
    if again.steps:
        train(m, opt, range(3, 6))
        train(n, again, range(3, 6))
        assert all(torch.equal(a, b) for a, b in zip(weights(m), weights(n), strict=True))


def test_stateless_rules_count_no_step_at_any_checkpoint():
    m, opt = fresh("SGD")
    for t in range(4):
        train(m, opt, [t])
        opt.zero_grad()
        before = weights(m)
        get_optimizer_state_dict(m, opt)
        assert opt.steps == t + 1
        assert all(torch.equal(a, b) for a, b in zip(weights(m), before, strict=True))


def test_a_step_at_lr_0_with_zero_gradients_of_ones_own_is_a_step():
    p = torch.nn.Parameter(torch.ones(3))
    opt = ours.AdamW([p], lr=0.0)
    p.grad = torch.zeros(3)
    opt.step()
    assert (opt.steps, float(opt.state[p]["step"])) == (1, 1.0)


def test_a_refused_first_step_leaves_the_state_of_the_dry_one():
    p = torch.nn.Parameter(torch.ones(3))
    opt = ours.SGD([p], lr=0.1, momentum=0.9, nonfinite="skip")
    get_optimizer_state_dict(torch.nn.ParameterList([p]), opt)
    p.grad = torch.full((3,), torch.nan)
    opt.step()
    assert (opt.steps, opt.skipped) == (0, 1)
    assert torch.equal(opt.state[p]["momentum_buffer"], torch.zeros(3))


def test_dry_steps_of_an_optimizer_that_steps_in_the_backward():
    (m, n) = model(), model()
    opt = ours.step_in_backward(m, ours.AdamW, lr=0.1 * schedules.linear_warmup(4))
    get_optimizer_state_dict(m, opt)
    assert opt.steps == 0
    plain = ours.AdamW(n.parameters(), lr=0.1 * schedules.linear_warmup(4))
    train(m, opt, range(3))
    train(n, plain, range(3))
    assert all(torch.equal(a, b) for a, b in zip(weights(m), weights(n), strict=True))
