"""``switch``: what nobody has kept, and what chains, points and matrices bring along."""

from __future__ import annotations

import pytest
import torch
from switching import feed, parameters, same, snapshot

import descend.torch as ours
from descend import chain, rules
from descend.torch import SGD, Adam, AdamW, Muon, optimizer, switch


def test_amsgrad_begins_its_maximum_at_the_second_moment():
    params = parameters()
    opt = Adam(params)
    feed(opt, params, 0, 3)
    new = switch(opt, "adam", amsgrad=True)
    for p in params:
        state = new.state[p]
        assert torch.equal(state["max_exp_avg_sq"], state["exp_avg_sq"])
        assert state["max_exp_avg_sq"].data_ptr() != state["exp_avg_sq"].data_ptr() or not p.numel()


@pytest.mark.parametrize("k", [1, 3, 40])
def test_nadam_goes_on_as_if_it_had_been_running(k):
    params, twins = parameters(), parameters()
    opt, twin = Adam(params, lr=1e-3), ours.NAdam(twins, lr=1e-3)
    feed(opt, params, 0, k)
    feed(twin, twins, 0, k)
    new = switch(opt, "nadam")
    for p, q in zip(params, twins, strict=True):
        assert float(new.state[p]["mu_product"]) == pytest.approx(float(twin.state[q]["mu_product"]), rel=1e-14)


def test_adopt_weighs_its_past_to_one():
    params = parameters()
    opt = Adam(params)
    feed(opt, params, 0, 4)
    squares = {p: opt.state[p]["exp_avg_sq"] / (1 - 0.999**4) for p in params}
    new = switch(opt, "adopt")
    assert new.param_groups[0]["betas"][1] == 0.999
    for p in params:
        torch.testing.assert_close(new.state[p]["exp_avg_sq"], squares[p], rtol=1e-14, atol=0)
    back = switch(new, "adam")
    for p in params:
        torch.testing.assert_close(back.state[p]["exp_avg_sq"] / (1 - 0.999**4), squares[p], rtol=1e-14, atol=0)


def test_ftrl_does_not_forget_the_parameters():
    params = parameters()
    opt = ours.Adagrad(params)
    feed(opt, params, 0, 3)
    start = [p.detach().clone() for p in params]
    new = switch(opt, "ftrl", lr=0.1, l1=0.01, l2=0.1)
    for p in params:
        p.grad = torch.zeros_like(p)
    new.step()
    for p, s in zip(params, start, strict=True):
        torch.testing.assert_close(p.detach(), s, rtol=1e-13, atol=0)


def test_what_cannot_be_known_begins_anew_and_steps_as_at_a_start():
    params, twins = parameters(), parameters()
    opt = SGD(params, lr=0.01, momentum=0.9)
    feed(opt, params, 0, 50)
    with torch.no_grad():
        for p, q in zip(params, twins, strict=True):
            q.copy_(p)
    new = switch(opt, "adamw", lr=1e-3, weight_decay=0.1)
    twin = AdamW(twins, lr=1e-3, weight_decay=0.1)
    feed(new, params, 50, 5)
    feed(twin, twins, 50, 5)
    assert same([p.detach() for p in params], [p.detach() for p in twins])
    assert new.steps == 55
    assert float(new.state[params[0]]["step"]) == 5


def test_a_moving_average_of_weights_goes_on_through_another_rule():
    params = parameters()
    opt = optimizer(chain(rules.clip_tensor(1.0), rules.adamw, rules.ema(0.9), rules.lookahead))(params)
    feed(opt, params, 0, 4)
    before = {p: (opt.state[p]["ema"].clone(), opt.state[p]["slow"].clone()) for p in params}
    new = switch(opt, chain(rules.lion, rules.lookahead, rules.ema(0.5)), lr=1e-4)
    assert all(same((new.state[p]["ema"], new.state[p]["slow"]), before[p]) for p in params)
    anew = switch(new, chain(rules.adamw, rules.ema(0.5)), lr=1e-4)
    assert all(same(anew.state[p]["ema"], before[p][0]) for p in params)
    assert all(float(anew.state[p]["step"]) == 0 and not anew.state[p]["exp_avg_sq"].any() for p in params)
    feed(anew, params, 4, 2)


