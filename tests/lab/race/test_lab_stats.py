"""What learning-rate curves and shorter budgets say, worked out by hand."""

import itertools
import math
from statistics import fmean

import pytest

from descend.lab.race.stats import expected_best, steps_for, usable_width


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


def test_a_negative_loss_has_a_width_too():
    width = usable_width([1e-3, 1e-2, 1e-1], [-0.5, -1.0, -0.95])
    assert width is not None
    assert width.open_above
    assert not width.open_below


@pytest.mark.parametrize("trials", [1, 2, 3, 5])
def test_the_expected_best_is_the_mean_over_all_draws(trials: int):
    losses = [0.3, 0.1, 0.7, 0.2, 0.5]
    draws = [min(draw) for draw in itertools.combinations(losses, trials)]
    assert expected_best(losses, trials) == pytest.approx(fmean(draws))


def test_the_expected_best_is_infinite_while_all_draws_may_diverge():
    assert expected_best([0.1, math.inf, math.inf], 2) == math.inf
    assert expected_best([0.1, math.inf, 0.3], 2) == pytest.approx((0.1 + 0.1 + 0.3) / 3)


def test_steps_for_a_loss_lie_on_a_power_law_between_two_budgets():
    steps, losses = [100, 200, 400], [0.4, 0.2, 0.1]
    assert steps_for(0.2, steps, losses) == pytest.approx(200)
    assert steps_for(0.4 / math.sqrt(2), steps, losses) == pytest.approx(100 * math.sqrt(2))
    assert steps_for(0.5, steps, losses) == 0
    assert steps_for(0.05, steps, losses) == math.inf
    assert steps_for(0.3, steps, [math.inf, 0.2, 0.1]) == 200
