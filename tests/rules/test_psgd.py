"""PSGD with Kronecker factors: its schedule of updates, its whitening, and the peer it follows."""

import itertools
import math

import numpy as np
import pytest
import torch
from peers import need

from descend import rules
from descend.checks.references import REFERENCES
from descend.checks.references.psgd import gaussian, norm_lower_bound
from descend.checks.traces import gradients, oracle
from descend.optimizer import Optimizer

DEFAULTS = {
    "lr": 1e-3, "momentum": 0.9, "weight_decay": 0.0, "precondition_lr": 0.1, "update_probability": 0.03,
    "update_decay": 0.001, "update_start": 500.0, "seed": 0,
}  # fmt: skip


def test_the_settings_are_those_of_the_page():
    assert {name: float(value) for name, value in rules.psgd_kron.settings.items()} == DEFAULTS


# ---------------------------------------------------------------- the bound


def test_the_bound_is_below_the_spectral_norm_and_within_the_root_of_the_size():
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 12):
        for _ in range(20):
            H = rng.normal(size=(size, size))
            H = H + H.T
            largest = np.abs(np.linalg.eigvalsh(H)).max()
            assert largest / math.sqrt(size) <= norm_lower_bound(H) * (1 + 1e-12) <= largest * (1 + 2e-12)
    assert norm_lower_bound(np.zeros((3, 3))) == 0


# ---------------------------------------------------------------- the trajectory


def apart(settings: dict[str, float], start: list[np.ndarray], grads: list[list[np.ndarray]]) -> float:
    worst = 0.0
    settings = {**DEFAULTS, **settings}
    theirs = REFERENCES["psgd_kron"](start, grads, **settings)
    for ours, (x, state) in zip(oracle(rules.psgd_kron, start, grads, settings), theirs, strict=True):
        for a, b in zip(ours["p"], x, strict=True):
            worst = max(worst, np.abs(a - b).max() / max(1.0, np.abs(b).max()))
        for a, b in zip(ours["clock"], state["clock"], strict=True):
            assert float(a) == float(b)
        for name in ("ql", "qr"):
            for a, b in zip(ours[name], state[name], strict=True):
                assert np.array_equal(np.tril(a, -1), np.zeros_like(a))
                worst = max(worst, np.abs(a - b).max() / max(1.0, np.abs(b).max()))
    return worst


def test_tensors_are_flattened_to_their_first_dimension_and_the_rest():
    start, grads = gradients(((2, 3, 2), (3, 1, 2, 2), (1, 5), (5, 1)))
    assert apart({"lr": 0.02, "weight_decay": 0.1, "seed": 3}, start, grads) <= 1e-12


@pytest.mark.parametrize("update_probability", [0.03, 0.4, 1.0])
def test_the_clock_keeps_the_reference_s_time_where_updates_become_rare(update_probability):
    """The schedule is flat for 501 steps: shorter traces see neither the decay nor the least probability."""
    rng = np.random.default_rng(1)
    start = [rng.normal(size=(2, 3))]
    grads = [[rng.normal(size=(2, 3))] for _ in range(4200 if update_probability == 0.03 else 1600)]
    assert apart({"update_probability": update_probability}, start, grads) <= 1e-9


def test_updates_are_as_rare_as_the_schedule_says():
    settings = {**DEFAULTS, "update_probability": 0.25, "lr": 0.0}
    rng = np.random.default_rng(2)
    grads = [[rng.normal(size=(2, 2))] for _ in range(2600)]
    clock = [float(s["clock"][0]) for s in oracle(rules.psgd_kron, [np.ones((2, 2))], grads, settings)]
    assert clock[:501] == [0.0] * 501
    # the 502nd step has a probability below one
    assert clock[501:503] == [1.0, 0.0]
    # from step 1 + 500 + 1000 ln 4 = 1887.3 on, one step in four
    late = clock[1900:]
    assert [b for _, b in itertools.pairwise(late)] == [(a + 1) % 4 for a in late[:-1]]


