"""The statistics of a race, against scipy and against numbers worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from descend.lab.race.stats import holm_alphas, paired, standings, usable_width

A = [0.061, 0.058, 0.063, 0.060, 0.059]
B = [0.066, 0.059, 0.071, 0.060, 0.064]


def test_paired_agrees_with_scipy():
    mine = paired([b - a for a, b in zip(A, B, strict=True)])
    theirs = scipy_stats.ttest_rel(B, A)
    interval = theirs.confidence_interval(0.95)
    assert mine.p == pytest.approx(theirs.pvalue, rel=1e-10)
    assert mine.mean - mine.half_width(0.05) == pytest.approx(interval.low, rel=1e-10)
    assert mine.mean + mine.half_width(0.05) == pytest.approx(interval.high, rel=1e-10)


def test_paired_by_hand():
    # Differences 1, 2, 3: mean 2, standard error 1/sqrt(3), t(0.975, 2) = 4.3027.
    c = paired([1.0, 2.0, 3.0])
    assert (c.mean, c.error) == pytest.approx((2, 3**-0.5))
    assert c.half_width(0.05) == pytest.approx(4.302653 * 3**-0.5, rel=1e-6)


def test_equal_differences():
    assert paired([0.0, 0.0]).p == 1
    assert paired([0.25, 0.25]).p == 0
    assert paired([0.25, 0.25]).half_width(0.05) == 0


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.inf], [1.0, math.nan]])
def test_paired_refuses_what_has_no_interval(values):
    with pytest.raises(ValueError, match="at least 2 finite differences"):
        paired(values)


def test_holm_by_hand():
    # Levels .05/3, .05/2, .05/1: .010 and .020 pass theirs, .060 does not.
    assert holm_alphas([0.020, 0.060, 0.010]) == pytest.approx([0.05 / 2, 0.05, 0.05 / 3])
    # .010 passes .05/3; .030 misses .05/2, and so .040 is not even tried at .05.
    assert holm_alphas([0.010, 0.040, 0.030]) == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2])


@given(st.lists(st.floats(0, 1), max_size=8))
def test_an_interval_covers_0_exactly_when_holm_does_not_reject(p_values):
    rejected, m = set(), len(p_values)
    for k, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        if p_values[i] > 0.05 / (m - k):
            break
        rejected.add(i)
    assert {i for i, alpha in enumerate(holm_alphas(p_values)) if p_values[i] <= alpha} == rejected


def around(mean: float, spread: float) -> list[float]:
    return [mean + spread * k for k in (-2, 1, 0, -1, 2)]


def test_ranks_go_by_groups():
    rows = standings(
        {
            "fourth": around(0.30, 0.001),
            "leader": around(0.10, 0.002),
            "fifth": around(0.40, 0.001),
            "also": around(0.101, -0.003),
            "third": around(0.102, -0.004),
        }
    )
    assert [(row.name, row.rank, row.tied) for row in rows] == [
        ("leader", 1, False),
        ("also", 1, True),
        ("third", 1, True),
        ("fourth", 4, False),
        ("fifth", 5, False),
    ]
    for row in rows[1:]:
        assert row.difference is not None
        assert row.half_holm is not None
        assert row.tied == (abs(row.difference) <= row.half_holm)
        assert row.half_holm >= row.half_plain


def test_a_tied_competitor_stands_before_a_nearer_one_that_is_not():
    rows = standings({"leader": around(0.1, 0), "near": around(0.11, 0.0001), "wild": around(0.2, 0.3)})
    assert [(row.name, row.rank) for row in rows] == [("leader", 1), ("wild", 1), ("near", 3)]


def test_a_diverged_run_is_counted_and_ranks_last():
    rows = standings({"hurt": [0.01, math.inf], "worst": [math.inf, math.inf], "safe": [0.5, 0.6]})
    assert [(row.name, row.rank, row.diverged) for row in rows] == [
        ("safe", 1, 0),
        ("hurt", 2, 1),
        ("worst", 3, 2),
    ]
    assert rows[1].mean == 0.01
    assert rows[1].difference is None
    assert rows[2].mean == math.inf


def test_nobody_leads_when_all_diverged():
    rows = standings({"a": [math.inf, 1.0], "b": [math.inf, math.inf]})
    assert [(row.name, row.rank, row.tied) for row in rows] == [("a", 1, False), ("b", 2, False)]


def test_nobody_at_all():
    assert standings({}) == []


def test_usable_width_by_hand():
    lrs = [1e-4, 1e-3, 1e-2, 1e-1]
    # Limit 1.1. Below: the loss goes from 1 to 2 in a decade, so 0.1 decades. Above: 1.05 is inside.
    width = usable_width(lrs, [9.0, 2.0, 1.0, 1.05])
    assert width is not None
    assert (width.open_below, width.open_above) == (False, True)
    assert width.decades == pytest.approx(1.1)
    assert width.low == pytest.approx(1e-2 * 10**-0.1)


def test_usable_width_stops_before_a_divergence():
    width = usable_width([1e-3, 1e-2, 1e-1], [1.05, 1.0, math.inf])
    assert width is not None
    assert (width.decades, width.open_below, width.open_above) == (pytest.approx(1), True, False)
    assert usable_width([1e-3, 1e-2], [math.inf, math.inf]) is None
