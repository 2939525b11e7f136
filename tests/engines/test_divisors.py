"""Elements divided by a number of the host are multiplied by its reciprocal, where that says the same."""

import numpy as np
import pytest

from descend import rule, rules
from descend.core.program import program
from descend.engines.llvm import engine as engine
from descend.optimizer import Optimizer


@rule
def divided(p, g, *, lr=1.0, scale=3.0):
    """Gradient descent with the gradient divided by a number."""
    return p - lr * (g / scale)


@rule
def both_ways(p, g, *, lr=1.0, scale=3.0):
    """The number is a divisor and a factor."""
    return scale * p - lr * (g / scale)


def stepped(which, g, dtype, **settings):
    p = np.zeros_like(g, dtype)
    Optimizer(which, [p], engine="llvm", **settings).step([np.asarray(g, dtype)])
    return p


def divisions(which):
    of = engine.cut(which, False)
    return sum(text.count(" / ") for text, _, _ in engine.texts(of, "float32"))


@pytest.mark.parametrize(("name", "left"), [("adam", 1), ("adamw", 1), ("nadam", 1), ("rmsprop", 1), ("lion", 0)])
def test_bias_corrections_are_no_divisions_per_element(name, left):
    assert divisions(rules.all()[name]) == left


def test_what_comes_from_sums_is_divided_by():
    of = program(rules.lars)
    assert all(of.tape.nodes[i].op != "total" for k in range(len(of.kernels)) for i in of.divisors(k))


def test_a_number_with_two_uses_is_divided_by():
    assert divisions(divided) == 0
    assert divisions(both_ways) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_quotient_is_right_to_the_last_bit_but_one(dtype):
    g = np.random.default_rng(0).standard_normal(4099)
    for scale in (3.0, 0.1, 7e-5, 1e19):
        exact = -(g.astype(dtype).astype(np.float64) / scale)
        assert (
            np.abs(stepped(divided, g, dtype, scale=scale) - exact).max() <= np.finfo(dtype).eps * np.abs(exact).max()
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_by_a_number_without_a_reciprocal_is_zero(dtype):
    scale = float(np.finfo(dtype).smallest_subnormal) * 4
    assert (stepped(divided, np.zeros(5), dtype, scale=scale) == 0).all()


def test_division_by_zero_is_as_in_ieee():
    with np.errstate(all="ignore"):
        p = stepped(divided, np.array([1.0, -1.0, 0.0]), np.float32, scale=0.0)
    assert p[0] == -np.inf
    assert p[1] == np.inf
    assert np.isnan(p[2])