def test_the_step_is_held_below_its_root_mean_square():
    rng = np.random.default_rng(3)
    grads = [[1e6 * rng.normal(size=(4, 5))] for _ in range(5)]
    p = np.zeros((4, 5))
    for state in oracle(rules.psgd_kron, [p], grads, {**DEFAULTS, "lr": 1.0, "precondition_lr": 0.0}):
        step, p = state["p"][0] - p, state["p"][0]
        assert math.sqrt(np.mean(step**2)) == pytest.approx(1.1, rel=1e-6)


def test_zero_gradients_leave_p_and_every_number_finite():
    for state in oracle(rules.psgd_kron, [np.ones((3, 2))], [[np.zeros((3, 2))]] * 40, {**DEFAULTS, "lr": 1.0}):
        assert np.array_equal(state["p"][0], np.ones((3, 2)))
        assert all(np.isfinite(state[name][0]).all() for name in ("ql", "qr"))


# ---------------------------------------------------------------- whitening


def covariance(state: dict[str, list[np.ndarray]], L: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Of the elements of ql^T ql G qr^T qr, for G = L Z R with Z white."""
    left = state["ql"][0].T @ state["ql"][0] @ L
    right = R @ state["qr"][0].T @ state["qr"][0]
    return np.kron(left @ left.T, right.T @ right)


def rotation(size: int, rng: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


@pytest.mark.parametrize("seed", [4, 5])
def test_the_preconditioned_gradient_becomes_white(seed):
    """Li 2018: the whitening loss has its minimum where the preconditioned gradient has the noise's covariance.

    Single covariances scatter by 0.2 to 0.4 (the updates are random); their mean departs by 0.04 to 0.06.
    """
    rng = np.random.default_rng(seed)
    L = rotation(4, rng) @ np.diag([4.0, 2.0, 1.0, 0.5]) @ rotation(4, rng)
    R = rotation(3, rng) @ np.diag([2.0, 1.0, 0.5]) @ rotation(3, rng)
    opt = Optimizer(
        rules.psgd_kron,
        [np.zeros((4, 3))],
        lr=0.0,
        momentum=0.0,
        update_probability=1.0,
        precondition_lr=lambda step: 0.1 if step < 1000 else 0.01,
    )
    identity = np.eye(12)
    assert np.abs(covariance(opt.state, L, R) - identity).max() > 10
    mean = np.zeros((12, 12))
    for step in range(6000):
        opt.step([L @ rng.normal(size=(4, 3)) @ R])
        if step >= 2000:
            mean += covariance(opt.state, L, R) / 4000
    assert np.abs(mean - identity).max() < 0.15


# ---------------------------------------------------------------- the peer


def test_pytorch_optimizer_s_kron_with_our_noise_takes_our_steps(monkeypatch):
    need("pytorch_optimizer")
    from pytorch_optimizer.optimizer import psgd as peer

    seed, shapes, now = 5, ((4, 3), (3, 3), (3, 5)), {}

    def same_noise(x, **_):
        return torch.tensor(gaussian(*x.shape, now["t"], seed))

    def solve_in_float64(x, a):
        flat = torch.linalg.solve_triangular(a, x.reshape(-1, x.size(-1)), upper=True, left=False)
        return flat.reshape_as(x)

    monkeypatch.setattr(torch, "randn_like", same_noise)
    monkeypatch.setattr(peer, "solve_triangular_right", solve_in_float64)
    start, grads = gradients(shapes, 30)
    params = [torch.nn.Parameter(torch.tensor(x)) for x in start]
    kron = peer.Kron(
        params, lr=0.02, momentum=0.8, weight_decay=0.1, pre_conditioner_update_probability=1.0, balance_prob=0.0,
        precondition_dtype=torch.float64,
    )  # fmt: skip
    settings = {**DEFAULTS, "lr": 0.02, "momentum": 0.8, "weight_decay": 0.1, "update_probability": 1.0, "seed": seed}
    for t, (ours, step) in enumerate(zip(oracle(rules.psgd_kron, start, grads, settings), grads, strict=True), 1):
        now["t"] = t
        for p, g in zip(params, step, strict=True):
            p.grad = torch.tensor(g)
        kron.step()
        for a, p in zip(ours["p"], params, strict=True):
            assert np.abs(a - p.detach().numpy()).max() <= 1e-9 * max(1.0, np.abs(a).max()), t
