"""Equal to optax's schedules, to timm's formulas, and to the papers' own, at step 0, each joint, the end and 10⁹."""

import math

import numpy as np
import pytest

from descend.schedules import (
    constant,
    cosine,
    cosine_restarts,
    exponential,
    geometric,
    gradual_warmup,
    inverse_sqrt,
    inverse_time,
    linear,
    linear_warmup,
    multi_step,
    one_minus_sqrt,
    piecewise,
    polynomial,
    power_cool,
    radam_warmup,
    step_decay,
    untuned_exponential_warmup,
    untuned_linear_warmup,
    wsd,
)

FAR = 10**9
close = dict(rel=1e-12, abs=1e-300)


@pytest.fixture(scope="module")
def optax():
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    with jax.enable_x64(True):
        yield optax


OPTAX = {
    "constant": (lambda o: o.constant_schedule(0.3), constant(0.3), [0, 5]),
    "polynomial": (lambda o: o.polynomial_schedule(0.3, 0.01, 1.7, 70), polynomial(70, 0.3, 0.01, 1.7), [0, 1, 69, 70]),
    "begin": (lambda o: o.polynomial_schedule(1, 0.1, 2, 70, 10), polynomial(70, 1, 0.1, 2).shift(10), [0, 9, 10, 80]),
    "linear": (lambda o: o.linear_schedule(0.3, 0.01, 70), linear(70, 0.3, 0.01), [0, 1, 69, 70, 71]),
    "piecewise": (
        lambda o: o.piecewise_constant_schedule(0.3, {10: 0.5, 30: 0.1}), piecewise([10, 30], [0.3, 0.15, 0.015]),
        [0, 9, 10, 11, 29, 30, 31],
    ),
    "exponential": (
        lambda o: o.exponential_decay(0.3, 40, 0.5), 0.3 * exponential(gamma=0.5).in_epochs(40), [0, 1, 40, 77],
    ),
    "staircase": (lambda o: o.exponential_decay(0.3, 40, 0.5, staircase=True), 0.3 * step_decay(40), [0, 39, 40, 80]),
    "bounded": (
        lambda o: o.exponential_decay(0.3, 40, 0.5, end_value=0.1),
        (0.3 * exponential(gamma=0.5).in_epochs(40)).clamp(low=0.1), [0, 40, 63, 64],
    ),
    "cosine": (lambda o: o.cosine_decay_schedule(0.3, 70, 0.1), cosine(70, 0.3, 0.03), [0, 1, 35, 69, 70]),
    "warmup_constant": (lambda o: o.warmup_constant_schedule(0.01, 0.3, 10), linear(10, 0.01, 0.3), [0, 9, 10, 11]),
    "warmup_cosine": (
        lambda o: o.warmup_cosine_decay_schedule(0.01, 0.3, 10, 80, 0.03),
        linear(10, 0.01, 0.3) >> cosine(70, 0.3, 0.03), [0, 1, 9, 10, 11, 79, 80],
    ),
    "sgdr": (
        lambda o: o.sgdr_schedule([
            dict(init_value=0.0, peak_value=v, warmup_steps=5, decay_steps=d, end_value=0.0)
            for v, d in ((1, 20), (0.5, 40))
        ]),
        linear_warmup(5) >> cosine(15) >> 0.5 * linear_warmup(5) >> 0.5 * cosine(35),
        [0, 4, 5, 6, 19, 20, 21, 25, 26, 59, 60],
    ),
    "joined": (
        lambda o: o.join_schedules([o.linear_schedule(0, 1, 10), o.exponential_decay(1, 3, 0.5)], [10]),
        linear_warmup(10) >> exponential(gamma=0.5).in_epochs(3), [0, 9, 10, 11, 13, 40],
    ),
    "one_cycle": (
        lambda o: o.cosine_onecycle_schedule(100, 0.3), 0.3 * (cosine(30, 1 / 25, 1) >> cosine(70, 1, 1 / 25e4)),
        [0, 1, 29, 30, 31, 99, 100],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTAX)
def test_equal_to_optax(name, optax):
    make, s, steps = OPTAX[name]
    theirs = make(optax)
    for step in [*steps, FAR]:
        expected = float(theirs(np.float64(step)))
        # The cosine of a joint is optax's 6e-17 of the peak, or 0 here.
        assert s(step) == pytest.approx(expected, rel=1e-12, abs=1e-16), step


def timm_cosine(t, base, t_initial, lr_min, warmup=0, warmup_init=0.0, prefix=False, mul=1.0, decay=1.0, limit=1):
    """CosineLRScheduler, from its documentation: cycles of t_initial·mul^i, base·decay^i, lr_min after ``limit``."""
    if t < warmup:
        return warmup_init + t * (base - warmup_init) / warmup
    t = t - warmup if prefix else t
    i, start, length = 0, 0.0, t_initial
    while t >= start + length and i < limit:
        i, start, length = i + 1, start + length, length * mul
    if i >= limit:
        return lr_min
    return lr_min + (base * decay**i - lr_min) * (1 + math.cos(math.pi * (t - start) / length)) / 2


@pytest.mark.parametrize(("timm", "ours", "steps"), [
    (dict(t_initial=90, lr_min=0.003), cosine(90, 0.3, 0.003), [0, 1, 45, 89, 90]),
    (
        dict(t_initial=90, lr_min=0.003, warmup=5, warmup_init=0.01),
        linear(5, 0.01, 0.3) >> cosine(90, 0.3, 0.003).shift(-5), [0, 4, 5, 6, 89, 90],
    ),
    (
        dict(t_initial=90, lr_min=0.003, warmup=5, warmup_init=0.01, prefix=True),
        linear(5, 0.01, 0.3) >> cosine(90, 0.3, 0.003), [0, 4, 5, 6, 94, 95],
    ),
    (
        dict(t_initial=30, lr_min=0.003, decay=0.5, limit=3),
        cosine_restarts(30, 1, 3, 0.3, 0.003, decay=0.5), [0, 29, 30, 31, 59, 60, 89, 90],
    ),
    (
        dict(t_initial=16, lr_min=0.003, mul=1.5, decay=0.8, limit=4),
        cosine_restarts(16, 1.5, 4, 0.3, 0.003, decay=0.8), [0, 15, 16, 17, 39, 40, 75, 76, 77, 129, 130],
    ),
])  # fmt: skip
def test_equal_to_timms_cosine(timm, ours, steps):
    for step in [*steps, FAR]:
        assert ours(step) == pytest.approx(timm_cosine(step, 0.3, **timm), **close), step


def test_equal_to_timms_step_multistep_and_polynomial_forms():
    for t in (0, 29, 30, 31, 60, FAR):
        assert step_decay(30, 0.1)(t) == pytest.approx(0.1 ** (t // 30), **close)
        # timm's multi-step looks one step ahead: bisect_right(milestones, t + 1).
        assert multi_step([30, 60], 0.1).shift(-1)(t) == pytest.approx(0.1 ** ((t + 1 >= 30) + (t + 1 >= 60)), **close)
    for t in (0, 1, 35, 69):
        assert polynomial(70, 0.3, 0.01, 0.5)(t) == pytest.approx(0.01 + 0.29 * (1 - t / 70) ** 0.5, **close)
    assert polynomial(70, 0.3, 0.01, 0.5)(FAR) == 0.01


def test_the_lecture_forms():
    for t in (0, 1, 10, 1000, FAR):
        assert 0.5 * exponential(rate=0.01)(t) == pytest.approx(0.5 * math.exp(-0.01 * t), **close)
        assert inverse_time(0.01)(t) == pytest.approx(1 / (1 + 0.01 * t), **close)
    assert [step_decay(5)(t) for t in (0, 4, 5, 10)] == [1, 1, 0.5, 0.25]
    momentum = linear(10, 0.5, 0.99)
    assert [momentum(k) for k in (0, 10, FAR)] == [0.5, 0.99, 0.99]


def test_noam():
    """Vaswani et al. 2017, equation 3: d^(-0.5)·min(n^(-0.5), n·w^(-1.5)), for a peak of 1 and n the step from 0."""
    w = 4000
    s = linear_warmup(w) >> inverse_sqrt(w)
    for n in (1, 17, w - 1, w, w + 1, 10 * w, FAR):
        assert s(n) == pytest.approx(min(n**-0.5, n * w**-1.5) * w**0.5, rel=1e-12)
    assert s(0) == 0


def test_wsd_and_its_tails():
    forms = {
        "linear": lambda u: 1 - u,
        "1-sqrt": lambda u: 1 - math.sqrt(u),
        "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2,
    }
    for tail, form in forms.items():
        s = wsd(10, 50, 20, tail, end=0.05)
        assert s.length == 80
        for k in (0, 1, 9, 10, 11, 59, 60, 61, 79, 80, FAR):
            u = min(1, max(0, (k - 60) / 20))
            expected = k / 10 if k < 10 else 0.05 + 0.95 * form(u)
            assert s(k) == pytest.approx(expected, rel=1e-12), (tail, k)
    assert wsd(10, 50, 20) == linear_warmup(10) >> constant().until(50) >> one_minus_sqrt(20)
    assert wsd(0, 50, 20)(0) == 1
    assert wsd(0, 0, 20) == one_minus_sqrt(20)


def test_power_cool():
    s = power_cool(1000, 0.4, 1.3, end=0.02)
    for k in (0, 599, 600, 601, 999, 1000, FAR):
        u = min(1, max(0, (k - 600) / 400))
        assert s(k) == pytest.approx(0.02 + 0.98 * (1 - u) ** 1.3, rel=1e-12)
    assert power_cool(1000, 1, 2) == polynomial(1000, power=2)
    for steps in (7, 99, 12345):
        for fraction in (0.1, 0.3, 1 / 3, 0.7):
            assert power_cool(steps, fraction).length == steps


def test_ends_are_met_to_the_bit_however_small():
    for form in (linear, cosine, polynomial, one_minus_sqrt):
        for start, end in ((1e-20, 1.0), (1.0, 1e-20), (0.1, 0.3)):
            s = form(30, start, end)
            assert (s(0), s(30), s(FAR)) == (start, end, end)


def test_geometric_is_a_line_in_the_logarithm():
    s = geometric(300, 1e-6, 10)
    for k in (0, 1, 150, 299, 300, FAR):
        assert s(k) == pytest.approx(10 ** (-6 + 7 * min(k, 300) / 300), rel=1e-12)


def test_warm_ups():
    assert [gradual_warmup(5, 32)(k) for k in (0, 5, FAR)] == [1, 32, 32]
    goyal = 0.1 * (gradual_warmup(5, 32) >> 32 * step_decay(30, 0.1).shift(-5)).in_epochs(100)
    assert [goyal(100 * epoch) for epoch in (0, 5, 29, 30, 60)] == pytest.approx([0.1, 3.2, 3.2, 0.32, 0.032])
    for k in (0, 1, 500, 1998, 1999, 2000, FAR):
        assert untuned_linear_warmup()(k) == pytest.approx(min(1, (k + 1) * (1 - 0.999) / 2), rel=1e-12)
        assert untuned_exponential_warmup()(k) == pytest.approx(-math.expm1(-(1 - 0.999) * (k + 1)), rel=1e-10)


@pytest.mark.parametrize("beta2", [0.9, 0.99, 0.999])
def test_radam_by_exact_arithmetic(beta2):
    """Liu et al. 2020, Algorithm 2, in decimals of 60 digits."""
    from decimal import Decimal, localcontext

    with localcontext() as context:
        context.prec, context.Emin = 60, -(10**9)
        beta = Decimal(beta2)
        rho_inf = 2 / (1 - beta) - 1
        for k in (0, 3, 4, 5, 6, 10, 100, 3000, FAR):
            t = k + 1
            decayed = beta**t
            rho = rho_inf - 2 * t * decayed / (1 - decayed)
            expected = Decimal(0)
            if rho > 4:
                expected = ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)).sqrt()
            assert radam_warmup(beta2)(k) == pytest.approx(float(expected), rel=1e-12), k
