"""``switch``: where every setting comes from."""

from __future__ import annotations

import pickle

import pytest
import torch
from switching import feed, parameters
from torch.nn import Parameter

from descend import rules, schedules
from descend.torch import SGD, Adam, AdamW, Lion, RMSprop, switch


def test_schedules_go_on_where_they_are():
    lr = schedules.linear(100, 1.0, 0.0) * 0.1
    params = parameters()
    opt = SGD(params, lr=lr, momentum=0.9)
    feed(opt, params, 0, 7)
    same_scale = switch(opt, "nesterov_accumulation")
    assert same_scale.param_groups[0].schedules["lr"][0] is lr
    assert same_scale.param_groups[0]["lr"] == lr(7)
    assert same_scale.steps == 7
    averaged = switch(same_scale, "quasi_hyperbolic")
    scaled = averaged.param_groups[0].schedules["lr"][0]
    assert [scaled(t) for t in (0, 7, 50)] == pytest.approx([10 * lr(t) for t in (0, 7, 50)])
    plain = SGD(parameters(), lr=lambda t: 0.1 / (1 + t), momentum=0.9)
    moved = switch(plain, "momentum_ema").param_groups[0]
    assert moved["lr"] == pytest.approx(1.0)
    assert moved.schedules["lr"][0](4) == pytest.approx(0.2)
    assert pickle.loads(pickle.dumps(switch(SGD(parameters(), lr=_fading, momentum=0.9), "momentum_ema")))


def _fading(step):
    return 0.1 / (1 + step)


def test_groups_keep_what_is_theirs():
    a, b = parameters(shapes=((3, 2),)), parameters(shapes=((4,),), seed=1)
    groups = [
        {"params": [("a", a[0])], "lr": 1e-3, "betas": (0.9, 0.99), "name": "body", "initial_lr": 1.0},
        {"params": [("b", b[0])], "lr": 1e-4, "weight_decay": 0.0, "eps": 1e-6, "lr_scale": 0.1, "max_lr": 3.0},
    ]
    opt = AdamW(groups, clip_norm=2.0, engine="torch", nonfinite="skip", telemetry=True)
    feed(opt, [*a, *b], 0, 3)
    new = switch(opt, "radam", decoupled_weight_decay=True)
    first, second = new.param_groups
    assert (first["lr"], first["betas"], first["weight_decay"], first["name"]) == (1e-3, (0.9, 0.99), 0.01, "body")
    assert (second["lr"], second["weight_decay"], second["lr_scale"]) == (1e-4, 0.0, 0.1)
    assert [g["param_names"] for g in new.param_groups] == [["a"], ["b"]]
    assert first["clip_norm"] == 2.0
    assert not {"initial_lr", "max_lr"} & {*first, *second}
    assert new._options == {"engine": "torch", "nonfinite": "skip", "telemetry": "norms"}
    sgd = switch(new, "sgd", lr=[0.1, 0.01], momentum=0.9, nonfinite="raise", telemetry=False)
    assert [g["lr"] for g in sgd.param_groups] == [0.1, 0.01]
    assert sgd._options["nonfinite"] == "raise"
    with pytest.raises(ValueError, match="3 values, and there are 2 groups"):
        switch(sgd, "adam", lr=[1, 2, 3])
    extra = Parameter(torch.zeros(2))
    sgd.add_param_group({"params": [("c", extra)]})
    assert sgd.param_groups[2]["lr"] == 0.1
    assert sgd.param_groups[2]["momentum"] == 0.9


def test_epsilon_is_kept_where_it_stands_in_the_same_place():
    opt = Adam(parameters(), eps=1e-5)
    assert switch(Adam(parameters(), eps=1e-5), "adamw").param_groups[0]["eps"] == 1e-5
    assert switch(Adam(parameters(), eps=1e-5), "adabelief").param_groups[0]["eps"] == 1e-16
    assert switch(opt, "adam_eps_inside").param_groups[0]["eps"] == 1e-8


def test_weight_decay_is_kept_where_it_acts_alike():
    def after(opt, rule, **settings):
        return switch(opt, rule, **settings).param_groups[0]["weight_decay"]

    assert after(AdamW(parameters(), weight_decay=0.3), "lion", lr=1e-4) == 0.3
    assert after(Adam(parameters(), weight_decay=0.3), "sgd", lr=0.1) == 0.3
    assert after(Adam(parameters(), weight_decay=0.3), "adamw") == 0.01
    assert after(AdamW(parameters(), weight_decay=0.3), "sgd", lr=0.1) == 0.0
    assert after(Adam(parameters()), "adamw") == 0.0
    assert after(Adam(parameters()), "adamw", weight_decay=0.7) == 0.7
    plan = str(switch(Adam(parameters(), weight_decay=0.3), rules.adam, plan=True))
    assert "weight_decay=0.3" in plan
    assert "decay_l2" in plan


def test_rmsprop_hands_over_its_average_and_its_alpha():
    params = parameters()
    opt = RMSprop(params, alpha=0.95, centered=True, momentum=0.9)
    feed(opt, params, 0, 4)
    squares = {p: opt.state[p]["square_avg"].clone() for p in params}
    new = switch(opt, "adam", lr=1e-3)
    assert new.param_groups[0]["betas"] == (0.9, 0.95)
    assert all(torch.equal(new.state[p]["exp_avg_sq"], squares[p]) for p in params)
    assert all(float(new.state[p]["step"]) == 4 for p in params)


def test_lion_gives_sgd_its_slow_beta():
    params = parameters()
    opt = Lion(params)
    feed(opt, params, 0, 2)
    assert switch(opt, "sgd", lr=0.1, nesterov=True).param_groups[0]["momentum"] == 0.99
