"""The clockwork of ``descend bench``: turns, medians, the streaming limit. No time is measured here."""

import gc
import statistics

import numpy as np
import pytest
import torch

from descend import chain, rules
from descend.bench import limit
from descend.bench.limit import Arrays, Pass, passes, stream
from descend.bench.timing import LEAST, Clock, interleaved, ratio, ratios, spread
from descend.core.program import program


class Fake:
    """A machine whose calls take what they are told to, with a clock that nothing else moves."""

    def __init__(self) -> None:
        self.time, self.called = 0.0, []
        self.clock = Clock(lambda: self.time, self.wait)

    def wait(self, seconds: float) -> None:
        self.time += seconds

    def contestant(self, name: str, *seconds: float):
        """Takes the given times in turn, then the last of them for ever."""
        left = list(seconds)

        def call() -> None:
            self.called.append(name)
            self.time += left.pop(0) if len(left) > 1 else left[0]

        return call


def test_times_are_the_contestants_own():
    fake = Fake()
    times = interleaved(
        {"a": fake.contestant("a", 0.01), "b": fake.contestant("b", 0.03)}, 5, block=0.06, clock=fake.clock
    )
    assert [len(found) for found in times.values()] == [5, 5]
    assert times["a"] == pytest.approx([0.01] * 5)
    assert ratio(times, "a", "b") == pytest.approx(3)


def test_contestants_take_turns_and_every_other_round_goes_backwards():
    fake = Fake()
    interleaved({n: fake.contestant(n, 1.0) for n in "abc"}, 3, block=0.1, clock=fake.clock)
    turns = "".join(fake.called)[6:]  # a call to warm up and, of calls so slow, one to estimate
    assert turns == "aabbcc" + "ccbbaa" + "aabbcc"


def test_a_fast_call_is_repeated_for_the_length_of_a_block():
    fake = Fake()
    interleaved({"a": fake.contestant("a", 0.01)}, 1, block=0.05, clock=fake.clock)
    assert len(fake.called) == 1 + 2 + 1 + 5  # warm, estimated twice, untimed, timed


def test_compiling_is_not_timed():
    fake = Fake()
    times = interleaved({"a": fake.contestant("a", 30.0, 0.01)}, 3, clock=fake.clock)
    assert times["a"] == pytest.approx([0.01] * 3)
    fake = Fake()
    times = interleaved({"a": fake.contestant("a", *[30.0] * 6, 0.01)}, 3, warm=6, clock=fake.clock)
    assert times["a"] == pytest.approx([0.01] * 3)


def test_rounds_are_left_out_when_the_time_is_short_but_a_median_stays_a_median():
    def rounds(until: float) -> int:
        fake = Fake()
        return len(interleaved({"a": fake.contestant("a", 1.0)}, 9, block=1.0, until=until, clock=fake.clock)["a"])

    assert rounds(until=100.0) == 9
    assert rounds(until=2 + 5.5 * 2.01) == 5
    assert rounds(until=0.0) == LEAST


def test_of_rivals_only_the_fastest_stay():
    fake = Fake()
    seconds = {"ours": 9.0, "loop": 5.0, "foreach": 1.9, "fused": 1.0}
    made = {name: fake.contestant(name, x) for name, x in seconds.items()}
    times = interleaved(made, 4, rivals=("loop", "foreach", "fused"), clock=fake.clock)
    assert {name: len(found) for name, found in times.items()} == {"ours": 4, "loop": 1, "foreach": 4, "fused": 4}
    assert times["loop"] == [5.0]
    assert ratio(times, "ours", "loop") == pytest.approx(5 / 9)


def test_a_rival_may_be_kept_however_slow():
    fake = Fake()
    made = {name: fake.contestant(name, x) for name, x in {"loop": 5.0, "foreach": 1.0, "fused": 9.0}.items()}
    times = interleaved(made, 4, rivals=tuple(made), kept=("fused",), clock=fake.clock)
    assert {name: len(found) for name, found in times.items()} == {"loop": 1, "foreach": 4, "fused": 4}


def test_a_disturbed_round_moves_no_ratio():
    times = {"a": [1.0, 1.0, 50.0, 1.0, 1.1], "b": [2.0, 2.0, 2.0, 2.0, 2.2]}
    assert ratio(times, "a", "b") == 2.0
    slow = {name: [x * k for x, k in zip(found, (1, 7, 1, 3, 1), strict=True)] for name, found in times.items()}
    assert ratios(slow, "a", "b") == pytest.approx(ratios(times, "a", "b"))


def test_spread_is_half_the_interquartile_range():
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(1.5 / 3)
    assert spread([2.0]) != spread([2.0])  # one time has none: NaN


def test_the_garbage_collector_rests_and_is_woken():
    states = []
    interleaved({"a": lambda: states.append(gc.isenabled())}, 1, block=0.0)
    assert set(states) == {False}
    assert gc.isenabled()

    def fails():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interleaved({"a": fails})
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (rules.gradient_descent, [Pass(1, 1, 0)]),
        (rules.adamw, [Pass(3, 1, 0)]),
        (chain(rules.clip_norm, rules.adamw, rules.ema), [Pass(0, 1, 0), Pass(4, 1, 0)]),
    ],
)
def test_passes_are_the_programs_streams(rule, expected):
    found = passes(program(rule))
    assert list(found) == expected
    assert sum(one.moved for one in found) == sum(program(rule).moved)


@pytest.mark.parametrize("of", [Pass(1, 1, 0), Pass(3, 2, 1), Pass(0, 1, 1), Pass(2, 0, 0)])
def test_the_limit_touches_every_element_of_what_it_claims_to_write(of: Pass):
    arrays = Arrays(10_007)
    arrays.addresses(of.arrays)
    for array in arrays._kept[: of.updated]:
        array.zero_()
    for array in arrays._kept[of.updated + of.read :]:
        array.fill_(-1)
    stream((of,), arrays, 3)()
    for i, array in enumerate(arrays._kept):
        if of.updated <= i < of.updated + of.read:
            assert bool((array == 1).all())
        else:
            assert bool((array > 0).all())


def test_the_limit_reads_every_element_of_what_it_only_reads():
    x = torch.arange(1.0, 1001.0)
    chunks, sums = np.array([[0, 0], [0, 400], [400, 600], [0, 0]], np.int64), np.zeros((1, 2))
    made = limit._kernel(Pass(0, 1, 0))
    made(np.array([[x.data_ptr()]], np.int64), chunks, np.zeros((1, 1), np.float32), sums, 0, 2)
    assert sums.tolist() == [[80200.0, 420300.0]]


def test_the_median_of_ratios_is_that_of_rounds():
    times = {"a": [1.0, 2.0, 4.0], "b": [3.0, 4.0, 4.0]}
    assert ratio(times, "a", "b") == statistics.median([3.0, 2.0, 1.0])
