"""What tests of telemetry share: engines, rules, a step with known gradients, a small training."""

import json

import pytest
import torch
from torch import nn
from twins import gradient

import descend.torch as ours
from descend import schedules

ENGINES = ("llvm", "torch", "numpy")
NAMES = {"0.0": 0, "0.1": 1, "0.2": 2, "0.3": 3, "0.4": 4}
RULES = [
    ("AdamW", {"lr": 0.01, "weight_decay": 0.3}),
    ("AdamW", {"lr": 0.01, "clip_norm": 0.5}),
    ("AdamW", {"lr": schedules.linear(10, 1.0, 0.1) * 0.01, "maximize": True}),
    ("SGD", {"lr": 0.01}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}),
    ("Lion", {"lr": 0.01, "weight_decay": 0.1}),
    ("Adafactor", {"lr": 0.01}),
    ("Prodigy", {}),
    ("LAMB", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "clip_norm": 0.5, "nonfinite": "skip"}),
]


def able(rule, engine):
    """The fused engine does not run Adafactor, which sums over rows."""
    return "auto" if (rule, engine) == ("Adafactor", "llvm") else engine


def norm(x):
    return float(x.detach().double().norm())


def step(opt, params, t):
    """One step with known gradients; what telemetry must say of each tensor: (gradient, update, weights after)."""
    before = [p.detach().clone() for p in params]
    for i, p in enumerate(params):
        p.grad = gradient(p, 1000 * t + i)
    opt.step()
    return [
        (p.grad.double(), p.detach().double() - b.double(), p.detach().double())
        for p, b in zip(params, before, strict=True)
    ]


def assert_measured(found, expected, rounding):
    """``rounding`` is half the spacing of the weights' type at 1: what rounding may add to each element."""
    g, update, weights = expected
    assert found.gradient_norm == pytest.approx(norm(g), rel=1e-6)
    assert abs(found.update_norm - norm(update)) <= rounding * norm(weights) + 1e-6 * norm(update)
    assert abs(found.weight_norm - norm(weights)) <= (rounding + 1e-6) * norm(weights)
    assert found.nonfinite == 0
    assert found.elements == weights.numel()


def setup(rule="AdamW", **settings):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    settings = {"lr": 0.01, "telemetry": True, **settings}
    return model, getattr(ours, rule)(model.named_parameters(), **settings)


def train(model, opt, steps, scale=1.0):
    for _ in range(steps):
        opt.zero_grad()
        (model(torch.full((2, 4), 0.1)).square().mean() * scale).backward()
        opt.step()


def same(a, b):
    return json.dumps(a) == json.dumps(b)
