"""What the theory says about convex quadratics: rates that must come out exactly, bounds that must hold.

f(x) = ½ xᵀ H x with H = Q diag(λ) Qᵀ, so the least is 0 and lies at 0.
"""

from itertools import pairwise

import numpy as np
import pytest

from descend import rules
from descend.checks.traces import oracle

ALL = rules.all()
CURVATURES = np.geomspace(1e-3, 1.0, 6)
Q = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
H = Q @ np.diag(CURVATURES) @ Q.T
START = Q @ np.random.default_rng(1).normal(size=6)


def loss(x):
    return 0.5 * float(x @ H @ x)


def descent(name, steps, start=START, gradient=lambda x: H @ x, **settings):
    """States of a path whose gradients are taken at the point the rule asks for."""
    rule, given = ALL[name], {**ALL[name].settings, **settings}
    grads = [[gradient(start)]]  # grows while the oracle reads it
    for state, _ in zip(oracle(rule, [start], grads, given), range(steps), strict=False):
        yield state
        at = state["p"][0]
        if rule.gradient_point is not None:
            at = rule.gradient_point(at, state["v"][0], momentum=given["momentum"])
        grads.append([gradient(at)])


def path(name, steps, **settings):
    return np.array([START, *(state["p"][0] for state in descent(name, steps, **settings))])


def rate(distances, last=100):
    """Mean factor per step over the last steps."""
    return (distances[-1] / distances[-1 - last]) ** (1 / last)


@pytest.mark.parametrize("lr", [0.3, 1.0, 1.7, 2.1])
def test_gradient_descent_contracts_each_direction_by_its_own_factor(lr):
    """|1 - lr λ| at every step: 2 / λ is the limit, which 2.1 exceeds in the steepest direction only."""
    along = path("gradient_descent", 30, lr=lr) @ Q
    for t, x in enumerate(along):
        assert np.allclose(x, (1 - lr * CURVATURES) ** t * along[0], rtol=1e-10, atol=1e-13)
    grown = np.abs(along[-1]) > np.abs(along[0])
    assert list(grown) == [lr * c > 2 for c in CURVATURES]


def recurrence(x):
    """The a and b with x'' = a x' - b x that fit a trajectory best; the fit must be exact."""
    A = np.stack([x[1:-1], -x[:-2]], axis=1)
    fit, *_ = np.linalg.lstsq(A, x[2:], rcond=None)
    assert np.allclose(A @ fit, x[2:], rtol=0, atol=1e-9 * np.abs(x).max())
    return fit


def slowest(a, b):
    return np.abs(np.roots([1.0, -a, b])).max()


# The setting that is β, and what lr is multiplied by: an average holds (1 - β) of a sum.
FORMS = {"momentum_accumulation": ("momentum", 1), "momentum_velocity": ("momentum", 1), "momentum_ema": ("beta", 10)}


@pytest.mark.parametrize("name", FORMS)
def test_momentum_contracts_by_the_root_of_momentum_where_it_swings(name):
    """Polyak 1964: underdamped while (1 - √β)² < lr λ < (1 + √β)², with the same rate for all these λ."""
    setting, factor = FORMS[name]
    along = path(name, 30, lr=0.8 * factor, **{setting: 0.9}) @ Q
    swings = (1 - np.sqrt(0.9)) ** 2 < 0.8 * CURVATURES
    assert 2 <= swings.sum() < len(CURVATURES)
    for x, c, underdamped in zip(along.T, CURVATURES, swings, strict=True):
        fit = recurrence(x)
        assert np.allclose(fit, (1.9 - 0.8 * c, 0.9), rtol=1e-9)
        assert (slowest(*fit) == pytest.approx(np.sqrt(0.9), rel=1e-6)) == underdamped
        assert underdamped or slowest(*fit) > np.sqrt(0.9)


@pytest.mark.parametrize("name", ["nesterov_lookahead", "nesterov_rewritten", "nesterov_accumulation"])
def test_nesterov_contracts_steep_directions_faster(name):
    """√(β (1 - lr λ)) where it swings: the look-ahead damps what is steep."""
    along = path(name, 12, lr=0.8, momentum=0.9) @ Q
    steep = 0
    for x, c in zip(along.T, CURVATURES, strict=True):
        fit, left = recurrence(x), 1 - 0.8 * c
        assert np.allclose(fit, (1.9 * left, 0.9 * left), rtol=1e-9)
        if (1.9 * left) ** 2 < 4 * 0.9 * left:
            steep += 1
            assert slowest(*fit) == pytest.approx(np.sqrt(0.9 * left), rel=1e-6)
    assert steep >= 2


L, MU = CURVATURES.max(), CURVATURES.min()
ROOT = np.sqrt(L / MU)
STANDARD = {"lr": 1 / L, "momentum": (ROOT - 1) / (ROOT + 1)}


