"""The bars of ``descend bench``: what is met, missed or neither, and how it is said."""

import math

import pytest
from bench_samples import bars, cell

from descend.bench import report, tail
from descend.bench.measures import Bar, of_bits, of_start
from descend.bench.peers import FUSED, UNFUSED
from descend.bench.report import line_of, row
from descend.bench.tail import TAIL, gradient_norm
from descend.bench.waits.start import First


def test_a_bar_is_met_missed_or_neither():
    assert Bar("", 1.0, 0.97).met is True
    assert Bar("", 0.96, 0.97).met is False
    assert Bar("", None, 0.97).met is None
    assert Bar("", 2.0, 0.97, whole=False).met is None
    assert Bar("", 1.4, 1.5, at_least=False).met is True
    assert Bar("", 1.6, 1.5, at_least=False).met is False


def test_a_bar_within_the_spread_is_neither_met_nor_missed():
    assert [Bar("", x, 5.0, at_least=False, spread=3.0).met for x in (8.5, 8.0, 5.0, 2.0, 1.9)] == [
        False, None, None, None, True,
    ]  # fmt: skip
    assert Bar("", None, 5.0, spread=3.0).met is None
    assert line_of(Bar("a", 8.0, 5.0, at_least=False, unit="%", spread=3.0, note="why")).startswith("noisy   a ")
    assert line_of(Bar("a", 8.0, 5.0, at_least=False, unit="%", spread=3.0, note="why")).endswith("± 3.0 %; why")


def test_spreads_come_from_the_rounds():
    watched = cell(tail.WATCHED, **{name.replace(" ", "_", 1): 0.93 for name in tail.UNWATCHED})
    for peer in watched.peers:
        peer.speedup_spread = 0.04
    four = [cell(name, torch_fused=0.95) for name in FUSED]
    four[0].peers[0].speedup, four[0].peers[0].speedup_spread = 0.94, 0.05
    seven = [cell(name, torch_loop=4.4) for name in UNFUSED]
    for one in seven:
        one.peers[0].speedup_spread = 0.7
    found = bars(*four, *seven, watched)
    added = found["telemetry, 20M: what it adds to a step of AdamW"]
    assert (added.value, added.spread, added.met) == (pytest.approx(7.53, abs=0.01), pytest.approx(3.3, abs=0.05), None)
    assert found["the four rules torch fuses, 20M: against torch fused"].noisy
    mean = found["the seven torch does not fuse, 20M: mean against its best"]
    assert (mean.spread, mean.noisy) == (pytest.approx(0.7 / 7**0.5), True)


def test_the_share_is_that_of_the_worst_rule():
    found = bars(cell("adamw", share=0.99), cell("lion", share=0.85), at_20m=("adamw", "lion"))
    bar = found["every elementwise rule, 20M: share of the streaming limit"]
    assert (bar.value, bar.met, bar.note) == (pytest.approx(85), False, "the least: lion")
    assert found["every rule, 20M: share of the streaming limit"].met is True


def test_a_claim_about_rules_that_were_not_measured_is_not_met():
    bar = bars(cell("adamw", share=0.99), at_20m=("adamw", "lion"))[
        "every elementwise rule, 20M: share of the streaming limit"
    ]
    assert (bar.met, bar.note) == (None, "the least: adamw; 1 of 2 measured")


def test_a_rule_with_a_norm_is_no_elementwise_rule():
    found = bars(cell("adamw", share=0.99), cell("lamb", share=0.82), at_20m=("adamw", "lamb"))
    assert found["every elementwise rule, 20M: share of the streaming limit"].met is True
    assert found["every rule, 20M: share of the streaming limit"].value == pytest.approx(82)


def test_the_four_and_the_seven():
    four = [cell(name, torch_loop=3.0, torch_fused=x) for name, x in zip(FUSED, (1.0, 0.98, 1.2, 1.1), strict=True)]
    seven = [cell(name, torch_loop=2.0**k, torch_foreach=2.0**k * 1.5) for k, name in enumerate(UNFUSED)]
    found = bars(*four, *seven)
    assert found["the four rules torch fuses, 20M: against torch fused"].value == 0.98
    mean = found["the seven torch does not fuse, 20M: mean against its best"]
    assert (mean.value, mean.met) == (pytest.approx(8.0), True)
    assert found["RMSprop, 20M: against torch's best form"].value == 1.0
    assert found["the same seven, 1000 x 1000"].value is None


