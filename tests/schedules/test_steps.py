"""A step is the number of steps taken so far: numbers, arrays and JAX values of it, and what is none."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_samples import EVERY

from descend import schedules
from descend.schedules import (
    constant,
    cosine,
    cosine_restarts,
    cyclic,
    exponential,
    inverse_time,
    linear,
    linear_warmup,
    multi_step,
    piecewise,
    step_decay,
    untuned_exponential_warmup,
    untuned_linear_warmup,
)

STEPS = [*range(130), 999, 1000, 10**6, 10**9, 2**40]


def test_step_0_is_the_first_step():
    assert linear(4)(0) == 1.0
    assert [piecewise([2], [1, 5])(k) for k in range(4)] == [1, 1, 5, 5]
    assert [(linear(2) >> constant(7))(k) for k in range(4)] == [1, 0.5, 7, 7]


@pytest.mark.parametrize("name", EVERY)
def test_a_number_and_an_array_have_the_same_bits(name):
    s = EVERY[name]
    alone = [s(k) for k in STEPS]
    assert {type(x) for x in alone} == {float}
    for dtype in (np.int64, np.float64, np.uint64):
        together = s(np.array(STEPS, dtype))
        assert together.dtype == np.float64
        assert together.tolist() == alone
    backwards = s(np.array(STEPS[::-1]).reshape(5, -1))
    assert backwards.shape == (5, len(STEPS) // 5)
    assert backwards.ravel().tolist() == alone[::-1]


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=30)
@given(steps=st.lists(st.one_of(st.integers(0, 300), st.integers(0, 2**52), st.floats(0, 1e9)), min_size=1))
def test_any_steps_in_any_order(name, steps):
    s = EVERY[name]
    assert s(np.array(steps, float)).tolist() == [s(k) for k in steps]


@pytest.mark.parametrize("name", EVERY)
def test_beyond_its_end_it_holds_the_last_value(name):
    s = EVERY[name]
    if s.length == math.inf:
        return
    beyond = [math.ceil(s.length), math.ceil(s.length) + 1, 10**9, 2**60]
    assert [s(k) for k in beyond] == s(np.array(beyond)).tolist() == [s(beyond[0])] * 4


def test_lengths_are_known():
    assert {name: s.length for name, s in EVERY.items() if s.length != math.inf} == {
        "piecewise": 20, "multi_step": 80, "linear": 33, "polynomial": 40, "square": 40, "root": 40, "cosine": 50,
        "one_minus_sqrt": 50, "geometric": 60, "restarts_finite": 30, "restarts_growing_finite": 81.25,
        "one_cycle": 100, "one_cycle_linear": 90, "one_cycle_momentum": 100, "one_cycle_fastai": 90,
        "one_cycle_fastai_momentum": 90, "wsd": 80, "wsd_short": 20, "power_cool": 100, "linear_warmup": 10,
        "exponential_warmup": 10, "gradual_warmup": 10, "untuned_linear_warmup": pytest.approx(39), "sum": 50,
        "shifted": 57, "shifted_back": 53, "epochs": 98, "whole_epochs": 35, "tokens": 10000 / 37, "clamped": 30,
        "clamped_above": 20, "repeated": 21, "cut": 40,
    }  # fmt: skip
    assert type(EVERY["epochs"].length) is int


def test_kinds_of_numbers():
    s = cosine(10)
    for k in (np.int32(3), np.float32(3), 3.0, np.array(3)):
        assert s(k) == s(3)
    assert s(np.array(3)).shape == ()
    assert s([0, 3]).tolist() == s(range(0, 4, 3)).tolist() == [s(0), s(3)]
    assert s(np.array([], int)).shape == (0,)
    assert s(10**400 // 10**395) == s(10**5)


@pytest.mark.parametrize("name", ["cosine", "product", "restarts_growing", "piecewise"])
@pytest.mark.parametrize("step", [-1, -0.5, math.nan, math.inf, np.int64(-3), [2, -1], np.array([0.0, math.nan])])
def test_a_step_that_is_none_is_refused(name, step):
    with pytest.raises(ValueError, match="a step counts from 0"):
        EVERY[name](step)


@pytest.mark.parametrize("step", ["3", None, True, np.array(["3"]), np.array([True])])
def test_what_is_no_number_is_refused(step):
    with pytest.raises(TypeError, match=r"step"):
        cosine(10)(step)


@pytest.mark.parametrize("name", EVERY)
def test_under_jax(name):
    jax = pytest.importorskip("jax")
    s = EVERY[name]
    steps = np.arange(120)
    expected = s(steps)
    traced = jax.jit(jax.vmap(s))(steps)
    np.testing.assert_allclose(traced, expected, rtol=3e-5, atol=2e-6)
    np.testing.assert_allclose(jax.jit(s)(jax.numpy.asarray(steps)), expected, rtol=3e-5, atol=2e-6)
    assert jax.jit(s)(3).shape == ()
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.jit(s)(jax.numpy.asarray(STEPS)), s(np.array(STEPS)), rtol=1e-11, atol=1e-13)


def test_whole_steps_stay_exact_under_jax_where_float32_has_no_more_digits():
    jax = pytest.importorskip("jax")
    far = 10**8 + 1
    for s in (step_decay(25_000_001, 0.5), cosine(3).repeat(), cosine_restarts(3), cosine(4).shift(far - 2)):
        assert float(jax.jit(s)(far)) == pytest.approx(s(far), abs=1e-6)


FAR = [10**8, 10**8 + 1, 715_827_883, 10**9, 2**31 - 1]


@pytest.mark.parametrize(("s", "low", "high"), [
    (cyclic(3.3, 0.1), 0.1, 1), (cyclic(3, 0.1).in_tokens(7), 0.1, 1), (linear(7).repeat().in_tokens(3), 0, 1),
    (step_decay(2, 0.5).until(7).repeat().in_tokens(3), 0.125, 1), (cosine_restarts(7.5), 0, 1),
    (linear(10).scale(10, 3, whole=True), 0, 0), (step_decay(2**27).scale(10, 3, whole=True), 0, 1),
    (linear(10).in_tokens(3).shift(-2), 0, 0), (linear(7).shift(-1), 0, 0), (exponential(rate=3), 0, 0),
    (inverse_time(3), 0, 1e-8), (untuned_exponential_warmup(), 1, 1),
])  # fmt: skip
def test_far_away_it_stays_between_its_ends(s, low, high):
    jax = pytest.importorskip("jax")
    for steps in (jax.numpy.asarray(FAR), jax.numpy.asarray(FAR, float)):
        values = np.asarray(jax.jit(jax.vmap(s))(steps))
        assert ((values >= np.float32(low)) & (values <= np.float32(high))).all(), values
    values = s(np.array([*FAR, 2.0**60, 1e17, 3e18 / 7]))
    assert ((values >= low) & (values <= high)).all(), values


def test_no_rate_is_below_zero_under_jax():
    """XLA makes a division by a constant a product with its reciprocal: n / n may come out above 1."""
    jax = pytest.importorskip("jax")
    for n in (500, 501, 1000, 1009):
        s = 3e-4 * schedules.linear_warmup(n) >> schedules.cosine(n)
        assert np.asarray(jax.jit(jax.vmap(s))(jax.numpy.arange(2 * n + 2))).min() >= 0


def test_under_jax_whole_units_stay_exact_where_their_product_leaves_the_integers():
    jax = pytest.importorskip("jax")
    s = cosine(7).repeat().scale(10, 3, whole=True)
    steps = np.array([715_827_883, 10**9 + 1, 2**31 - 1])
    np.testing.assert_allclose(jax.jit(jax.vmap(s))(jax.numpy.asarray(steps)), s(steps), atol=1e-6)


BILLIONS = 3_000_000_000


@pytest.mark.parametrize("s", [
    linear(BILLIONS), linear(float(BILLIONS)), multi_step([BILLIONS]),
    multi_step([10**9, BILLIONS]).in_tokens(4_000_000),
    piecewise([5, BILLIONS], [1, 2, 3]), linear(3).shift(BILLIONS), constant(0.5).until(BILLIONS) >> linear(5),
    linear(BILLIONS).repeat(), step_decay(BILLIONS), cosine_restarts(BILLIONS), cosine_restarts(BILLIONS, 2),
    cyclic(2 * 10**9, 0.1), cosine(BILLIONS).repeat().in_tokens(4_000_000), linear(9).scale(BILLIONS, 7, whole=True),
    3e-4 * (linear_warmup(10**9) >> cosine(99 * 10**9)).in_tokens(4_000_000), linear(9, 2**40, 0),
])  # fmt: skip
def test_lengths_beyond_jaxs_integers(s):
    jax = pytest.importorskip("jax")
    # What repeats in tokens loses its phase in float32 later on.
    far = [] if "repeat" in repr(s) and "units" in repr(s) else [10**9, 2**31 - 1]
    for dtype in (int, float):
        steps = jax.numpy.asarray([0, 100, 300, 800, *far], dtype)
        np.testing.assert_allclose(jax.jit(jax.vmap(s))(steps), s(np.asarray(steps)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("s", "joint", "before", "there"), [
    (linear(55).in_epochs(341.6, whole=True), 18788, 1 / 55, 0), (step_decay(60, 0.1).in_epochs(296.6), 17796, 1, 0.1),
    (step_decay(296.6, 0.5), 17796, 0.5**59, 0.5**60), (linear(2).scale(148.3).repeat(), 17796, 0.5 / 148.3, 1),
])  # fmt: skip
def test_a_joint_within_rounding_of_a_step_is_at_this_step(s, joint, before, there):
    assert [s(joint - 1), s(joint), s(joint + 1)] != [s(joint - 1)] * 3
    assert (s(joint - 1), s(joint)) == pytest.approx((before, there), abs=1e-9)
    assert s(np.array([joint - 1, joint])).tolist() == [s(joint - 1), s(joint)]


@pytest.mark.parametrize("s", [
    linear(24).in_epochs(183.7, whole=True), linear(16).scale(0.7, whole=True), multi_step([1000]).in_tokens(37),
    linear(55).in_epochs(341.6, whole=True),
])  # fmt: skip
def test_at_its_length_it_has_the_value_that_it_holds(s):
    assert s(s.length) == s(math.ceil(s.length)) == s(s.length + 1) == s(10**9)


def test_lengths_that_floats_miss_by_a_little_are_whole():
    assert [untuned_linear_warmup(beta).length for beta in (0.9, 0.99, 0.999)] == [19, 199, 1999]
    for steps, length in ((128.2, 1923), (128.8, 1932)):
        s = linear(15).in_epochs(steps, whole=True)
        assert 15 * steps != s.length == length
        assert s(length - 1) > s(length) == s(length + 1) == 0
    assert linear(24).in_epochs(183.7).length == 24 * 183.7


def test_a_step_beyond_floats_is_refused():
    for step in (10**400, -(10**400)):
        with pytest.raises(ValueError, match="a step counts from 0"):
            linear(3)(step)


def test_no_framework_is_imported():
    program = "import sys; from descend.schedules import cosine; cosine(9)(3); print({'jax', 'torch'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("name", EVERY)
def test_many_steps_take_few_calls(name):
    """Arrays are computed as arrays, a few thousand steps at a time: how long that takes ``descend bench`` measures."""
    made, steps = [], np.arange(100_000)
    sys.setprofile(lambda frame, event, argument: made.append(event) if event in ("call", "c_call") else None)
    try:
        EVERY[name](steps)
    finally:
        sys.setprofile(None)
    assert len(made) < 2_000


def test_every_public_name_is_sampled():
    made = {"Schedule", "from_json", "torch_scheduler", "cosine_restarts", "cyclic", "exponential"}
    assert set(schedules.__all__) - made <= set(EVERY), "add a sample of the new schedule"
    assert linear_warmup(10) == EVERY["linear_warmup"]
