"""A modifier works on every rule of the catalogue: matrices, vectors, numbers of a tensor, averages."""

import numpy as np
import pytest

from descend import chain, rules
from descend.checks.traces import gradients, oracle, shapes_for


@pytest.mark.parametrize("name", rules.all())
def test_cautious_moves_only_where_step_and_gradient_agree(name):
    rule = rules.all()[name]
    made = chain(rule, rules.cautious)
    start, grads = gradients(shapes_for(rule), steps=3)
    before = start
    for state, g in zip(oracle(made, start, grads, dict(made.settings)), grads, strict=True):
        for p, old, slope in zip(state["p"], before, g, strict=True):
            assert np.isfinite(p).all()
            assert ((old - p) * slope >= 0).all()
        before = [np.array(p) for p in state["p"]]


@pytest.mark.parametrize(
    "name", [name for name in rules.all() if name != "adahessian"]
)  # which is fed alone and not in a chain
def test_cautious_decay_pulls_towards_zero_where_the_step_does(name):
    rule = rules.all()[name]
    made = chain(rule, rules.cautious_weight_decay)
    start, grads = gradients(shapes_for(rule), steps=1)
    start = [x + 0.1 for x in start]
    settings = {key: 0.0 if key == "weight_decay" else value for key, value in made.settings.items()}
    names = [key for key in made.settings if key.endswith("weight_decay")]
    (plain,) = oracle(rule, start, grads, {**rule.settings, **{k: 0.0 for k in rule.settings if k == "weight_decay"}})
    (pulled,) = oracle(made, start, grads, {**settings, names[-1]: 0.5})
    for p, q, r in zip(start, plain["p"], pulled["p"], strict=True):
        inward = (p - q) * p > 0
        assert np.allclose((q - r)[inward], 0.5 * made.settings["lr"] * p[inward], rtol=1e-6, atol=1e-12)
        assert (q == r)[~inward].all()


def test_cautious_bounded_makes_up_for_no_coordinate_without_a_gradient():
    """Three of four that have one agree: a factor of 4/3, however many have none; cautious takes 1000/3."""
    start, momentum = [np.zeros(1000)], [np.zeros(1000)]
    momentum[0][:4], opposed = 1.0, [np.zeros(1000)]
    opposed[0][:4] = 1.0, 1.0, 1.0, -0.1

    def moved(modifier):
        made = chain(rules.momentum_accumulation, modifier)
        *_, last = oracle(made, start, [momentum, opposed], {**made.settings, "lr": 1.0, "momentum": 0.5})
        first, *_ = oracle(made, start, [momentum], {**made.settings, "lr": 1.0, "momentum": 0.5})
        return (first["p"][0] - last["p"][0])[:5]

    assert moved(rules.cautious_bounded) == pytest.approx([2, 2, 2, 0, 0])  # 1.5 times 4/3
    assert moved(rules.cautious) == pytest.approx([500, 500, 500, 0, 0])
