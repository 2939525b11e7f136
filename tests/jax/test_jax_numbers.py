"""Numbers that depend on settings and the step alone: float64 inside a jitted function, with x64 off."""

import math

import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import descend.jax as dj  # noqa: E402
from descend import number, rule, rules, schedules, zeros  # noqa: E402
from descend.engines.jax.numbers import Number  # noqa: E402

STEPS = (1, 10, 10**3, 10**6, 10**9)


@rule
def corrections(p, g, c=zeros, total=number, *, t, beta=0.999, lr=1e-3):
    """What Adam divides by, written into state, and a running sum."""
    c = 0 * g + lr / (1 - beta**t)
    total = total + lr**2
    return p, c, total


def expected(t, beta=0.999, lr=1e-3):
    return lr / -math.expm1(t * math.log(beta))


def at(state, t):
    return state._replace(count=jnp.asarray(t - 1, jnp.int32))


@pytest.mark.parametrize("t", STEPS)
def test_a_correction_is_rounded_once(t):
    p = jnp.ones(2)
    tx = dj.transform(corrections)
    _, state = jax.jit(tx.update)(p, at(tx.init(p), t), p)
    assert state.slots["c"][0] == np.float32(expected(t))
    stepper = dj.Stepper(corrections, donate=False)
    _, state = stepper.step(p, p, at(stepper.init(p), t))
    assert state.slots["c"][0] == np.float32(expected(t))


@pytest.mark.parametrize("t", STEPS)
def test_a_traced_setting_loses_only_its_own_rounding(t):
    p, beta = jnp.ones(2), np.float32(0.999)
    made = jax.jit(lambda b, s: dj.transform(corrections, beta=b).update(p, s, p))
    _, state = made(beta, at(dj.transform(corrections).init(p), t))
    assert state.slots["c"][0] == np.float32(expected(t, float(beta)))


def test_float32_would_be_off_by_more():
    """What the tests above guard against."""
    naive = jax.jit(lambda t: 1e-3 / (1 - jnp.float32(0.999) ** t))
    assert abs(float(naive(1.0)) / expected(1) - 1) > 1e-5


def test_a_number_in_state_keeps_48_bits():
    p = jnp.ones(2)
    tx = dj.transform(corrections)
    state, _ = jax.lax.scan(lambda s, _: (tx.update(p, s, p)[1], None), tx.init(p), None, length=10_000)
    high, low = np.asarray(state.slots["total"], np.float64)[0]
    assert abs((high + low) / 1e-2 - 1) <= 1e-12
    assert high == np.float32(1e-2)


def test_a_schedule_of_descend_is_float64_and_one_of_optax_float32():
    p, lr = jnp.ones(2), 3e-4 * (schedules.linear_warmup(7) >> schedules.cosine(90))
    for k in (0, 3, 50):
        for schedule, exact in ((lr, lr(k)), (optax.cosine_decay_schedule(0.1, 90), None)):
            tx = dj.transform(rules.gradient_descent, lr=schedule)
            updates, _ = jax.jit(tx.update)(p, at(tx.init(p), k + 1), p)
            rounding = 6e-8 if exact is not None else 3e-7  # optax's cosine is float32 from the step on
            np.testing.assert_allclose(updates[0], -(schedule(k) if exact is None else exact), rounding, atol=1e-18)


def test_numbers_are_ieee():
    zero, one = Number.of(0.0), Number.of(1.0)
    assert (one / zero).to(jnp.float32) == np.inf
    assert np.isnan((zero / zero).to(jnp.float32))
    assert not np.asarray(((zero / zero) > 0).wide)
    stored = Number.of(np.float64(1e300)).stored()
    assert np.isinf(stored[0])
    assert np.isinf(np.asarray(Number.loaded(stored).wide))


def test_a_gradient_goes_through_a_step():
    """Learning a learning rate: the derivative of a step by its setting and by the gradient that entered."""
    p, g = jnp.ones(2), jnp.array([0.5, -2.0])

    def after(lr, scale):
        tx = dj.adamw(lr=lr, weight_decay=0.0)
        return (p + tx.update(scale * g, dj.adamw().init(p), p)[0]).sum()

    def of_norm(scale):
        tx = dj.lars(lr=1.0, weight_decay=0.1)
        return (tx.update(scale * g, tx.init(p), p)[0] * jnp.array([1.0, 3.0])).sum()

    by_lr, by_scale = jax.jit(jax.grad(after, (0, 1)))(0.1, 1.0)
    assert abs(by_lr) <= 1e-6  # one coordinate goes up, the other down
    assert abs(by_scale) <= 1e-6  # Adam's first step does not see the size of a gradient
    h = 1e-2
    numeric = (of_norm(1 + h) - of_norm(1 - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(of_norm)(1.0), numeric, rtol=1e-2)
    assert abs(numeric) > 1e-5
