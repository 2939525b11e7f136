"""Every population method asks, generation after generation, for the points that its paper does."""

import itertools

import numpy as np
import papers
import pytest

from descend.search.populations.annealing import SimulatedAnnealing
from descend.search.populations.cma_es import CMAES
from descend.search.populations.differential_evolution import DE, LSHADE
from descend.search.populations.genetic import GA
from descend.search.populations.natural import SNES, XNES
from descend.search.populations.particle_swarm import PSO
from descend.search.populations.sep_cma_es import SepCMAES
from descend.search.populations.smoothing import PGPE, OpenAIES

X0 = np.array([1.5, -0.5, 2.0, 0.3])


def valley(x):
    """Rosenbrock's function with a tilt, so that nothing is symmetric."""
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum() + 0.1 * x[0])


def terraces(x):
    """The same with plateaus: equal values."""
    return float(np.floor(valley(x) / 20))


CASES = {
    "cma_es": (CMAES, {"restarts": "none"}, papers.cma_es, {}),
    "cma_es 20": (CMAES, {"restarts": "none", "population": 20}, papers.cma_es, {"population": 20}),
    "sep_cma_es": (SepCMAES, {"restarts": "none"}, papers.cma_es, {"separable": True}),
    **{
        f"de {s}": (
            DE,
            {"strategy": s, "population": 12},
            papers.differential_evolution,
            {"population": 12, "strategy": s},
        )
        for s in ("rand1", "best1", "current_to_pbest")
    },
    "l_shade": (LSHADE, {"population": 30, "budget": 500}, papers.l_shade, {"population": 30, "budget": 500}),
    **{
        f"pso {form} {topology}": (
            PSO,
            {"form": form, "topology": topology, "population": 9},
            papers.particle_swarm,
            {"form": form, "topology": topology, "population": 9},
        )
        for form in ("constriction", "inertia")
        for topology in ("ring", "global")
    },
    "ga": (GA, {"population": 10}, papers.genetic, {"population": 10}),
    "snes": (SNES, {}, papers.natural, {"separable": True}),
    "xnes": (XNES, {}, papers.natural, {"separable": False}),
    "pgpe": (PGPE, {"population": 12}, papers.smoothing, {"population": 12, "kind": "pgpe"}),
    "es": (OpenAIES, {"population": 12}, papers.smoothing, {"population": 12, "kind": "es"}),
    "simulated_annealing": (
        SimulatedAnnealing,
        {"chains": 3, "temperature": 50.0, "cooling": 0.9},
        papers.annealing,
        {"chains": 3, "temperature": 50.0, "cooling": 0.9},
    ),
}


@pytest.mark.parametrize("f", [valley, terraces])
@pytest.mark.parametrize("case", CASES)
def test_it_asks_for_what_the_paper_asks_for(case: str, f):
    kind, options, paper, arguments = CASES[case]
    method = kind(X0, sigma0=0.4, seed=7, **options)
    seen = 0
    for theirs in paper(f, X0, 0.4, 40, np.random.default_rng(7), **arguments):
        ours = method.ask()
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)
        method.tell(ours, [f(x) for x in theirs])  # the same values, so that rounding does not change a rank
        seen += 1
        if f is terraces and method.stop is not None:  # all equal: the library ends where the paper goes on
            break
    assert seen == 40 or method.stop is not None


def test_the_paths_differ_between_methods():
    """The comparison sees a difference: no two of the cases play the same."""
    first = {case: CASES[case][0](X0, sigma0=0.4, seed=7, **CASES[case][1]) for case in CASES}
    last = {}
    for case, method in first.items():
        for _ in range(5):
            points = method.ask()
            method.tell(points, [valley(x) for x in points])
        last[case] = method.ask()[-1]
    assert all(np.abs(last[a] - last[b]).max() > 1e-6 for a, b in itertools.combinations(last, 2))


def test_l_shade_remembers_a_crossover_rate_of_zero_for_good():
    method = LSHADE(X0, seed=1)
    method.remember(np.array([0.5, 0.7]), np.array([0.0, 0.0]), np.array([1.0, 3.0]))
    assert np.isnan(method.memory_CR[0])
    assert method.memory_F[0] == pytest.approx((0.25 * 0.5**2 + 0.75 * 0.7**2) / (0.25 * 0.5 + 0.75 * 0.7))
    method.slot = 0
    method.remember(np.array([0.5]), np.array([0.9]), np.array([1.0]))
    assert np.isnan(method.memory_CR[0])
    assert (method.draw()[1] >= 0).all()
