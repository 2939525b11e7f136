"""``switch`` and its surroundings: refusals that change nothing, plans, checkpoints, hooks, odd parameters."""

from __future__ import annotations

import copy

import pytest
import torch
from switching import feed, parameters, same, snapshot
from torch.nn import Parameter

import descend.torch as ours
from descend import chain, rule, rules, zeros
from descend.torch import SGD, Adam, AdamW, optimizer, switch


def run(cls=AdamW, steps=3, **settings):
    params = parameters()
    opt = cls(params, **settings)
    feed(opt, params, 0, steps)
    return opt, params


_REFUSED = [
    (("sgd",), {}, ValueError, "needs lr="),
    (("nesterov_rewritten",), {}, ValueError, "needs lr="),
    (("sdg",), {}, ValueError, "no rule 'sdg'. Did you mean 'sgd'"),
    (("sgd",), {"lr": 0.1, "betas": (0.9, 0.9)}, TypeError, "has no setting 'betas'"),
    (("sgd",), {"lr": -1.0}, ValueError, "lr must not be negative"),
    (("sgd",), {"lr": float("nan")}, ValueError, "lr must be finite"),
    (("sgd",), {"lr": 0.1, "momentum": 0.0, "nesterov": True}, ValueError, "Nesterov"),
    (("sgd",), {"lr": 0.1, "momentum": 1.0}, ValueError, "momentum of 1"),
    (("sgd",), {"lr": 0.1, "maximize": True}, ValueError, "maximize"),
    (("sgd",), {"lr": 0.1, "engine": "abacus"}, ValueError, "unknown engine"),
    (("sgd",), {"lr": 0.1, "nonfinite": "hide"}, ValueError, "nonfinite"),
    (("sgd",), {"lr": 0.1, "at": "home"}, ValueError, "at must be"),
    (("ftrl",), {"lr": 0.0}, ValueError, "lr, which is 0"),
    ((rules.clip_norm,), {}, TypeError, r"clip_norm.* a modifier needs chain"),
    ((torch.optim.SGD,), {"lr": 0.1}, TypeError, "class of descend.torch"),
    ((ours.RuleOptimizer,), {}, TypeError, "class of descend.torch"),
    ((7,), {}, TypeError, "got 7"),
]


@pytest.mark.parametrize(("args", "settings", "error", "says"), _REFUSED)
@pytest.mark.parametrize("plan", [False, True])
def test_a_refusal_changes_nothing(args, settings, error, says, plan):
    opt, params = run()
    before = snapshot(opt, params)
    with pytest.raises(error, match=says.replace("(", r"\(")):
        switch(opt, *args, plan=plan, **settings)
    assert same(before, snapshot(opt, params))
    feed(opt, params, 3, 1)


def test_another_momentum_of_sgd_needs_an_lr():
    opt, params = run(SGD, lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match="the momentum is another"):
        switch(opt, "sgd", momentum=0.5)
    feed(opt, params, 3, 1)


def test_a_state_of_which_a_part_is_gone_is_refused_by_name():
    params = parameters()
    opt = AdamW([(f"layer{i}", p) for i, p in enumerate(params)])
    feed(opt, params, 0, 2)
    del opt.state[params[1]]["exp_avg_sq"]
    before = snapshot(opt, params)
    with pytest.raises(ValueError, match=r"'layer1'.*exp_avg_sq"):
        switch(opt, "sgd", lr=0.1)
    assert same(before, snapshot(opt, params))


def test_only_our_optimizers():
    with pytest.raises(TypeError, match=r"make a descend\.torch\.AdamW and load"):
        switch(torch.optim.AdamW(parameters()), "sgd", lr=0.1)  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(TypeError, match="got a list"):
        switch([], "sgd")  # pyright: ignore[reportCallIssue, reportArgumentType]


def test_the_old_optimizer_refuses_and_changes_nothing():
    opt, params = run()
    new = switch(opt, "sgd", lr=0.1)
    before = snapshot(new, params)
    for act in (opt.step, lambda: opt.step(lambda: 0.0)):
        with pytest.raises(RuntimeError, match=r"this AdamW was switched to SGD: step and save the optimizer"):
            act()
    with pytest.raises(RuntimeError, match="was switched to SGD before"):
        switch(opt, "lion", lr=0.1)
    assert same(before, snapshot(new, params))
    feed(new, params, 3, 1)


def test_not_inside_another_point_and_not_during_a_step():
    opt, params = run(ours.ScheduleFreeAdamW)
    with opt.shipped(), pytest.raises(RuntimeError, match="leave the block"):
        switch(opt, "adamw", lr=1e-3)

    def closure():
        switch(opt, "adamw", lr=1e-3)
        return 0.0

    opt2, _ = run()
    opt2._lock.acquire()
    with pytest.raises(RuntimeError, match="another thread"):
        switch(opt2, "lion", lr=1e-3)
    opt2._lock.release()
    with pytest.raises(RuntimeError, match="was switched to AdamW"):
        opt.step(closure)
    assert params


