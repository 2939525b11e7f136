"""The algebra: what each operator means, its laws, and that a schedule says what it is."""

import copy
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule_samples import EVERY

from descend import schedules
from descend.schedules import constant, cosine, exponential, from_json, linear, linear_warmup, piecewise

STEPS = np.concatenate([np.arange(400), [10**6, 10**9]])
lengths = st.integers(1, 60)
numbers = st.floats(-10, 10, allow_nan=False)
leaves = st.one_of(
    st.builds(linear, lengths, numbers, numbers),
    st.builds(cosine, lengths, numbers, numbers),
    st.builds(lambda value, steps: constant(value).until(steps), numbers, lengths),
    st.builds(lambda ks, v: piecewise(sorted(ks), [v] * len(ks) + [1]), st.lists(lengths, min_size=1), numbers),
    st.builds(schedules.cosine_restarts, lengths, st.sampled_from([1, 1.5, 2]), st.integers(1, 4), numbers),
)
finite = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a >> b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda x, s: x * s + 1, numbers, inner),
        st.builds(lambda s, n: s.shift(n), inner, lengths),
        st.builds(lambda s, n: s.repeat(n), inner, st.integers(1, 3)),
        st.builds(lambda s, n, whole: s.in_epochs(n, whole), inner, lengths, st.booleans()),
        st.builds(lambda s, n: s.in_tokens(n), inner, st.integers(1, 9)),
        st.builds(lambda s, x: s.clamp(low=x), inner, numbers),
        st.builds(lambda s, n: s.until(n), inner, lengths),
    ),
    max_leaves=6,
)


def same(a, b) -> bool:
    return a(STEPS).tolist() == b(STEPS).tolist() and a.length == b.length


def evaluated(text):
    return eval(text, dict(vars(schedules)))


@given(s=finite)
def test_a_repr_evaluates_back(s):
    assert evaluated(repr(s)) == s
    assert same(evaluated(repr(s)), s)


@given(s=finite)
def test_json_goes_both_ways(s):
    back = from_json(s.to_json())
    assert back == s
    assert hash(back) == hash(s)
    assert repr(back) == repr(s)
    assert same(back, s)


@pytest.mark.parametrize("name", EVERY)
def test_every_kind_says_what_it_is(name):
    s = EVERY[name]
    for back in (evaluated(repr(s)), from_json(s.to_json()), pickle.loads(pickle.dumps(s)), copy.deepcopy(s)):
        assert back == s
        assert hash(back) == hash(s)
        assert same(back, s)
    assert [other for other, t in EVERY.items() if t == s] == [name]


@given(s=finite)
def test_an_array_has_the_bits_of_its_numbers(s):
    assert s(STEPS).tolist() == [s(k) for k in STEPS.tolist()]


@given(s=finite)
def test_it_holds_beyond_its_end(s):
    beyond = math.floor(s.length) + 1
    assert s(beyond) == s(beyond + 1) == s(10**12)
    assert s(10**12) == pytest.approx(s(float(s.length)), rel=1e-9, abs=1e-9)


@given(a=finite, b=finite, c=finite)
def test_joining_is_associative(a, b, c):
    assert (a >> b) >> c == a >> (b >> c)
    assert same((a >> b) >> c, a >> (b >> c))


@given(a=st.builds(linear, lengths, numbers, numbers), b=finite, k=st.integers(0, 300))
def test_joined_the_later_part_starts_at_the_joint(a, b, k):
    assert (a >> b)(k) == (a(k) if k < a.length else b(k - a.length))


@given(a=finite, b=finite, x=numbers, k=st.integers(0, 300))
def test_products_and_sums_are_those_of_the_values(a, b, x, k):
    assert (a * b)(k) == a(k) * b(k)
    assert (a + b)(k) == a(k) + b(k)
    assert (x * a)(k) == (a * x)(k) == x * a(k)
    assert (x + a)(k) == (a + x)(k) == x + a(k)
    assert (a - b)(k) == a(k) - b(k)
    assert (x - a)(k) == x - a(k)
    assert x * a == a * x
    assert x + a == a + x
    assert (a * b).length == max(a.length, b.length)


@given(s=finite, n=lengths, k=st.integers(0, 300))
def test_moved_in_time(s, n, k):
    assert s.shift(n)(k) == s(max(k - n, 0))
    assert s.shift(n).shift(-n)(k) == s(k)
    assert s.scale(n)(k * n) == s(k)
    assert s.in_epochs(n) == s.scale(n)
    assert s.in_epochs(n, whole=True)(k) == s(k // n)
    assert s.in_tokens(n)(k) == s(k * n)


@given(a=st.builds(linear, lengths, numbers, numbers), b=finite, n=lengths, k=st.integers(0, 300))
def test_joining_and_stretching_commute(a, b, n, k):
    assert (a >> b).in_epochs(n)(k * n) == (a.in_epochs(n) >> b.in_epochs(n))(k * n)


@given(s=st.builds(cosine, lengths, numbers, numbers), n=st.integers(1, 4), k=st.integers(0, 300))
def test_repeated(s, n, k):
    assert s.repeat()(k) == s(k % s.length)
    assert s.repeat(n)(k) == (s(k % s.length) if k < n * s.length else s(s.length))
    joined = s
    for _ in range(n - 1):
        joined = joined >> s
    assert same(s.repeat(n), joined)


def test_limited():
    s = linear(10).clamp(0.25, 0.75)
    assert [s(k) for k in (0, 5, 10)] == [0.75, 0.5, 0.25]
    assert linear(10).clamp(low=0.5)(10) == 0.5
    assert linear(10).clamp(high=0.5)(0) == 0.5


def test_what_names_stand_for_can_be_read():
    assert (
        repr(3e-4 * (linear_warmup(500) >> cosine(9_500)))
        == "0.0003 * (linear(500, start=0.0, end=1.0) >> cosine(9500))"
    )
    assert repr((linear(2) + 1) * cosine(3)) == "(1.0 + linear(2)) * cosine(3)"
    assert repr((linear(2) >> constant(3)).in_epochs(7)) == "(linear(2) >> constant(value=3)).scale(7)"
    assert repr(exponential(gamma=0.5)) == "exponential(gamma=0.5)"
    assert repr(2 * (3 * cosine(4))) == "2.0 * (3.0 * cosine(4))"


def test_frozen():
    with pytest.raises(AttributeError, match="frozen"):
        cosine(10).length = 20
    assert len({cosine(10), cosine(10), cosine(10, 1.0), cosine(11)}) == 2


def test_numpy_numbers_multiply_as_others_do():
    assert np.float64(2) * cosine(4) == 2 * cosine(4) == cosine(4) * np.float32(2)
    assert "np." not in repr(cosine(np.int64(4), np.float64(0.5)))


def test_json_is_strict():
    for s in EVERY.values():
        json.loads(s.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
