"""Warm-ups: from little to 1 (or from 1 to more); what follows is joined with ``>>``, or multiplied."""

from __future__ import annotations

import math

from .checks import Beta, number
from .decay import geometric, linear
from .formula import schedule
from .schedule import Schedule
from .words import exp, expm1, maximum, sqrt, where


def linear_warmup(steps: float, start: float = 0.0) -> Schedule:
    """A straight line from ``start`` to 1. With ``start=0`` the very first step moves nothing."""
    return linear(steps, start, 1.0)


def exponential_warmup(steps: float, start: float = 0.01) -> Schedule:
    """From ``start`` to 1 by the same factor every step: start^(1 − k/steps)."""
    return geometric(steps, start, 1.0)


def gradual_warmup(steps: float, times: float) -> Schedule:
    """From the base rate to ``times`` as much, for a batch ``times`` as large (Goyal et al. 2017, section 2.2).

    Goyal's own: ``0.1 * (gradual_warmup(5, 32) >> 32 * step_decay(30, 0.1).shift(-5)).in_epochs(steps_per_epoch)``.
    """
    return linear(steps, 1.0, times)


def untuned_linear_warmup(beta2: float = 0.999) -> Schedule:
    """min(1, t·(1 − β₂)/2) with t = k + 1: nothing to tune for Adam (Ma & Yarats 2021, equation 6)."""
    beta = number("untuned_linear_warmup", "beta2", beta2)
    if not 0 < beta < 1:
        raise ValueError(f"untuned_linear_warmup: beta2 must be in (0, 1), got {beta2!r}")
    steps = 2 / (1 - beta)
    if 1 - 2 / round(steps) == beta:
        steps = round(steps)  # of 0.9, which floats miss by a little, 20 as of the decimal
    return linear_warmup(steps).shift(-1)


@schedule()
def untuned_exponential_warmup(k, beta2: Beta = 0.999):
    """1 − e^(−t·(1 − β₂)) with t = k + 1, without end, so it multiplies (Ma & Yarats 2021, equation 5)."""
    return 1 - exp(-(1 - beta2) * (k + 1.0))


def _long_enough(beta2: float) -> None:
    if beta2 <= 0.6:
        raise ValueError(f"radam_warmup: beta2 must be above 0.6, where 2 / (1 - beta2) - 1 exceeds 4; got {beta2}")


@schedule(check=_long_enough)
def radam_warmup(k, beta2: Beta = 0.999):
    """RAdam's rectification rₜ with t = k + 1, without end, so it multiplies (Liu et al. 2020, Algorithm 2).

    0 while ρₜ ≤ 4, the first four steps for β₂ = 0.999: Adam's moments gather, and nothing moves yet.
    """
    rho_inf = 2 / (1 - beta2) - 1
    t = k + 1.0  # JAX's largest integer has no successor
    rho = rho_inf - 2 * t / expm1(-math.log(beta2) * t)  # β₂ᵗ / (1 − β₂ᵗ) loses six digits in the first steps
    known = maximum(rho, 4.0)
    rectified = sqrt((known - 4) * (known - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * known))
    return where(rho > 4, rectified, 0.0)