def test_frozen_empty_and_stateless_parameters():
    params = parameters()
    params[1].requires_grad_(False)
    late = Parameter(torch.ones(3, dtype=torch.float64))
    opt = AdamW([*params, late])
    feed(opt, params, 0, 3)
    assert late not in opt.state
    assert params[1] not in opt.state
    new = switch(opt, "amsgradw")
    assert late not in new.state
    assert params[1] not in new.state
    assert new.state[params[3]]["max_exp_avg_sq"].shape == (0, 3)
    feed(new, [*params, late], 3, 2)
    assert float(new.state[late]["step"]) == 2
    assert float(new.state[params[0]]["step"]) == 5


def test_before_the_first_step_it_is_a_new_optimizer():
    params, twins = parameters(), parameters()
    new, twin = switch(AdamW(params, lr=0.1), Adam), Adam(twins, lr=0.1)
    feed(new, params, 0, 3)
    feed(twin, twins, 0, 3)
    assert same([p.detach() for p in params], [p.detach() for p in twins])


def test_the_checkpoint_is_an_ordinary_one():
    opt, params = run()
    new = switch(opt, "sgd", lr=0.1)
    feed(new, params, 3, 2)
    saved = copy.deepcopy(new.state_dict())
    twins = [Parameter(p.detach().clone()) for p in params]
    for twin in (SGD(twins, lr=0.5), torch.optim.SGD(twins, lr=0.5)):
        twin.load_state_dict(copy.deepcopy(saved))
    fresh = SGD(twins, lr=0.5)
    fresh.load_state_dict(saved)
    feed(new, params, 5, 3)
    feed(fresh, twins, 5, 3)
    assert same([p.detach() for p in params], [p.detach() for p in twins])
    assert same(new.state_dict(), fresh.state_dict())


def test_a_checkpoint_of_torch_can_be_switched():
    params = parameters()
    theirs = torch.optim.AdamW(params, lr=1e-3)
    feed(theirs, params, 0, 4)
    opt = AdamW(params)
    opt.load_state_dict(theirs.state_dict())
    new = switch(opt, "amsgradw")
    assert new.steps == 4
    assert float(new.state[params[0]]["step"]) == 4
    assert same(new.state[params[0]]["exp_avg"], theirs.state[params[0]]["exp_avg"])


def test_hooks_come_along_and_their_handles_still_remove_them():
    opt, params = run()
    seen = []
    handle = opt.register_step_post_hook(lambda optimizer, args, kwargs: seen.append(type(optimizer).__name__))
    new = switch(opt, "sgd", lr=0.1)
    feed(new, params, 3, 1)
    handle.remove()
    feed(new, params, 4, 1)
    assert seen == ["SGD"]


def test_state_that_is_carried_is_handed_over_not_copied():
    opt, params = run()
    moments = {p: opt.state[p]["exp_avg"].data_ptr() for p in params}
    new = switch(opt, "radamw")
    assert {p: new.state[p]["exp_avg"].data_ptr() for p in params} == moments
    assert not opt.state


def test_complex_and_strided_parameters():
    params = [Parameter(torch.randn(3, dtype=torch.complex128)), Parameter(torch.randn(4, 4).double().t()[::2])]
    opt = Adam(params)
    for p in params:
        p.grad = torch.ones_like(p)
    opt.step()
    new = switch(opt, "sgd", lr=0.1)
    assert new.state[params[0]]["momentum_buffer"].dtype == torch.complex128
    torch.testing.assert_close(new.state[params[0]]["momentum_buffer"], torch.ones(3, dtype=torch.complex128))
    new.step()
    with pytest.raises(ValueError, match="complex parameters of group 0"):
        switch(new, "lion", lr=0.1)


def test_a_rule_of_ones_own_is_not_taken_for_one_of_the_same_name():
    @rule
    def adam(p, g, m=zeros, v=zeros, *, lr=1e-3):
        """Adam: only in name."""
        m = 0.5 * m + g
        v = v + m * m
        p = p - lr * m
        return p, m, v

    opt, params = run()
    new = switch(opt, adam, lr=1e-3)
    assert not new.state
    feed(new, params, 3, 2)
    again = switch(new, adam)
    assert set(again.state[params[0]]) == {"step", "m", "v"}
    wrapped = switch(again, chain(rules.clip_tensor(1.0), adam))
    assert set(wrapped.state[params[0]]) == {"step", "m", "v"}
    assert wrapped.defaults["lr"] == 1e-3
    assert not switch(wrapped, "adamw", lr=1e-3).state


def test_names_mean_classes_first_then_rules():
    for name, cls in (("sgd", SGD), ("AdamW", AdamW), ("ADAMW", AdamW), ("rms_prop", ours.RMSprop)):
        assert type(switch(Adam(parameters()), name, lr=0.1)) is cls
    assert type(switch(Adam(parameters()), "momentum_ema", lr=0.1)) is optimizer(rules.momentum_ema)
    assert type(switch(Adam(parameters()), ours.AdEMAMix)) is ours.AdEMAMix


def test_the_random_numbers_and_the_gradients_are_left_alone():
    opt, params = run()
    before, grads = torch.get_rng_state(), [p.grad for p in params]
    switch(opt, "sgd", lr=0.1)
    assert torch.equal(before, torch.get_rng_state())
    assert all(p.grad is g for p, g in zip(params, grads, strict=True))