def test_small_tensors_the_tail_and_the_norm():
    found = bars(
        cell(workload="1000x1000", torch_fused=9.0, torch_loop=8.0),
        cell(workload="100000x16", torch_fused=19.0),
        cell(workload="mlp", torch_fused=3.0),
        cell("adamw, new gradients", workload="mlp", torch_fused=2.25),
        cell(TAIL.name, torch_a=1.5, torch_b=1.4),
        cell(gradient_norm.name, share=0.7),
    )
    met = {claim: (bar.value, bar.met) for claim, bar in found.items()}
    assert met["AdamW, 1000 x 1000: against torch fused"] == (9.0, True)
    assert met["AdamW, 100000 x 16: against torch fused"] == (19.0, False)
    assert met["AdamW, four-tensor MLP: against torch fused"] == (3.0, True)
    assert found["AdamW, four-tensor MLP: against torch fused"].note == "with new gradients every step 2.25 x"
    assert met["clip + AdamW + EMA, 20M: against torch's best"] == (1.4, True)
    assert met["global norm of all gradients, 20M: share of the read limit"] == (pytest.approx(70), True)
    assert found["clip + AdamW + EMA, 20M: against torch's best"].aim == pytest.approx(52 / 28)


def test_optax_is_a_mean_over_the_rules_both_have():
    found = bars(cell("adamw", optax=1.0), cell("lion", optax=4.0), at_20m=("adamw", "lion", "signum"))
    bar = found["the rules optax has, 20M: mean against optax under jit"]
    assert (bar.value, bar.met) == (pytest.approx(2.0), True)


def test_start_and_bits():
    per_kernel, whole = of_start({"adamw": First(1, [1.2]), "clip": First(2, [3.2])})
    assert (per_kernel.value, per_kernel.met, per_kernel.note) == (1.6, False, "clip")
    assert (whole.value, whole.met) == (1.2, True)
    cached = of_start({"adamw": First(1, [1.2], [0.2], [0.01, 0.04]), "clip": First(2, [3.2], [0.4], [0.02])})[2]
    assert (cached.value, cached.note) == (pytest.approx(12.5), "the least: adamw")
    assert of_bits([], 58, "").met is True
    assert of_bits(["lion"], 58, "").met is False
    assert of_bits([], 3, "", whole=False).met is None


def test_a_row():
    made = cell(torch_loop=3.0, torch_fused=1.25, optax=1.8)
    assert row(made) == (
        "adamw                          0.600    2      28   46.7    95.0    1  fused          1.25x  optax 1.80x"
    )
    assert len(report.HEAD.split("torch best")[0]) == row(made).index("fused")
    bare = cell(share=None)
    bare.bytes_per_param = bare.gb_per_s = None
    bare.spread = math.nan
    assert row(bare) == "adamw                          0.600"


@pytest.mark.parametrize(
    ("bar", "starts", "has"),
    [
        (Bar("a", 95.25, 90.0, 97.0, unit="%", note="the least: lion"), "met", "95.2 %    >= 90.0 %   97.0 %  the le"),
        (Bar("a", 1.0, 2.0), "MISSED", "1.00 x    >= 2.00 x"),
        (Bar("a", None, 2.0), "-- ", ">= 2.00 x"),
        (Bar("a", 3.0, 2.0, whole=False), "part", "3.00 x"),
        (Bar("a", 2.1e-7, 5e-7, at_least=False, unit=""), "met", "2.1e-07   <= 5.0e-07"),
        (Bar("a", 0, 0, at_least=False, unit=""), "met", "0         <= 0"),
    ],
)
def test_a_line_of_the_bars(bar: Bar, starts: str, has: str):
    assert line_of(bar).startswith(starts)
    assert has in line_of(bar)
