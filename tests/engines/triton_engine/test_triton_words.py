"""The vocabulary on the Triton engine: every word, NaN and infinity, and how halves are rounded."""

import numpy as np
import pytest

pytest.importorskip("triton.language", reason="Triton is not installed: pip install triton==3.7.1 (Linux only)")

import torch
from triton_works import apart, load_triton, oracle, point, tensors, triton

from descend import maximum, norm, rule, sign, sqrt, tanh, where, zeros
from descend.core import ops


@rule
def vocabulary(p, g, a=zeros, b=zeros, *, t, lr=1e-2):
    """Every word of the vocabulary in one rule."""
    a = where(g * a > 0, 1.2, where(g * a < 0, -0.5, a)) + maximum(g, -1.0) * tanh(g)
    b = sign(g) + ops.minimum(abs(b), 3.0) + ops.exp(-abs(g)) + ops.log(1 + g * g) + ops.mean(g) + (1 + g * g) ** 0.25
    p = p - lr * a / (sqrt(norm(b) + 1) + norm(g, over="all")) - 1e-3 * where(ops.isfinite(b), b, 0.0) / t
    return p, a, b


@rule
def conditions(p, g, a=zeros, *, t, lr=1e-2):
    """True and false of elements and of the step, alone and joined."""
    late, odd = t > 3, (t % 2) > 0
    a = where((g > 0) & ~(late & odd), a + 1, where((g < 0) | late, a - 1, a % 1.5))
    return p - where(late, lr, 2 * lr) * where(g != 0, a, 0.0), a


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 64), ("float64", 256)])
def test_every_word_equals_the_oracle(dtype, bound):
    assert apart(oracle(vocabulary, dtype), triton(vocabulary, dtype), dtype) <= bound


def test_conditions_equal_the_oracle():
    assert apart(oracle(conditions, "float32"), triton(conditions, "float32"), "float32") <= 4


def stepped(of, values, dtype="float32", p=None):
    """The state after one step on these gradients, from p = 0."""
    work = tensors(of, [np.zeros(len(values)) if p is None else p], dtype)
    work.arrays["g"] = [torch.tensor(values).to(getattr(torch, dtype))]
    point(work)
    assert load_triton().prepare([work])(1)
    return {n: a[0].double().numpy() for n, a in work.arrays.items()}


def test_nan_follows_the_vocabulary():
    @rule
    def odd(p, g, a=zeros, b=zeros, c=zeros, d=zeros, e=zeros):
        e = where(ops.isfinite(g), 1.0, 0.0)
        return p - g, maximum(g, 1.0), ops.minimum(1.0, g), sign(g), where(g > 0, 1.0, where(g != g, 7.0, 2.0)), e

    found = stepped(odd, np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 2.0, -2.0]))
    expected = {
        "a": [np.nan, np.inf, 1, 1, 1, 2, 1],
        "b": [np.nan, 1, -np.inf, 0, 0, 1, -2],
        "c": [np.nan, 1, -1, 0, 0, 1, -1],
        "d": [7, 1, 2, 2, 2, 1, 2],
        "e": [0, 0, 0, 1, 1, 1, 1],
    }
    for name, values in expected.items():
        assert np.array_equal(found[name], np.array(values, float), equal_nan=True), (name, found[name])


def test_powers_of_numbers_follow_the_vocabulary():
    @rule
    def powers(p, g, a=zeros, b=zeros, c=zeros, d=zeros, *, base=0.0, gamma=0.0):
        return p, 0 * g + base**gamma, (g - 3) ** 3.0, (g - 3) ** 4.0, (g - 3) ** 0.3

    bases = [(0.0, 0.0, 1.0), (0.0, 2.0, 0.0), (0.9, 7.0, 0.9**7), (2.0, -1.5, 2**-1.5), (1.0, 1e9, 1.0)]
    for base, by, expected in bases:
        found = stepped(powers.bind(base=base, gamma=by), np.array([1.0, 2.0, 5.0]))
        assert np.allclose(found["a"], expected, rtol=1e-7, atol=0), (base, by, found["a"])
    for name, expected in {"b": [-8, -1, 8], "c": [16, 1, 16], "d": [np.nan, np.nan, 2**0.3]}.items():
        assert np.allclose(found[name], expected, rtol=1e-7, atol=0, equal_nan=True), (name, found[name])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_halves_are_rounded_to_nearest_even(dtype):
    @rule
    def kept(p, g, a=zeros):
        return g + a, a

    wide = np.concatenate([np.random.default_rng(0).normal(size=1000) * 10.0 ** np.arange(-10, 10).repeat(50)])
    wide = np.concatenate([wide, 1 + 2.0 ** -np.arange(1, 24), [np.inf, -np.inf, 0.0, -0.0, 65519.9, 65520.0, 3e38]])
    work = tensors(kept, [np.zeros(len(wide))], dtype)
    work.arrays["a"] = [torch.tensor(wide, dtype=torch.float32)]
    work.arrays["a"][0][3] = torch.nan
    point(work)
    load_triton().prepare([work])(1)
    ours, torchs = work.arrays["p"][0], work.arrays["a"][0].to(getattr(torch, dtype))
    assert torch.equal(ours.isnan(), torchs.isnan())
    assert torch.equal(ours.nan_to_num(7.0).double(), torchs.nan_to_num(7.0).double())


def test_arithmetic_on_a_comparison_is_refused_by_name():
    @rule
    def counting(p, g, a=zeros):
        return p - g, a + (g > 0)

    with pytest.raises(TypeError, match=r"rule counting, .* takes a condition for a number"):
        load_triton().refuses(counting, "float32")
    assert "complex64" in load_triton().refuses(vocabulary, "complex64")
