"""Hostile problems: no NaN leaves, each run ends at the best point it saw, with a reason in words."""

import pytest

from benchmarks.search import fuzz


@pytest.mark.parametrize("first", range(0, 216, 27))
def test_a_hostile_problem_ends_at_its_best_point(first):
    assert [said for seed in range(first, first + 27) if (said := fuzz.fault(seed)[0])] == []


@pytest.mark.slow
def test_a_thousand_hostile_problems():
    assert [said for seed in range(216, 1000) if (said := fuzz.fault(seed)[0])] == []


def test_every_kind_is_met_and_is_hostile():
    met = {fuzz.problem(seed).kind for seed in range(len(fuzz.KINDS))}
    assert met == set(fuzz.KINDS)
    reasons = {fuzz.fault(seed)[1] for seed in range(60)}
    assert any("not finite" in reason for reason in reasons)
    assert any("no lower value" in reason or "budget" in reason for reason in reasons)
