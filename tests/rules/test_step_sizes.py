"""How far one step may go, what a modifier may do to it, and which point an averaging rule ships."""

import inspect
from itertools import pairwise

import numpy as np
import pytest

from descend import chain, rules
from descend.checks.traces import SHAPES, gradients, oracle

ALL = rules.all()


def run(rule, start, grads, **settings):
    return list(oracle(rule, start, grads, {**rule.settings, **settings}))


def points(rule, start, grads, **settings):
    """Start and every later point: per step a list of arrays."""
    return [start, *(state["p"] for state in run(rule, start, grads, **settings))]


def same(a, b):
    return all(np.allclose(x, y, rtol=1e-13, atol=1e-13) for x, y in zip(a, b, strict=True))


def size(arrays):
    return np.sqrt(sum(float(np.sum(a * a)) for a in arrays))


def test_lamb_moves_by_lr_times_the_norm_of_the_weights():
    start, grads = gradients(holes=False)
    path = points(rules.lamb, start, grads, lr=0.01, weight_decay=0.1)
    for before, after in pairwise(path):
        for p, q in zip(before, after, strict=True):
            assert np.linalg.norm(q - p) == pytest.approx(0.01 * np.linalg.norm(p), rel=1e-12)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e-3])
def test_lars_moves_in_proportion_to_the_norm_of_the_weights(scale):
    """Whatever the gradient; with decay the step is that of the triangle inequality, never longer."""
    start, grads = gradients(holes=False)
    start = [scale * x for x in start]
    settings = {"lr": 0.5, "trust_coefficient": 0.02, "momentum": 0.0}
    for decay in (0.0, 0.3):
        path = points(rules.lars, start, grads, weight_decay=decay, **settings)
        for before, after in pairwise(path):
            for p, q in zip(before, after, strict=True):
                length, full = np.linalg.norm(q - p), 0.01 * np.linalg.norm(p)
                assert length <= full * (1 + 1e-9)
                assert decay > 0 or length == pytest.approx(full, rel=1e-9)


def test_adam_never_moves_further_than_its_bound():
    """Kingma & Ba 2015, section 2.1: lr (1 - β1) / √(1 - β2) at most, and after a long silence almost that."""
    silence = [[np.zeros(1)]] * 3000
    path = points(rules.adam, [np.zeros(1)], [*silence, [np.ones(1)]], lr=0.01, eps=1e-300)
    bound = 0.01 * (1 - 0.9) / np.sqrt(1 - 0.999)
    assert bound > 0.03
    assert 0.95 * bound < abs(path[-1][0][0]) <= bound
    start, grads = gradients(steps=200)
    path = points(rules.adam, start, grads, lr=0.01)
    for before, after in pairwise(path):
        assert all(np.abs(q - p).max(initial=0) <= bound for p, q in zip(before, after, strict=True))


def test_adafactor_moves_by_a_share_of_the_weights():
    """Root mean square of the step: at most max(eps2, that of the weights) min(lr, 1 / √t), for d = 1."""
    start, grads = gradients(shapes=((4, 3), (3, 5), (2, 3, 4)), holes=False)
    path, reached = points(rules.adafactor, start, grads, lr=0.3), 0.0
    for t, (before, after) in enumerate(pairwise(path), 1):
        for p, q in zip(before, after, strict=True):
            bound = max(1e-3, np.sqrt(np.mean(p**2))) * min(0.3, 1 / np.sqrt(t))
            share = np.sqrt(np.mean((q - p) ** 2)) / bound
            assert share <= 1 + 1e-12
            reached = max(reached, share)
    assert reached > 1 - 1e-9


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_clip_norm_never_increases_any_norm_and_keeps_what_is_small(scale):
    """Through gradient descent with lr = 1 from zero, whose point is minus the clipped gradient."""
    _, made = gradients(holes=False)
    clipped = chain(rules.clip_norm, rules.gradient_descent)
    for g in made:
        g = [scale / 30 * x for x in g]
        new = [-p for p in points(clipped, [np.zeros(s) for s in SHAPES], [g], lr=1.0, max_norm=0.7)[-1]]
        assert size(new) <= min(size(g), 0.7)
        assert all(np.all(np.abs(b) <= np.abs(a)) for a, b in zip(g, new, strict=True))
        assert all(np.allclose(b * size(g), a * size(new), rtol=1e-12) for a, b in zip(g, new, strict=True))
        if size(g) + 1e-6 <= 0.7:
            assert all(np.array_equal(a, b) for a, b in zip(g, new, strict=True))
        else:
            assert size(new) == pytest.approx(0.7, abs=2e-6)


def rows(x):
    return np.linalg.norm(x, axis=1)


# What is limited, and to what, at the default settings.
LIMITS = {
    "clip_value": lambda new, p: np.abs(new).max() <= 1 + 1e-12,
    "clip_tensor": lambda new, p: np.linalg.norm(new) <= 1,
    "adaptive_clip": lambda new, p: np.all(rows(new) <= 0.01 * np.maximum(rows(p), 1e-3) + 1e-12),
}


