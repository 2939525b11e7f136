"""SWATS against Algorithm 1, written from the paper."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from switching import same
from torch.nn import Parameter

import descend.torch as ours
from descend import schedules
from descend.torch import SGD, Adam, AdamW, swats


def algorithm_1(w, gradient, steps, alpha=1e-3, beta1=0.9, beta2=0.999, eps=1e-9, adam_eps=1e-9):
    """Keskar & Socher 2017, Algorithm 1, line by line; yields w, Λ and the phase."""
    m = a = np.zeros_like(w)
    v = np.zeros_like(w)
    lam, Lam, phase = 0.0, 0.0, "Adam"
    for k in range(1, steps + 1):
        g = gradient(w)
        if phase == "SGD":
            v = beta1 * v + g
            w = w - (1 - beta1) * Lam * v
            yield w, Lam, phase
            continue
        m = beta1 * m + (1 - beta1) * g
        a = beta2 * a + (1 - beta2) * g * g
        p = -alpha * np.sqrt(1 - beta2**k) / (1 - beta1**k) * m / (np.sqrt(a) + adam_eps)
        w = w + p
        if p @ g != 0:
            gamma = (p @ p) / -(p @ g)
            lam = beta2 * lam + (1 - beta2) * gamma
            if k > 1 and abs(lam / (1 - beta2**k) - gamma) < eps:
                phase, v, Lam = "SGD", np.zeros_like(w), lam / (1 - beta2**k)
        yield w, Lam, phase


CURVES = np.array([1.0, 3.0, 0.5, 2.0, 1.5])
START = np.array([1.0, -2.0, 0.7, 1.3, -0.4])


def train(opt, params, steps):
    """Steps on 0.5 * CURVES * w², the vector split over two tensors; yields it."""
    sizes = [p.numel() for p in params]
    curves = [torch.tensor(c) for c in np.split(CURVES, np.cumsum(sizes)[:-1])]
    for _ in range(steps):
        for p, c in zip(params, curves, strict=True):
            p.grad = c * p.detach()
        opt.step()
        yield np.concatenate([p.detach().numpy() for p in params])


def split():
    return [Parameter(torch.tensor(part)) for part in np.split(START, [2])]


@pytest.mark.parametrize("eps", [1e-9, 1e-6, 1e-5, 1e-2])
def test_swats_is_algorithm_1(eps):
    params = split()
    opt = swats(ours.AdamEpsilonHat(params, lr=0.01, eps=1e-9), eps=eps)
    theirs = algorithm_1(START.copy(), lambda w: CURVES * w, 300, alpha=0.01, eps=eps)
    phases = []
    for mine, (w, rate, phase) in zip(train(opt, params, 300), theirs, strict=True):
        np.testing.assert_allclose(mine, w, rtol=0, atol=1e-11)
        assert ("Adam", "SGD")[opt.stage] == phase
        if phase == "SGD":
            assert opt.param_groups[0]["lr"] == pytest.approx((1 - 0.9) * rate, rel=1e-9)
        phases.append(phase)
    if eps >= 1e-6:
        assert phases[-1] == "SGD", "the test must see the switch"
        assert opt.switched == phases.index("SGD") + 1
        assert type(opt.optimizer) is SGD
        assert opt.param_groups[0]["momentum"] == 0.9


def test_swats_measures_what_the_rule_sees():
    """Clipping, L2, maximize and decoupled decay: γ is that of the gradient after them and the step without decay."""
    for cls, settings in ((Adam, {"weight_decay": 0.1}), (AdamW, {"weight_decay": 0.1}), (Adam, {"clip_norm": 0.5})):
        params, plain = split(), split()
        a = swats(cls(params, lr=0.01, **settings), eps=1e-12)
        list(train(a, params, 1))
        g = CURVES * START
        if "clip_norm" in settings:
            g = g * 0.5 / (np.linalg.norm(g) + 1e-6)
        g = g + (0.1 * START if cls is Adam and "weight_decay" in settings else 0)
        p = -0.01 * g / (np.abs(g) + 1e-8)  # Adam's first step
        assert a.projected == pytest.approx(p @ p / -(p @ g), rel=1e-9), (cls, settings)
        assert plain
    params = split()
    up = swats(Adam(params, lr=0.01, maximize=True))
    list(train(up, params, 2))
    assert up.projected is not None
    assert up.projected > 0


def test_swats_with_groups_of_different_rates():
    params = split()
    opt = swats(Adam([{"params": params[:1]}, {"params": params[1:], "lr": 0.001}], lr=0.01), eps=1e-2)
    list(train(opt, params, 100))
    assert opt.stage == 1
    first, second = (group["lr"] for group in opt.param_groups)
    assert second == pytest.approx(first / 10)


def test_swats_goes_on_with_a_schedule():
    params = split()
    lr = 0.01 * schedules.linear(1000, 1.0, 0.0)
    opt = swats(Adam(params, lr=lr), eps=1e-2, weight_decay=0.01, nesterov=True)
    list(train(opt, params, 100))
    assert opt.stage == 1
    assert opt.param_groups[0]["weight_decay"] == 0.01
    assert opt.param_groups[0]["nesterov"]
    after = opt.param_groups[0].schedules["lr"][0]
    assert after(900) / after(100) == pytest.approx(lr(900) / lr(100))
    assert after(1000) == 0


def test_swats_does_not_count_skipped_steps():
    params = split()
    opt = swats(Adam(params, lr=0.01, nonfinite="skip"))
    list(train(opt, params, 2))
    before = opt.state_dict()["policy"], opt.projected
    for p in params:
        p.grad = torch.full_like(p, float("nan"))
    opt.step()
    assert (opt.state_dict()["policy"], opt.projected) == before
    assert opt.skipped == 1


def test_swats_refuses():
    with pytest.raises(ValueError, match="Adam's kind"):
        swats(SGD(split(), lr=0.1))
    with pytest.raises(ValueError, match="eps must be positive"):
        swats(Adam(split()), eps=0)
    with pytest.raises(TypeError, match="betas"):
        swats(Adam(split()), betas=(0.9, 0.9))
    with pytest.raises(TypeError, match=r"descend\.torch"):
        swats(torch.optim.Adam(split()))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("stop", [3, 60])
def test_swats_resumes_to_the_bit(stop):
    whole, half = split(), split()
    a = swats(Adam(whole, lr=0.01), eps=1e-5)
    paths = list(train(a, whole, 200))
    b = swats(Adam(half, lr=0.01), eps=1e-5)
    list(train(b, half, stop))
    saved = pickle.loads(pickle.dumps(b.state_dict()))
    again = [Parameter(p.detach().clone()) for p in half]
    c = swats(Adam(again, lr=0.01), eps=1e-5)
    c.load_state_dict(saved)
    assert c.stage == b.stage
    assert (a.switched or 0) > 3
    np.testing.assert_array_equal(list(train(c, again, 200 - stop)), paths[stop:])
    assert c.switched == a.switched
    assert same(a.state_dict(), c.state_dict())


def test_a_gradient_scaler_divides_before_the_policy_steps():
    params, twins = split(), split()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    a, b = swats(Adam(params, lr=0.01)), swats(Adam(twins, lr=0.01))
    for p, q in zip(params, twins, strict=True):
        scaler.scale((p**2).sum()).backward()
        (q**2).sum().backward()
    scaler.step(a)
    b.step()
    assert a.projected == b.projected
    assert same([p.detach() for p in params], [p.detach() for p in twins])


def test_swats_weighs_gradients_by_the_rates_of_their_groups():
    params = split()
    opt = swats(Adam([{"params": params[:1]}, {"params": params[1:], "lr": 0.001}], lr=0.01))
    list(train(opt, params, 1))
    g, rate = CURVES * START, np.repeat([0.01, 0.001], [2, 3])
    p = -rate * np.sign(g)
    assert opt.projected == pytest.approx(p @ p / -(p @ (rate / 0.01 * g)), rel=1e-6)


def test_swats_does_not_switch_to_an_ascent():
    p = Parameter(torch.zeros(1, dtype=torch.float64))
    opt = swats(Adam([p], lr=0.01), eps=1e9)
    for slope in (1.0, -0.01):
        p.grad = torch.full_like(p, slope)
        opt.step()
    assert opt.average is not None
    assert opt.average < 0
    assert opt.stage == 0
