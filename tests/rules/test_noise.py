"""The noise of PSGD: standard normal, the same numbers everywhere, another draw for every step and seed."""

import math

import numpy as np
import pytest
import torch

from descend.checks.references.psgd import gaussian
from descend.core.ops import noise
from descend.engines import load

for engine in ("numpy", "torch"):  # they bring their words along
    load(engine)


def drawn(t: int, seed: int, shape: tuple[int, ...] = (400, 500)) -> np.ndarray:
    return np.asarray(noise(np.zeros(shape), t, seed))


@pytest.mark.parametrize(("t", "seed"), [(1, 0), (2, 0), (1, 1), (12345, 7), (2**31, 2**31)])
def test_noise_is_standard_normal_by_its_moments(t, seed):
    v = drawn(t, seed).ravel()
    # the k-th moment of n numbers has the variance (E x^2k - (E x^k)^2) / n
    for k, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs(np.mean(v**k) - expected) < 5 * math.sqrt(variance / v.size), k
    below = np.mean(v[:, None] < np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), axis=0)
    cdf = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in (-2.0, -1.0, 0.0, 1.0, 2.0)])
    assert np.all(np.abs(below - cdf) < 5 * np.sqrt(cdf * (1 - cdf) / v.size))


@pytest.mark.parametrize("lag", [1, 2, 3, 500])
def test_neighbours_in_the_noise_do_not_correlate(lag):
    v = drawn(3, 5).ravel()
    assert abs(np.mean(v[:-lag] * v[lag:])) < 5 / math.sqrt(v.size - lag)
    assert abs(np.mean((v[:-lag] ** 2 - 1) * (v[lag:] ** 2 - 1))) < 10 / math.sqrt(v.size - lag)


@pytest.mark.parametrize("other", [(2, 0), (1, 1), (1, 2), (2, 1), (1 + 2**16, 0)])
def test_noise_of_another_step_or_seed_is_independent(other):
    v, w = drawn(1, 0).ravel(), drawn(*other).ravel()
    assert np.mean(v == w) < 1e-3
    assert abs(np.mean(v * w)) < 5 / math.sqrt(v.size)
    assert abs(np.mean((v**2 - 1) * (w**2 - 1))) < 10 / math.sqrt(v.size)


@pytest.mark.parametrize(("t", "seed"), [(1, 0), (7, 3), (999, 2**32 - 1), (2**32 - 1, 1)])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (5, 3), (0, 4)])
def test_noise_is_that_of_the_integer_arithmetic(t, seed, shape):
    expected = gaussian(*shape, t, seed)
    assert np.abs(drawn(t, seed, shape) - expected).max(initial=0) <= 1e-13


def test_noise_is_the_same_in_numpy_and_torch():
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-6)):
        theirs = noise(torch.zeros(30, 40, dtype=dtype), 11, 4)
        assert theirs.dtype == dtype
        assert np.abs(theirs.double().numpy() - drawn(11, 4, (30, 40))).max() <= tolerance


def test_noise_depends_on_the_place_alone_not_on_the_layout_or_the_values():
    a = noise(torch.full((6, 4), 3.0, dtype=torch.float64).T, 2, 1)
    b = noise(torch.zeros(4, 6, dtype=torch.float64), 2, 1)
    assert torch.equal(a, b)
    assert np.array_equal(drawn(2, 1, (4, 6)).ravel(), drawn(2, 1, (24, 1)).ravel())


def test_noise_leaves_the_generators_alone():
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    noise(torch.zeros(3, 3), 1, 0), noise(np.zeros((3, 3)), 1, 0)
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
