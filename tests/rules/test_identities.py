"""Relatives must agree where the mathematics says so; no outside implementation is needed."""

import numpy as np
import pytest

from descend import chain, rules
from descend.checks.traces import gradients, oracle, shapes_for
from descend.optimizer import Optimizer


def last(rule, settings=None, seed=0, steps=30, grads=None):
    start, made = gradients(seed=seed, steps=steps, holes=False)
    return list(oracle(rule, start, grads or made, {**rule.settings, **(settings or {})}))[-1]["p"]


def same(a, b, tolerance=1e-12):
    return all(np.allclose(x, y, rtol=tolerance, atol=tolerance) for x, y in zip(a, b, strict=True))


IDENTITIES = [
    ("momentum_accumulation", {"momentum": 0.0, "lr": 0.1}, "gradient_descent", {"lr": 0.1}),
    ("momentum_velocity", {"momentum": 0.0, "lr": 0.1}, "gradient_descent", {"lr": 0.1}),
    ("momentum_ema", {"beta": 0.0, "lr": 0.1}, "gradient_descent", {"lr": 0.1}),
    ("nesterov_rewritten", {"momentum": 0.0, "lr": 0.1}, "gradient_descent", {"lr": 0.1}),
    # one path, three conventions, as long as lr is constant
    (
        "momentum_velocity",
        {"lr": 0.1, "momentum": 0.8},
        "momentum_accumulation",
        {"lr": 0.1, "momentum": 0.8},
    ),
    ("momentum_ema", {"lr": 0.5, "beta": 0.8}, "momentum_accumulation", {"lr": 0.1, "momentum": 0.8}),
    ("momentum_dampened", {"dampening": 0.0, "momentum": 0.8}, "momentum_accumulation", {"momentum": 0.8}),
    (
        "nesterov_rewritten",
        {"lr": 0.1, "momentum": 0.8},
        "nesterov_accumulation",
        {"lr": 0.1, "momentum": 0.8},
    ),
    ("rmsprop_momentum", {"momentum": 0.0}, "rmsprop", {}),
    ("rmsprop_centered_momentum", {"momentum": 0.0}, "rmsprop_centered", {}),
    ("adam_uncorrected", {"beta1": 0.0, "beta2": 0.9, "lr": 0.1}, "rmsprop", {"alpha": 0.9, "lr": 0.1}),
    ("adamw", {"weight_decay": 0.0}, "adam", {}),
    ("adagrad", {"eps": 0.0}, "adagrad_eps_inside", {"eps": 0.0}),
    ("adam", {"eps": 0.0}, "adam_eps_inside", {"eps": 0.0}),
]


@pytest.mark.parametrize(("one", "ones", "other", "others"), IDENTITIES)
def test_identity(one, ones, other, others):
    assert same(last(rules.all()[one], ones), last(rules.all()[other], others))


def test_prodigy_tensor_is_prodigy_on_each_tensor_alone():
    start, grads = gradients(holes=False)
    together = [np.array(x) for x in start]
    optimizer = Optimizer(rules.prodigy_tensor, together, lr=0.7, d0=1e-2, growth_rate=1e9, engine="numpy")
    for g in grads:
        optimizer.step([np.asarray(x) for x in g])
    for i, p in enumerate(together):
        alone = [np.array(start[i])]
        optimizer = Optimizer(rules.prodigy, alone, lr=0.7, d0=1e-2, engine="numpy")
        for g in grads:
            optimizer.step([np.asarray(g[i])])
        assert np.allclose(alone[0], p, rtol=1e-12)
        assert p.size == 0 or not np.allclose(p, start[i])


def test_the_conventions_part_when_lr_changes():
    """Why they are three rules and not one."""
    start, grads = gradients()
    paths = {}
    for name in ("momentum_velocity", "momentum_accumulation"):
        params = [np.array(x) for x in start]
        optimizer = Optimizer(rules.all()[name], params, lr=lambda step: 0.1 / (1 + step), engine="numpy")
        for g in grads:
            optimizer.step([np.asarray(x) for x in g])
        paths[name] = params
    assert not same(*paths.values(), tolerance=1e-3)