def test_nesterov_beats_momentum_at_its_standard_settings():
    """lr = 1/L and β = (√κ - 1)/(√κ + 1) for both; κ = 1000."""
    ends = {name: loss(path(name, 300, **STANDARD)[-1]) for name in ("nesterov_lookahead", "momentum_velocity")}
    plain = loss(path("gradient_descent", 300, lr=1 / L)[-1])
    assert ends["nesterov_lookahead"] < 0.5 * ends["momentum_velocity"] < 0.5 * plain


def test_nesterov_keeps_within_its_bound():
    """Nesterov 2004, theorem 2.2.3: f(x_k) <= (1 - √(μ/L))^k (f(x_0) + μ/2 |x_0|²)."""
    begin = loss(START) + MU / 2 * START @ START
    for k, x in enumerate(path("nesterov_lookahead", 300, **STANDARD)):
        assert loss(x) <= (1 - 1 / ROOT) ** k * begin * (1 + 1e-9)
    late = [loss(x) for x in path("gradient_descent", 300, lr=1 / L)]
    assert late[-1] > (1 - 1 / ROOT) ** 300 * begin


def test_momentum_tuned_to_the_quadratic_beats_nesterov_in_the_end():
    """Polyak 1964: lr = 4/(√L + √μ)², β = ((√κ - 1)/(√κ + 1))² give (√κ - 1)/(√κ + 1) a step; Nesterov 1 - 1/√κ."""
    polyak = {"lr": 4 / (np.sqrt(L) + np.sqrt(MU)) ** 2, "momentum": ((ROOT - 1) / (ROOT + 1)) ** 2}
    rates = {
        name: rate(np.linalg.norm(path(name, 1500, **settings), axis=1), last=1000)
        for name, settings in {"momentum_velocity": polyak, "nesterov_lookahead": STANDARD}.items()
    }
    assert rates["momentum_velocity"] == pytest.approx((ROOT - 1) / (ROOT + 1), abs=3e-3)
    assert rates["nesterov_lookahead"] == pytest.approx(1 - 1 / ROOT, abs=3e-3)
    assert rates["momentum_velocity"] < rates["nesterov_lookahead"]


# Estimates of the distance D to the solution.


@pytest.mark.parametrize(
    ("name", "estimate"),
    [
        ("prodigy", "d"), ("prodigy_tensor", "d"), ("dadapt_sgd", "d"), ("dadapt_adam", "d"), ("dog", "far"),
        ("dowg", "far"),
    ],
)  # fmt: skip
def test_the_estimate_of_the_distance_rises_and_never_falls(name, estimate):
    """Nor under gradients that are nothing but noise."""
    noise = np.random.default_rng(2)
    for gradient in (lambda x: noise.normal(size=6), lambda x: H @ x):
        d = [float(np.max(state[estimate])) for state in descent(name, 300, gradient=gradient)]
        assert all(a <= b for a, b in pairwise(d))
    assert d[-1] > 100 * d[0]


def test_an_estimate_of_a_tensor_rises_by_a_bounded_factor_and_falls_to_a_share_of_its_size():
    least = 1e-3 * np.sqrt(np.mean(START**2))

    def estimates(gradient, d0):
        path = descent("prodigy_tensor", 600, gradient=gradient, d0=d0, d0_rel=1e-3, beta2=0.99)
        return [float(np.max(state["d"])) for state in path]

    rising = estimates(lambda x: H @ x, 1e-6)
    assert rising[0] == pytest.approx(least)
    assert max(rising) > 50 * least
    assert max(b / a for a, b in pairwise(rising)) == pytest.approx(1.2)
    falling = estimates(np.zeros_like, 5 * least)  # nothing says that there is anywhere to go
    assert falling == pytest.approx([max(least, 5 * least * 0.99 ** ((k + 1) / 2)) for k in range(600)])


@pytest.mark.parametrize(("gradient", "start"), [(lambda x: H @ x, START), (np.sign, np.full(6, 3.0))])
def test_prodigy_never_overestimates_the_distance(gradient, start):
    """Mishchenko & Defazio 2023: on convex losses d <= |x_0 - x*|_∞, as r <= <s, x_0 - x*> by convexity."""
    d = [float(np.max(state["d"])) for state in descent("prodigy", 500, start=start, gradient=gradient)]
    largest = np.abs(start).max()
    assert 0.05 * largest < d[-1] <= largest


def test_dadapt_sgd_never_overestimates_the_distance_twice():
    """Defazio & Mishchenko 2023, without momentum: Σ λ <g, s> <= |s| D, and d is twice their ratio."""
    d = [float(np.max(state["d"])) for state in descent("dadapt_sgd", 500, momentum=0.0)]
    assert 0.1 * np.linalg.norm(START) < d[-1] <= 2 * np.linalg.norm(START)
