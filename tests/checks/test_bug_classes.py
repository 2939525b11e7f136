"""Mistakes that optimizer libraries have shipped, each put in here on purpose: something must turn red."""

import copy

import numpy as np
import pytest
import torch

from descend import rules
from descend.checks import check_engine, check_rule
from descend.checks.mutate import mutants, survives
from descend.core.init import zeros
from descend.core.ops import sign, sqrt
from descend.core.rule import Rule, rule
from descend.engines import load
from descend.torch import Adam, Lion, curvature


def as_if(name: str, wrong: Rule) -> bool:
    """Whether a rule passes for the catalogue's of that name."""
    return survives(rules.all()[name], wrong)


@rule
def weights_swapped(p, g, m=zeros("exp_avg"), *, lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
    step = sign((1 - beta1) * m + beta1 * g)
    m = (1 - beta2) * m + beta2 * g
    return (1 - lr * weight_decay) * p - lr * step, m


@rule
def eps_before_the_correction(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8
):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return p - lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + eps), m, v


@rule
def state_never_written(p, g, m=zeros("exp_avg"), *, lr=1e-3, beta=0.9):
    m = beta * m + (1 - beta) * g
    return p - lr * g, m


@rule
def option_without_effect(p, g, *, lr=1e-3, adanorm=0.9):
    return p - lr * (g + 0 * adanorm)


@pytest.mark.parametrize(("name", "wrong"), [("lion", weights_swapped), ("adam", eps_before_the_correction)])
def test_a_rule_that_only_resembles_its_paper(name, wrong):
    assert as_if(name, rules.all()[name])
    assert not as_if(name, wrong)


@pytest.mark.parametrize("name", ["adam", "lion"])
def test_a_tolerance_as_wide_as_a_step(name):
    """No one-edit mistake passes the trace; a golden file with two digits let most of them through."""
    assert not [what for what, mutant in mutants(rules.all()[name]) if survives(rules.all()[name], mutant)]


@pytest.mark.parametrize(("wrong", "check"), [(state_never_written, "state"), (option_without_effect, "settings")])
def test_state_and_options_without_effect(wrong, check):
    report = check_rule(wrong)
    assert check in report.named("red")


def test_an_unknown_option_is_no_option():
    with pytest.raises(TypeError, match="no setting 'use_gc'"):
        Lion([torch.nn.Parameter(torch.ones(2))], use_gc=True)


def test_probes_that_are_always_the_same():
    """With u = -1 everywhere, u ⊙ H u is the row sums of H and not its diagonal."""
    hessian = torch.tensor([[3.0, 2.0], [2.0, 5.0]], dtype=torch.float64)
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    (found,) = curvature.hutchinson(0.5 * x @ hessian @ x, [x], generator, samples=4000)
    spread = (2 * (hessian**2).sum(1) / 4000).sqrt()  # of the mean of u ⊙ H u, at most
    assert (found - hessian.diagonal()).abs().le(5 * spread).all()
    assert (found - hessian.sum(1)).abs().gt(5 * spread).all()


def test_an_engine_that_is_broken_on_purpose():
    class Flipped:
        name, on_memory = "flipped", False

        def refuses(self, rule, dtype):
            return None

        def prepare(self, works, guard=False):
            run = load("numpy").prepare(works, guard)

            def step(threads):
                for work in works:
                    work.arrays["g"] = [np.where(g == g.max(initial=-1), -g, g) for g in work.arrays["g"]]
                return run(threads)

            return step

    few = {"adam": rules.adam, "gradient_descent": rules.gradient_descent}
    assert check_engine(Flipped(), few).named("red") == list(few)


def test_a_copy_that_begins_anew():
    p = torch.nn.Parameter(torch.linspace(-1, 1, 7, dtype=torch.float64))
    opt = Adam([p])
    grads = [torch.sin(torch.arange(7.0, dtype=torch.float64) + t) for t in range(10)]
    for t, g in enumerate(grads):
        p.grad = g
        opt.step()
        if t == 4:
            there, q = copy.deepcopy((opt, p))
    for g in grads[5:]:
        q.grad = g.clone()
        there.step()
    assert torch.equal(p, q)