@pytest.mark.parametrize("name", LIMITS)
def test_no_clipping_enlarges_or_turns_an_entry(name):
    start, made = gradients(shapes=((4, 3), (3, 3)), holes=False)
    clipped = chain(rules.modifiers()[name], rules.gradient_descent)
    changed = kept = False
    for g in made:
        for a, p, q in zip(g, start, points(clipped, start, [g], lr=1.0)[-1], strict=True):
            new = p - q
            assert LIMITS[name](new, p)
            assert np.all(np.abs(new) <= np.abs(a) + 1e-12)
            assert np.all(new * a >= 0)
            changed |= bool(np.any(np.abs(new - a) > 1e-9))
            kept |= bool(np.allclose(new, a, atol=1e-12))
    assert changed
    assert kept


@pytest.mark.parametrize("name", ["momentum_accumulation", "adamw", "lion", "nadam", "ademamix"])
def test_cautious_never_moves_against_the_gradient(name):
    """Entry by entry; the plain rule does so on the same path, hence the modifier has something to prevent."""
    start, grads = gradients(holes=False)
    against = {}
    for rule in (ALL[name], chain(ALL[name], rules.cautious)):
        path = points(rule, start, grads, lr=0.01)
        steps = [[q - p for p, q in zip(a, b, strict=True)] for a, b in pairwise(path)]
        pairs = [(s, g) for step, grad in zip(steps, grads, strict=True) for s, g in zip(step, grad, strict=True)]
        against[rule.name] = sum(int(np.sum(s * g > 0)) for s, g in pairs)
        assert any(np.abs(s).max(initial=0) > 0 for s, _ in pairs)
    assert against.pop(f"{name}+cautious") == 0
    assert against[name] > 10


BASES = ["gradient_descent", "adamw", "momentum_accumulation"]


@pytest.mark.parametrize("name", BASES)
def test_lookahead_of_one_step_all_the_way_is_the_rule(name):
    start, grads = gradients()
    plain = points(ALL[name], start, grads, lr=0.01)
    ahead = chain(ALL[name], rules.lookahead)
    all_the_way = points(ahead, start, grads, lr=0.01, k=1.0, alpha=1.0)
    assert all(same(a, b) for a, b in zip(all_the_way, plain, strict=True))
    assert not same(points(ahead, start, grads, lr=0.01, k=1.0, alpha=0.9)[-1], plain[-1])


@pytest.mark.parametrize("name", BASES)
def test_averages_leave_the_path_and_ship_what_they_say(name):
    """ema with decay 0 ships the point, with decay 1 the start; swa the mean of the points from ``begin`` on."""
    start, grads = gradients()
    path = points(ALL[name], start, grads, lr=0.01)
    cases = [(rules.ema, {"decay": 0.0}, path[1:]), (rules.ema, {"decay": 1.0}, [start] * len(grads))]
    for begin in (1, 8):
        means = [[np.mean(x, axis=0) for x in zip(*path[begin : t + 1], strict=True)] for t in range(begin, len(path))]
        cases.append((rules.swa, {"begin": float(begin)}, [*path[1:begin], *means]))
    for modifier, settings, expected in cases:
        averaged = chain(ALL[name], modifier)
        states = run(averaged, start, grads, lr=0.01, **settings)
        assert all(same(state["p"], p) for state, p in zip(states, path[1:], strict=True))
        assert all(same(shipped(averaged, s, {}), q) for s, q in zip(states, expected, strict=True))


def shipped(rule, state, settings):
    wanted = {k: settings[k] for k in inspect.signature(rule.shipped_point).parameters if k in settings}
    slots = [state[slot.name] for slot in rule.slots]
    return [rule.shipped_point(p, *own, **wanted) for p, *own in zip(state["p"], *slots, strict=True)]


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw", "schedule_free_radam"])
def test_schedule_free_ships_the_weighted_average_of_z(name):
    """Weights are the squares of the largest rate so far: of the warm-up, or of RAdam's rectification."""
    start, grads = gradients()
    lr, warmup = 0.03, 7
    settings = {**ALL[name].settings, "lr": lr, "weight_decay": 0.1}
    weights = [(lr * min(1.0, t / warmup)) ** 2 for t in range(1, len(grads) + 1)]
    if name == "schedule_free_radam":
        weights = [rectified(t, lr, settings["beta2"]) ** 2 for t in range(1, len(grads) + 1)]
    else:
        settings["warmup_steps"] = float(warmup)
    states = run(ALL[name], start, grads, **settings)
    for t in range(1, len(grads) + 1):
        if sum(weights[:t]) == 0:
            assert same(shipped(ALL[name], states[t - 1], settings), start)
            continue
        zs = zip(*(state["z"] for state in states[:t]), strict=True)
        average = [np.average(np.array(z), axis=0, weights=weights[:t]) for z in zs]
        assert all(
            np.allclose(a, b, rtol=1e-11, atol=1e-12)
            for a, b in zip(shipped(ALL[name], states[t - 1], settings), average, strict=True)
        )
    assert not same(states[-1]["p"], shipped(ALL[name], states[-1], settings))


def rectified(t, lr, beta2):
    """Liu et al. 2020: nothing until ρ > 4, then lr times the rectification, which rises with t."""
    last = 2 / (1 - beta2) - 1
    rho = last - 2 * t * beta2**t / (1 - beta2**t)
    if rho <= 4:
        return 0.0
    return lr * np.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
