"""Schedules that fall (or rise) from a start to an end, simplest first.

Each begins at 1 by default, so that ``3e-4 * cosine(10_000)`` says where it begins. ``k`` is the number of steps taken.
"""

from __future__ import annotations

from .checks import Nonnegative, Positive, Real, Reals, Steps
from .formula import schedule
from .words import blend, cos, exp, filled, index, pi, raised, rounds, sqrt, take, to_power


@schedule()
def constant(k, value: Real = 1.0):
    """The same value without end."""
    return filled(float(value), k)


def _one_more(boundaries: Steps, values: Reals) -> None:
    if len(values) != len(boundaries) + 1:
        raise ValueError(
            f"piecewise: {len(boundaries)} boundaries part {len(boundaries) + 1} values, got {len(values)}"
        )


@schedule(check=_one_more, length=lambda boundaries, values: boundaries[-1])
def piecewise(k, boundaries: Steps, values: Reals):
    """``values[0]`` before step ``boundaries[0]``, ``values[1]`` from there on, ... (Keras' PiecewiseConstant)."""
    return take(values, index(k, boundaries))


@schedule()
def step_decay(k, every: Positive, factor: Positive = 0.5):
    """Times ``factor`` every ``every`` steps, without end (torch's StepLR)."""
    return raised(float(factor), rounds(k, every))


@schedule(length=lambda milestones, factor: milestones[-1])
def multi_step(k, milestones: Steps, factor: Positive = 0.1):
    """Times ``factor`` at each milestone; one named twice counts twice (torch's MultiStepLR)."""
    return take([float(factor) ** i for i in range(len(milestones) + 1)], index(k, milestones))


def _one_of(rate: float | None, gamma: float | None) -> None:
    if (rate is None) is (gamma is None):
        raise ValueError("exponential needs one of rate (e^(-rate*k)) and gamma (gamma^k)")


@schedule(check=_one_of)
def exponential(k, *, rate: Nonnegative | None = None, gamma: Positive | None = None):
    """e^(−rate·k), or γ^k (torch's ExponentialLR), without end; γ = e^(−rate)."""
    return raised(float(gamma), k) if gamma is not None else exp(-float(rate) * k)  # type: ignore[operator]


@schedule()
def inverse_time(k, rate: Nonnegative):
    """1 / (1 + rate·k), without end (Robbins & Monro 1951; Keras' InverseTimeDecay)."""
    return 1 / (1 + float(rate) * k)  # a product of JAX's integers could leave them


@schedule()
def inverse_sqrt(k, timescale: Positive):
    """1 / √(1 + k / timescale), without end.

    ``linear_warmup(w) >> inverse_sqrt(w)`` is the schedule of "Attention is all you need" (Vaswani et al. 2017,
    equation 3) for a peak of 1: √(w / step) after the warm-up.
    """
    return 1 / sqrt(1 + k / timescale)


@schedule()
def linear(k, steps: Positive, start: Real = 1.0, end: Real = 0.0):
    """A straight line from ``start`` to ``end`` (torch's LinearLR)."""
    return blend((steps - k) / steps, start, end)


@schedule()
def polynomial(k, steps: Positive, start: Real = 1.0, end: Real = 0.0, power: Positive = 1.0):
    """end + (start − end)·(1 − k/steps)^power (torch's PolynomialLR, optax's polynomial_schedule)."""
    return blend(to_power((steps - k) / steps, power), start, end)


@schedule()
def cosine(k, steps: Positive, start: Real = 1.0, end: Real = 0.0):
    """Half a cosine from ``start`` to ``end`` (Loshchilov & Hutter 2017, equation 5, one period)."""
    return blend((1 + cos(pi * k / steps)) / 2, start, end)


@schedule()
def one_minus_sqrt(k, steps: Positive, start: Real = 1.0, end: Real = 0.0):
    """end + (start − end)·(1 − √(k/steps)): the cool-down of Hägele et al. 2024, equation 1."""
    return blend(1 - sqrt(k / steps), start, end)


@schedule()
def geometric(k, steps: Positive, start: Positive, end: Positive = 1.0):
    """start·(end/start)^(k/steps): a straight line in the logarithm, as the learning-rate range test walks."""
    return start * raised(end / start, k / steps)
