"""What is read off a curve: pure functions, on curves whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.torch.learning_rate import curve as curves
from descend.torch.learning_rate.curve import Curve, record
from descend.torch.learning_rate.strategy import Evidence, Probe, at_end, gather, nearest, rate

LR = np.geomspace(1e-6, 10, 300)


def bowl(lr: np.ndarray, start: float = 1e-4, best: float = 1e-2, edge: float = 1.0) -> np.ndarray:
    """A loss that is 2.3, falls from `start` to 0.3 at `best`, and explodes at `edge`."""
    share = np.clip(np.log(lr / start) / math.log(best / start), 0, 1)
    return 2.3 - 2.0 * share + np.where(lr >= edge, 50 * np.log(lr / edge) + 1, 0.0)


def plain(loss: np.ndarray) -> Curve:
    """A curve that is not smoothed, so that its answers can be worked out by hand."""
    return Curve(LR[: len(loss)], loss, loss)


def test_the_average_is_corrected_for_its_start():
    made = record(LR, [2.5] * 300)
    assert made.smoothed == pytest.approx(np.full(300, 2.5), rel=1e-12)
    assert made.diverged_at is None
    first = record(LR[:2], [1.0, 3.0]).smoothed
    assert first.tolist() == pytest.approx([1.0, (0.98 * 0.02 * 1 + 0.02 * 3) / (1 - 0.98**2)])


def test_it_stops_at_four_times_the_best():
    asked = []

    def losses():
        for k in range(300):
            asked.append(k)
            yield 1.0 if k < 100 else 1.0 + 3.0 * (k - 99)

    made = record(LR, losses())
    assert made.smoothed[-1] > 4 * made.smoothed.min()
    assert made.smoothed[-2] <= 4 * made.smoothed.min()
    assert made.diverged_at == LR[len(made.raw) - 1]
    assert asked[-1] == len(made.raw) - 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_it_stops_at_a_loss_that_is_not_finite(bad):
    made = record(LR, iter([2.0] * 50 + [bad] + [2.0] * 50))
    assert len(made.raw) == 51
    assert made.diverged_at == LR[50]
    assert curves.suggestions(made)["minimum/10"] > 0


def test_negative_losses_stop_too_when_they_rise_far():
    rising = [-100.0 - k for k in range(100)] + [500.0 * k for k in range(100)]
    assert record(LR, rising).diverged_at is not None
    assert record(LR, [-100.0 - k for k in range(300)]).diverged_at is None


def test_suggestions_of_a_curve_worked_out_by_hand():
    found = curves.suggestions(plain(bowl(LR)))
    assert found["minimum/10"] == pytest.approx(1e-3, rel=0.05)
    assert 1e-4 <= found["steepest"] <= 1e-2
    # the fall reaches from 1e-4 to 1e-2; the middle of its middle third is its middle
    assert found["valley"] == pytest.approx(1e-3, rel=0.15)
    assert found["slide"] > 0


def test_the_derivative_is_taken_in_log_lr():
    """A steep fall at a large rate counts more than a tremble at 1e-6, whose slope in lr is a thousand times larger."""
    loss = bowl(LR)
    loss[31] -= 0.01  # right behind the start that is left out
    linear = LR[30:][int(np.argmin(np.gradient(loss[30:], LR[30:])))]
    assert linear < 1e-5
    assert curves.suggestions(plain(loss))["steepest"] > 1e-4


def test_spikes_early_and_late_do_not_count():
    loss = bowl(LR)
    loss[3] = -5.0
    made = Curve(LR[:280], loss[:280], loss[:280], diverged_at=LR[279])
    before = curves.suggestions(made)
    made.smoothed[-2] = -9.0
    assert curves.suggestions(made) == before
    assert before["minimum/10"] == pytest.approx(1e-3, rel=0.05)


def test_the_edge_is_where_the_raw_loss_turns_ragged():
    raw = bowl(LR)
    assert curves.edge(Curve(LR, raw, raw)) == pytest.approx(1.0, rel=0.6)
    spiky = raw.copy()
    spiky[LR > 0.1] = np.where(np.arange((LR > 0.1).sum()) % 3 == 0, 5.0, 0.3)
    assert curves.edge(Curve(LR, spiky, spiky)) == pytest.approx(0.1, rel=0.6)
    smooth = bowl(LR, edge=1e9)
    assert curves.edge(Curve(LR, smooth, smooth)) == LR[-1]


def test_the_fall_begins_after_a_tenth_of_it():
    assert curves.begins_to_fall(plain(bowl(LR))) == pytest.approx(1e-4 * 100**0.1, rel=0.1)
    assert curves.fall(plain(bowl(LR))) == pytest.approx(2.0)


def test_a_fall_within_the_noise_is_none():
    noise = np.random.default_rng(0).normal(0, 0.1, 300)
    assert curves.fall(record(LR, 2.3 + noise)) == 0.0
    assert curves.fall(record(LR, -97.0 + noise)) == 0.0
    assert curves.fall(record(LR, bowl(LR) - 100 + noise)) > 0.5


def test_too_short_a_curve_says_so():
    with pytest.raises(ValueError, match="fewer than 3 are finite"):
        curves.suggestions(record(LR, [1.0, 2.0, math.nan]))
    assert not curves.readable(record(LR, []))


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=120),
    st.sampled_from([1e-9, 1.0, 1e6]),
    st.booleans(),
)
def test_any_curve_gives_rates_inside_its_range(losses, scale, stopped):
    made = record(np.geomspace(1e-6, 10, 120), [x * scale for x in losses] + [math.nan] * stopped)
    if not curves.readable(made):
        return
    found = curves.suggestions(made)
    assert all(made.lr[0] <= lr <= made.lr[-1] for rule, lr in found.items() if rule != "minimum/10")
    assert made.lr[0] / 10.001 <= found["minimum/10"] <= made.lr[-1] / 10
    assert made.lr[0] <= curves.edge(made) <= made.lr[-1]
    assert made.lr[0] <= curves.begins_to_fall(made) <= made.lr[-1]
    assert at_end(made, 120) in ("", "up", "down")


@pytest.mark.parametrize("scale", [2.0**-10, 2.0, 2.0**20])
def test_the_suggestions_do_not_depend_on_the_unit_of_the_loss(scale):
    plain_ones, scaled = (curves.suggestions(plain(bowl(LR) * s)) for s in (1.0, scale))
    assert all(plain_ones[rule] == scaled[rule] for rule in curves.RULES)


@given(st.floats(1e-12, 1e6))
def test_the_series_is_1_2_5(lr):
    place = nearest(lr)
    assert f"{rate(place):.0e}"[0] in "125"
    gaps = [abs(math.log(rate(k) / lr)) for k in (place - 1, place, place + 1)]
    assert gaps[1] == min(gaps)
    assert rate(place) < rate(place + 1)


class Landscape:
    """Steps on a made-up loss: constant rates end at `probe(lr)`, sweeps follow `bowl`."""

    def __init__(self, probe, **shape):
        self.probe, self.shape, self.asked = probe, shape, []

    def __call__(self, lrs, paired):
        lrs = list(lrs)
        self.asked.append((paired, lrs[0], len(lrs)))
        yield from [self.probe(lrs[0])] * len(lrs) if paired else bowl(np.array(lrs), **self.shape)


def evidence(landscape, **options) -> Evidence:
    options = {"count": 300, "repeats": 3, "probes": 8, "probe_steps": 75, "late": lambda: False, **options}
    return gather(landscape, 1e-6, 10.0, **options)


def test_the_smallest_rate_that_does_nearly_as_well_is_taken():
    found = evidence(Landscape(lambda lr: 0.1 if lr > 0.004 else 0.14 if lr > 0.001 else 0.3))
    assert found.plateau[0] == 0.002
    assert min(probe.lr for probe in found.probes) == 0.001


def test_nearly_is_a_share_of_the_progress_where_little_was_made():
    found = Evidence(probes=[Probe(0.1, 2.2, 75), Probe(0.01, 2.205, 75), Probe(0.001, 2.28, 75)], start=2.3)
    assert found.plateau == [0.01, 0.1]


def test_probes_that_gain_nothing_decide_nothing():
    found = evidence(Landscape(lambda lr: 5.0))
    assert found.plateau == []
    assert len(found.probes) == 8
    assert min(probe.lr for probe in found.probes) <= 1e-4


def test_a_probe_that_diverges_stops_at_once():
    found = evidence(Landscape(lambda lr: math.nan if lr > 0.01 else 0.5))
    assert {probe.steps for probe in found.probes if probe.loss == math.inf} <= {1}
    assert all(lr <= 0.01 for lr in found.plateau)


def test_the_range_grows_once_and_only_where_the_minimum_sits_at_an_end():
    still_falling = Landscape(lambda lr: 1.0, start=1e-2, best=1e9, edge=1e12)
    assert evidence(still_falling).extended == "up"
    assert [asked[2] for asked in still_falling.asked if not asked[0]] == [300] * 4
    rising = Landscape(lambda lr: 1.0, start=1e-12, best=1e-10, edge=1e-5)
    assert evidence(rising).extended == "down"
    flat_then_up = Landscape(lambda lr: 1.0, start=1e-12, best=1e-10, edge=1e-1)
    assert evidence(flat_then_up).extended == ""
    inside = Landscape(lambda lr: 1.0)
    assert evidence(inside).extended == ""
    assert [asked[2] for asked in inside.asked if not asked[0]] == [300] * 3


def test_late_ends_repeats_and_probes():
    found = evidence(Landscape(lambda lr: 0.5), late=lambda: True)
    assert (len(found.sweeps), found.probes) == (1, [])


def test_a_sweep_that_diverges_at_once_is_counted_and_left_out():
    calls = []

    def steps(lrs, paired):
        calls.append(paired)
        yield from [math.nan] if len(calls) == 2 else Landscape(lambda lr: 0.5)(lrs, paired)

    found = evidence(steps)
    assert (len(found.sweeps), found.lost) == (2, 1)
    assert found.medians[0] == found.medians[1]