def test_both_nesterov_forms_are_one_path():
    """rewritten stores the look-ahead point x + μv of the other, when each takes its own gradient there."""
    curvature = np.array([1.0, 10.0, 0.3])
    x, y = [np.array([1.0, -2.0, 3.0])], [np.array([1.0, -2.0, 3.0])]
    ahead = Optimizer(rules.nesterov_lookahead, x, lr=0.02, momentum=0.9, engine="numpy")
    rewritten = Optimizer(rules.nesterov_rewritten, y, lr=0.02, momentum=0.9, engine="numpy")
    for _ in range(40):
        ahead.step([curvature * ahead.gradient_point()[0]])
        rewritten.step([curvature * rewritten.gradient_point()[0]])
        assert np.allclose(ahead.gradient_point()[0], y[0], rtol=1e-13)
    assert np.abs(x[0]).max() < 1.0


def test_lion_with_equal_betas_steps_by_the_sign_of_its_new_momentum():
    start, grads = gradients(steps=6)
    settings = {"lr": 0.01, "beta1": 0.9, "beta2": 0.9, "weight_decay": 0.0}
    before = start
    for now in oracle(rules.lion, start, grads, settings):
        for p, q, m in zip(before, now["p"], now["m"], strict=True):
            assert np.allclose(q, p - 0.01 * np.sign(m))
        before = now["p"]


@pytest.mark.parametrize("name", ["adam", "rmsprop", "adagrad", "lion", "adam_uncorrected"])
def test_the_size_of_gradients_does_not_matter(name):
    _, grads = gradients(holes=False)
    settings = {"eps": 0.0} if "eps" in rules.all()[name].settings else {}
    larger = [[1024 * g for g in step] for step in grads]
    assert same(last(rules.all()[name], settings, grads=grads), last(rules.all()[name], settings, grads=larger))


ELEMENTWISE = [name for name, rule in rules.all().items() if rule.vectors is None]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elements_do_not_know_their_neighbours(name):
    """Permuting the elements of a tensor permutes its path."""
    rule = rules.all()[name]
    rng = np.random.default_rng(0)
    order = rng.permutation(12)
    start, grads = gradients(shapes=[(12,)])
    there = list(oracle(rule, [start[0][order]], [[g[0][order]] for g in grads], dict(rule.settings)))[-1]["p"][0]
    here = list(oracle(rule, start, grads, dict(rule.settings)))[-1]["p"][0]
    assert np.allclose(there, here[order], rtol=1e-12, atol=0)  # norms are summed in another order


@pytest.mark.parametrize("name", rules.all())
def test_zero_gradients_are_harmless(name):
    """Nothing moves but what decay moves; FTRL alone forgets any start but zero, as its paper has it."""
    rule = rules.all()[name]
    shapes = shapes_for(rule)
    start, _ = gradients(shapes)
    if name == "ftrl":
        start = [np.zeros_like(x) for x in start]
    zero = [[np.zeros(s) for s in shapes]] * 5
    settings = {**rule.settings, **{k: 0.0 for k in ("weight_decay", "lambd") if k in rule.settings}}
    assert same(list(oracle(rule, start, zero, settings))[-1]["p"], start, tolerance=1e-14)


def test_a_chain_of_one_rule_is_the_rule():
    assert chain(rules.adam) is rules.adam


def test_decay_l2_before_adam_is_not_adamw():
    a = last(chain(rules.decay_l2, rules.adam), {"weight_decay": 0.1})
    b = last(rules.adamw, {"weight_decay": 0.1})
    assert not same(a, b, tolerance=1e-6)


@pytest.mark.parametrize("name", ["muon", "muon_polar_express", "shampoo", "soap"])
def test_a_convolution_is_stepped_as_its_flattened_matrix(name):
    rule = rules.all()[name]
    start, grads = gradients(shapes=[(6, 2, 3)], steps=12, holes=False)
    flat = list(oracle(rule, [start[0].reshape(6, 6)], [[g[0].reshape(6, 6)] for g in grads], dict(rule.settings)))
    whole = list(oracle(rule, start, grads, dict(rule.settings)))
    for a, b in zip(whole, flat, strict=True):
        assert np.allclose(a["p"][0].reshape(6, 6), b["p"][0], rtol=1e-10, atol=1e-12)
