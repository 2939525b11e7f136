"""Intervals under repeated looks: against simulated walks, and how often they err on made-up differences."""

import math

import numpy as np
import pytest
from scipy.special import stdtr, stdtrit

from descend.lab.race.protocol.sequential import critical_levels, interval, looks
from descend.lab.race.protocol.standing import compare, standings_of

PLAN = looks(80)


def test_looks_are_planned():
    assert PLAN == (8, 12, 18, 27, 41, 62, 80)
    assert looks(2) == (2,)
    assert looks(9) == (9,)
    assert looks(160)[-1] == 160


def test_one_look_spends_all():
    assert critical_levels((10,), 0.05) == pytest.approx((0.05,))


def test_levels_agree_with_a_simulated_walk():
    """Sums of normal steps cross the boundaries as often, and at the looks, as was spent."""
    levels = np.array(critical_levels(PLAN, 0.2))
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.standard_normal((100_000, PLAN[-1])), axis=1)[:, np.array(PLAN) - 1] / np.sqrt(PLAN)
    from scipy.special import ndtri

    first = np.argmax(np.abs(walks) > -ndtri(levels / 2), axis=1)
    crossed = (np.abs(walks) > -ndtri(levels / 2)).any(axis=1)
    spent = np.array([np.mean(crossed & (first <= k)) for k in range(len(PLAN))])
    assert spent == pytest.approx(0.2 * (np.array(PLAN) / 80) ** 3, abs=4e-3)


def test_an_interval_holds_students_at_the_level_of_its_look():
    differences = [0.3, -0.1, 0.2, 0.4, 0.1, 0.0, 0.3, 0.2]
    found = interval(differences, PLAN, 0.05)
    error = np.std(differences, ddof=1) / math.sqrt(8)
    half = -stdtrit(5, critical_levels(PLAN, 0.05)[0] / 2) * error
    assert found.mean == pytest.approx(0.175)
    assert found.low <= found.mean - half + 1e-12
    assert found.high >= found.mean + half - 1e-12
    assert 2 * stdtr(5, -half / error) == pytest.approx(critical_levels(PLAN, 0.05)[0])


def test_skewed_differences_have_a_lopsided_interval():
    found = interval([0.0, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0, 2.0], (8,), 0.05)
    assert found.high - found.mean > 1.2 * (found.mean - found.low)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.inf] * 4])
def test_what_has_no_interval_is_refused(values):
    with pytest.raises(ValueError, match="at least 2 finite differences"):
        interval(values, PLAN, 0.05)


def test_a_number_of_seeds_that_is_no_look_is_refused():
    with pytest.raises(ValueError, match="9 differences, but the race looks after 8, 12"):
        interval([0.1] * 9, PLAN, 0.05)


def normal(rng, shape):
    return rng.standard_normal(shape)


def heavy(rng, shape):
    return rng.standard_t(3, shape)


def outliers(rng, shape):
    return rng.standard_normal(shape) * np.where(rng.random(shape) < 0.05, 10, 1)


def exponential(rng, shape):
    return rng.exponential(size=shape) - 1


def gamma(rng, shape):
    return rng.gamma(0.5, size=shape) - 0.5  # skewness 2.8


def lognormal(rng, shape):
    return rng.lognormal(0, 0.5, shape) - math.exp(0.125)  # skewness 1.75


# What is over 5 %, and by how much: strongly skewed differences where a race has few seeds in all.
OVER = {(exponential, 5): 0.06, (gamma, 5): 0.065, (gamma, 20): 0.055}


@pytest.mark.parametrize("made", [normal, heavy, outliers, exponential, gamma, lognormal], ids=lambda f: f.__name__)
@pytest.mark.parametrize("most", [5, 8, 20, 80])
def test_a_difference_of_mean_zero_is_rarely_called_better(made, most):
    """At no look of the race does the interval leave zero, in 95 % of 2,000 races."""
    plan = looks(most)
    wrong = 0
    for row in made(np.random.default_rng(5), (2_000, most)):
        wrong += any(not found.low <= 0 <= found.high for n in plan if (found := interval(list(row[:n]), plan, 0.05)))
    assert wrong / 2_000 <= OVER.get((made, most), 0.05)


def test_verdicts_by_hand():
    plan, base = (8,), [1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.0]
    wiggle = [0.001, -0.001, 0.002, -0.002, 0.001, -0.001, 0.0, 0.0]

    def said(shift: float, scale: float = 1.0) -> str:
        return compare([b + shift + scale * w for b, w in zip(base, wiggle, strict=True)], base, plan, 0.05, 0.02)[0]

    assert said(0.0) == said(0.01) == "equal", "shown to be worse by 1 %, which makes no difference"
    assert said(0.1) == "behind"
    assert said(-0.1) == "better"
    assert said(0.02) == "behind"
    assert said(0.0, scale=100) == "undecided"


def test_who_diverges_is_behind_and_nobody_leads_where_all_do():
    plan = (2,)
    rows = standings_of({"hurt": [0.01, math.inf], "lost": [math.inf, math.inf], "safe": [0.5, 0.6]}, plan, 0.02).rows
    assert [(r.name, r.rank, r.standing, r.diverged) for r in rows] == [
        ("safe", 1, "leader", 0),
        ("hurt", 2, "behind", 1),
        ("lost", 3, "behind", 2),
    ]
    assert rows[1].mean == 0.01
    none = standings_of({"a": [math.inf, 1.0], "b": [math.inf, math.inf]}, plan, 0.02)
    assert none.leader is None
    assert [row.name for row in none.rows] == ["a", "b"]


def test_held_against_one_rule_others_can_be_better():
    losses = {"mine": [0.9, 0.91, 0.9, 0.92], "adam": [1.0, 1.02, 1.0, 1.01], "same": [1.0, 1.021, 1.0, 1.01]}
    found = standings_of(losses, (4,), 0.02, against="adam")
    assert found.leader == "adam"
    assert {row.name: row.standing for row in found.rows} == {"mine": "better", "adam": "leader", "same": "equal"}
    assert found.still_open() == set()


def test_a_rule_that_stopped_early_is_held_against_a_new_leader_on_the_seeds_both_have():
    plan = (2, 4)
    losses = {"new": [1.0, 1.1, 0.9, 0.8], "old": [1.0, 1.1, 1.3, 1.2], "gone": [1.001, 1.1]}
    found = standings_of(losses, plan, 0.02)
    assert found.leader == "new"
    assert found.of("gone").n == 2
    assert found.of("gone").interval is not None


def test_losses_that_spread_over_decades_are_compared_by_their_logarithms():
    base = [10.0**k for k in range(-4, 4)]
    tenth = [x * (1.1 + 0.01 * (-1) ** k) for k, x in enumerate(base)]
    same = [x * (1.001 + 0.001 * (-1) ** k) for k, x in enumerate(base)]
    assert compare(tenth, base, (8,), 0.05, 0.02)[0] == "undecided", "the largest alone decides nothing"
    found = standings_of({"base": base, "tenth": tenth, "same": same}, (8,), 0.02, log=True)
    assert {row.name: row.standing for row in found.rows} == {"base": "leader", "same": "equal", "tenth": "behind"}
    mean, low, high = found.of("tenth").relative
    assert low < mean < high
    assert mean == pytest.approx(0.1, abs=1e-3)
    assert found.of("base").mean == pytest.approx(10**-0.5)
    linear = standings_of({"base": base, "zero": [0.0, *base[1:]]}, (8,), 0.02, log=True)
    assert linear.of("base").log is False, "a loss of 0 has no logarithm"
