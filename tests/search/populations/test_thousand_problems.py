"""Problems drawn at random, most of them nasty: each ends at the best point looked at, with a reason in words."""

import numpy as np
import pytest

from descend import minimize

NAMES = [
    "ga", "pso", "de", "l_shade", "cma_es", "sep_cma_es", "lq_cma_es", "xnes", "snes", "pgpe", "es",
    "simulated_annealing", "auto",
]  # fmt: skip
KINDS = ["plain", "noise", "nan", "inf", "float32", "huge", "tiny", "steps", "offset"]


class Problem:
    """A quartic over a quadratic of condition up to 1e10, at times indefinite, spoilt in one of the ways of KINDS."""

    def __init__(self, seed):
        self.chance = chance = np.random.default_rng(seed)
        self.n = n = int(chance.integers(1, 9))
        axes = np.linalg.qr(chance.standard_normal((n, n)))[0]
        self.hessian = axes * (10.0 ** chance.uniform(-5, 5, n) * chance.choice([1, -1], n, p=[0.9, 0.1])) @ axes.T
        self.scale = 10.0 ** chance.uniform(-6, 6)
        self.x0 = self.centre = self.scale * chance.standard_normal(n)
        self.kind = str(chance.choice(KINDS))
        self.bounds = None
        if chance.random() < 0.5:
            width = self.scale * 10.0 ** chance.uniform(-1, 2, n)
            low = self.x0 - width * chance.random(n)
            self.x0 = np.clip(self.x0, low, low + width)
            sides = np.stack((low, low + width), axis=1)
            self.bounds = [tuple(side if chance.random() < 0.8 else None for side in pair) for pair in sides]
        self.budget = int(chance.integers(1, 600))
        self.best = np.inf

    def __call__(self, x):
        y = (x - self.centre / 2) / self.scale
        value = float(y @ self.hessian @ y) + 0.01 * float(y @ y) ** 2
        match self.kind:
            case "noise":
                value += self.chance.standard_normal()
            case "nan" if y[0] > 0.5:
                value = np.nan
            case "inf" if self.chance.random() < 0.2:
                value = self.chance.choice([np.inf, -np.inf])
            case "float32":
                value = float(np.float32(value))
            case "huge":
                value *= 1e300
            case "tiny":
                value *= 1e-300
            case "steps":
                value = float(np.floor(value))
            case "offset":
                value += 1e12
        if np.isfinite(value):
            self.best = min(self.best, value)
        return value


def ends_well(name, seed):
    problem = Problem(seed)
    found = minimize(problem, problem.x0, name, problem.bounds, budget=problem.budget, seed=seed)
    assert np.isfinite(found.x).all(), (seed, problem.kind)
    assert found.fun == problem.best, (seed, problem.kind)
    assert found.nfev <= problem.budget
    assert len(found.message) > 10


@pytest.mark.parametrize("name", NAMES)
def test_a_random_problem_ends_at_its_best_point(name):
    for seed in range(12):
        ends_well(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_random_problems_end_at_their_best_points(name):
    for seed in range(100, 177):
        ends_well(name, seed)
