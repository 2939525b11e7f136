"""What is said to be pycma's is pycma's: the rates of CMA-ES and the fold into the box."""

import warnings

import numpy as np
import pytest

from descend.search.populations.bounds import Box
from descend.search.populations.cma_es import Rates
from descend.search.populations.sep_cma_es import SeparableRates

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    cma = pytest.importorskip("cma")


@pytest.mark.parametrize("n", [2, 5, 20, 40])
@pytest.mark.parametrize("times", [1, 3, 20])
def test_the_rates_of_cma_es(n, times):
    population = times * (4 + int(3 * np.log(n)))
    theirs = cma.CMAEvolutionStrategy(n * [1.0], 1.0, {"verbose": -9, "popsize": population, "seed": 1})
    theirs.ask()
    theirs.adapt_sigma.initialize(theirs)
    ours = Rates(n, population)
    parameters = theirs.sm.parameters(mueff=theirs.sp.weights.mueff, lam=theirs.sp.weights.lambda_)
    assert ours.mu == theirs.sp.weights.mu
    np.testing.assert_allclose(ours.weights, theirs.sp.weights, rtol=1e-12, atol=1e-15)
    for mine, peer in (
        (ours.mu_eff, theirs.sp.weights.mueff),
        (ours.cc, theirs.sp.cc),
        (ours.c1, parameters["c1"]),
        (ours.cmu, parameters["cmu"]),
        (ours.ds - ours.cs, theirs.adapt_sigma.damps - theirs.adapt_sigma.cs),  # c_sigma has 5 where pycma has 3: (55)
    ):
        assert mine == pytest.approx(peer, rel=1e-12)


def test_the_rates_of_the_separable_form_are_larger():
    for n, population in ((2, 6), (20, 12), (200, 100)):
        full, separable = Rates(n, population), SeparableRates(n, population)
        assert separable.c1 == pytest.approx(min(0.5, full.c1 * (n + 1.5) / 3))
        assert separable.c1 + separable.cmu <= 1


def test_the_fold_into_the_box():
    chance = np.random.default_rng(0)
    low, high = np.array([-1.0, 0.0, -300.0, 7.0]), np.array([2.0, 0.01, 5.0, 1e3])
    ours, theirs = Box(low, high), cma.BoundTransform([low, high])
    for scale in (0.1, 1, 30):
        for _ in range(100):
            y = low + (high - low) * (0.5 + scale * chance.standard_normal(4))
            np.testing.assert_allclose(ours.fold(y), theirs.transform(y.copy()), rtol=1e-9, atol=1e-9)
    x = chance.uniform(low, high)
    np.testing.assert_allclose(ours.unfold(x), theirs.inverse(x.copy()), rtol=1e-9)
