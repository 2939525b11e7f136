"""Line searches and trust regions by themselves."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from descend.search.second_order.line_search import backtracking, strong_wolfe
from descend.search.second_order.trust_region import Exact, Krylov, Steihaug


def run(search, f, slope):
    asked = []
    t = next(search)
    while True:
        asked.append(t)
        try:
            t = search.send((f(t), slope(t)))
        except StopIteration as end:
            return end.value, asked


CURVES = [
    (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2),  # Moré and Thuente (1994), (5.1)
    (lambda t: np.cos(t) - 0.1 * t, lambda t: -np.sin(t) - 0.1),
    (lambda t: np.exp(-t) + 0.01 * t * t, lambda t: -np.exp(-t) + 0.02 * t),
]


@pytest.mark.parametrize("curve", range(len(CURVES)))
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 30.0, 1e3])
def test_the_strong_wolfe_conditions_hold(curve, first):
    f, slope = CURVES[curve]
    for c2 in (0.9, 0.1):
        t, asked = run(strong_wolfe(f(0), slope(0), first, c2=c2), f, slope)
        assert t > 0
        assert f(t) <= f(0) + 1e-4 * t * slope(0)
        assert abs(slope(t)) <= c2 * abs(slope(0))
        assert asked[0] == first
        assert len(asked) <= 16


def test_a_wall_is_stepped_back_from():
    def f(t):
        return (t - 1) ** 2 if t < 1.2 else np.inf

    def slope(t):
        return 2 * (t - 1) if t < 1.2 else 0.0

    for search in (strong_wolfe(1.0, -2.0, 50.0), backtracking(1.0, -2.0, 50.0)):
        t, asked = run(search, f, slope)
        assert 0 < t < 1.2
        assert f(t) < 1
        assert len(asked) < 25


def test_where_nothing_is_lower_the_length_is_none():
    for search in (strong_wolfe(0.0, -1.0), backtracking(0.0, -1.0)):
        t, _ = run(search, lambda t: t, lambda t: 1.0)
        assert t == 0.0


def solve(model, H, radius):
    steps = model.within(radius)
    products = 0
    try:
        v = next(steps)
        while True:
            products += 1
            v = steps.send(H @ v)
    except StopIteration as end:
        return end.value, products


@pytest.mark.parametrize("seed", range(20))
def test_exact_and_krylov_steps_are_the_best_in_the_ball(seed):
    rng = np.random.default_rng(seed)
    n = 4
    root = rng.standard_normal((n, n))
    H = (root + root.T) / 2 + (seed % 3 - 1) * 2 * np.eye(n)
    g = rng.standard_normal(n)
    for radius in (0.1, 1.0, 10.0):
        chance = rng.standard_normal((4000, n))
        inside = chance / np.linalg.norm(chance, axis=1, keepdims=True) * radius * rng.uniform(0, 1, (4000, 1)) ** 0.25
        on = chance / np.linalg.norm(chance, axis=1, keepdims=True) * radius
        tried = np.vstack([inside, on])
        best = (tried @ g + ((tried @ H) * tried).sum(axis=1) / 2).min()
        for model in (Exact(g, H), Krylov(g, 1e-12, 50)):
            step, _ = solve(model, H, radius)
            value = g @ step.p + step.p @ H @ step.p / 2
            assert np.linalg.norm(step.p) <= radius * (1 + 1e-9)
            assert value <= best + 1e-9
            assert step.fall == pytest.approx(-value, rel=1e-8)
            # the conditions that only the best step fulfils (Nocedal and Wright 2006, Theorem 4.1)
            lam = -(g + H @ step.p) @ step.p / (step.p @ step.p)
            np.testing.assert_allclose((H + lam * np.eye(n)) @ step.p, -g, atol=1e-6)
            assert lam >= -1e-8
            assert np.linalg.eigvalsh(H)[0] + lam >= -1e-7
            assert step.held == (np.linalg.norm(step.p) > radius * (1 - 1e-9))


def test_the_hard_case_takes_the_eigenvector_too():
    H, g = np.diag([-2.0, -1.0, 3.0]), np.array([0.0, 1.0, 1.0])
    step, _ = solve(Exact(g, H), H, 5.0)
    assert np.linalg.norm(step.p) == pytest.approx(5)
    np.testing.assert_allclose((H + 2 * np.eye(3)) @ step.p, -g, atol=1e-9)


@pytest.mark.parametrize("kind", [Steihaug, Krylov])
def test_a_smaller_radius_asks_for_no_new_product(kind):
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    H, g = root @ root.T, rng.standard_normal(6)
    model = kind(g, 1e-10, 50)
    free, first = solve(model, H, 1e6)
    assert first >= 6
    np.testing.assert_allclose(H @ free.p, -g, atol=1e-6)
    before = free.fall
    for radius in (1.0, 0.1, 0.01):
        step, more = solve(model, H, radius)
        fresh, _ = solve(kind(g, 1e-10, 50), H, radius)
        assert more == 0
        assert step.held
        assert step.fall < before
        if kind is Steihaug:
            np.testing.assert_allclose(step.p, fresh.p, atol=1e-12)
        before = step.fall


def test_steihaug_falls_at_least_as_far_as_straight_down():
    rng = np.random.default_rng(3)
    root = rng.standard_normal((5, 5))
    H, g = (root + root.T) / 2, rng.standard_normal(5)
    step, _ = solve(Steihaug(g, 1e-9, 50), H, 0.7)
    down = minimize_scalar(
        lambda t: -t * g @ g + t * t / 2 * g @ H @ g, bounds=(0, 0.7 / np.linalg.norm(g)), method="bounded"
    )
    assert step.fall >= -down.fun - 1e-9