def test_two_averages_of_one_kind_keep_their_order():
    params = parameters()
    both = chain(rules.adam, rules.ema(0.9), rules.ema(0.5))
    opt = optimizer(both)(params)
    feed(opt, params, 0, 3)
    names = [slot.saved_as for slot in both.slots[-2:]]
    before = {p: [opt.state[p][name].clone() for name in names] for p in params}
    new = switch(opt, chain(rules.adamw, rules.ema(0.9), rules.ema(0.5)))
    assert all(same([new.state[p][name] for name in names], before[p]) for p in params)


def test_schedule_free_goes_on_from_either_point():
    shipped = []
    for at in ("trained", "shipped"):
        params = parameters()
        opt = ours.ScheduleFreeAdamW(params, lr=0.01)
        feed(opt, params, 0, 5)
        trained = [p.detach().clone() for p in params]
        with opt.shipped():
            shipped = [p.detach().clone() for p in params]
        new = switch(opt, "adamw", lr=1e-3, at=at)
        assert same([p.detach() for p in params], trained if at == "trained" else shipped)
        assert all(float(new.state[p]["step"]) == 0 or "exp_avg_sq" in new.state[p] for p in params)
        feed(new, params, 5, 2)
    params = parameters()
    opt = ours.ScheduleFreeAdamW(params, lr=0.01)
    feed(opt, params, 0, 5)
    new = switch(opt, "schedule_free_radam", at="shipped")
    assert same([new.state[p]["z"] for p in params], shipped)
    with pytest.raises(ValueError, match="ships the point it trains"):
        switch(Adam(parameters()), "adamw", at="shipped")


def test_schedule_free_cannot_change_the_beta_its_average_is_written_with():
    params = parameters()
    opt = ours.ScheduleFreeAdamW(params)
    feed(opt, params, 0, 2)
    before = snapshot(opt, params)
    with pytest.raises(ValueError, match="beta1"):
        switch(opt, "schedule_free_radam", betas=(0.8, 0.999))
    assert same(before, snapshot(opt, params))


def test_muon_hands_its_matrices_and_vectors_over_apart():
    params = parameters(shapes=((4, 3), (5,)))
    opt = Muon(params, lr=0.02)
    feed(opt, params, 0, 4)
    vector = opt.state[params[1]]["exp_avg_sq"].clone()
    new = switch(opt, "adamw", lr=1e-3)
    assert params[0] not in new.state
    assert torch.equal(new.state[params[1]]["exp_avg_sq"], vector)
    assert new.param_groups[0]["betas"] == (0.9, 0.999)  # of the vectors: the matrices begin anew
    feed(new, params, 4, 2)
    back = switch(new, Muon, lr=0.02)
    assert set(back.state[params[0]]) == {"step", "momentum_buffer"}
    assert back.param_groups[0]["momentum"] == 0.9
    feed(back, params, 6, 2)


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw", "asgd"])
def test_the_same_rule_from_its_shipped_point(name):
    params = parameters()
    opt = optimizer(rules.all()[name])(params, lr=0.01)
    feed(opt, params, 0, 4)
    with opt.shipped():
        shipped = [p.detach().clone() for p in params]
    new = switch(opt, name, at="shipped")
    assert same([p.detach() for p in params], shipped)
    with new.shipped():
        for p, s in zip(params, shipped, strict=True):
            torch.testing.assert_close(p.detach(), s)
    feed(new, params, 4, 2)


def test_an_average_over_steps_begins_again_where_steps_are_counted_again():
    params = parameters()
    opt = optimizer(chain(rules.momentum_ema, rules.swa))(params)
    feed(opt, params, 0, 4)
    new = switch(opt, chain(rules.adamw, rules.swa), lr=1e-3)
    assert not new.state
    feed(new, params, 4, 1)
    assert same([new.state[p]["swa"] for p in params], [p.detach() for p in params])


def test_what_begins_at_the_first_gradient_waits_for_it():
    params = parameters()
    opt = optimizer(chain(rules.adam, rules.ema))(params)
    feed(opt, params, 0, 3)
    new = switch(opt, chain(rules.mars, rules.ema), lr=1e-3)
    assert not new.state
    feed(new, params, 3, 1)
    assert all(torch.equal(new.state[p]["previous_grad"], p.grad) for p in params if p.grad is not None)
