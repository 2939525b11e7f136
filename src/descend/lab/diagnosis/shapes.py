"""Problems without noise: how a surface is bent, and in which units it is measured."""

import numpy as np
from numpy.random import Generator

from .problem import SHAPE, WIDE, World, bowl, descent, problem

SIZE = SHAPE[0] * SHAPE[1]


def turned(rng: Generator, condition: float) -> tuple[np.ndarray, np.ndarray]:
    """A start, and a symmetric matrix of that condition in no special position."""
    q, _ = np.linalg.qr(rng.standard_normal((SIZE, SIZE)))
    return rng.standard_normal(SHAPE), (q * np.geomspace(1, 1 / condition, SIZE)) @ q.T


def quadratic(start: np.ndarray, matrix: np.ndarray) -> World:
    return descent(
        start,
        lambda x: 0.5 * float(x.ravel() @ matrix @ x.ravel()),
        lambda x: (matrix @ x.ravel()).reshape(x.shape),
    )


@problem("curvature", 1e-4)
def round_bowl(rng: Generator) -> World:
    """The easiest there is: every direction is bent alike."""
    return bowl(rng.standard_normal(SHAPE))


@problem("curvature")
def long_valley(rng: Generator) -> World:
    """Condition 100 along the axes: one rate per coordinate helps, one for all crawls."""
    return bowl(rng.standard_normal(SHAPE), np.geomspace(1, 1e-2, SIZE).reshape(SHAPE))


@problem("curvature", 0.05)
def very_long_valley(rng: Generator) -> World:
    """Condition 10,000 along the axes, where the flat directions hold as much of the loss as the steep ones."""
    curvature = np.geomspace(1, 1e-4, SIZE).reshape(SHAPE)
    return bowl(rng.choice([-1.0, 1.0], SHAPE) / np.sqrt(curvature), curvature)


@problem("curvature")
def turned_valley(rng: Generator) -> World:
    """Condition 100, turned: rates per coordinate do not see it, momentum does."""
    return quadratic(*turned(rng, 1e2))


@problem("curvature", 0.02)
def turned_long_valley(rng: Generator) -> World:
    """Condition 1,000, turned."""
    return quadratic(*turned(rng, 1e3))


@problem("curvature", 0.02)
def left_and_right(rng: Generator) -> World:
    """A matrix seen through one on its left and one on its right, of condition 30 each: what Shampoo, SOAP undo."""
    (u, _), (v, _) = (np.linalg.qr(rng.standard_normal((n, n))) for n in SHAPE)
    left, right = (u * np.geomspace(1, 1 / 30, 4)) @ u.T, (v * np.geomspace(1, 1 / 30, 5)) @ v.T
    start = rng.standard_normal(SHAPE)
    return descent(start, lambda x: 0.5 * float(np.sum((x @ right) * (left @ x))), lambda x: left @ x @ right)


@problem("shape", 1e-3)
def quartic(rng: Generator) -> World:
    """Σ x⁴: the gradient dies out before the bottom, and steps that follow it with it."""
    return descent(rng.standard_normal(SHAPE), lambda x: float(np.sum(x**4)), lambda x: 4 * x**3)


@problem("shape")
def kink(rng: Generator) -> World:
    """Σ |x|: a gradient that never gets smaller; only a falling rate settles."""
    return descent(rng.standard_normal(SHAPE), lambda x: float(np.sum(np.abs(x))), np.sign)


@problem("shape", 0.12)
def cusp(rng: Generator) -> World:
    """Σ √|x|: the gradient grows without bound towards the bottom."""
    return descent(
        1 + np.abs(rng.standard_normal(WIDE)),
        lambda x: float(np.sum(np.sqrt(np.abs(x)))),
        lambda x: np.sign(x) * 0.5 / np.sqrt(np.abs(x) + 1e-6),
    )


@problem("shape")
def plateau(rng: Generator) -> World:
    """Σ x²/(1 + x²) from far out: hardly a gradient at the start, a steep hole at the end."""
    return descent(
        12 + rng.random(WIDE),
        lambda x: float(np.sum(x**2 / (1 + x**2))),
        lambda x: 2 * x / (1 + x**2) ** 2,
    )


@problem("shape")
def exploding_wall(rng: Generator) -> World:
    """cosh(3x) from a wall with gradients of a thousand into a floor with gradients of one."""
    return descent(
        2.2 + 0.2 * rng.random(SHAPE),
        lambda x: float(np.sum(np.cosh(np.clip(3 * x, -300, 300)) - 1)),
        lambda x: 3 * np.sinh(np.clip(3 * x, -300, 300)),
    )


@problem("shape")
def saddle(rng: Generator) -> World:
    """(x² − 1)² beside a bowl, begun 1e-6 away from the ridge at x = 0."""
    ridge = np.zeros(SHAPE, bool)
    ridge.flat[::2] = True
    start = np.where(ridge, 1e-6 * rng.choice([-1.0, 1.0], SHAPE), rng.standard_normal(SHAPE))
    return descent(
        start,
        lambda x: float(np.sum(np.where(ridge, (x**2 - 1) ** 2, x**2))),
        lambda x: np.where(ridge, 4 * x * (x**2 - 1), 2 * x),
    )


@problem("shape", 0.02)
def bent_valley(rng: Generator) -> World:
    """Rosenbrock's valley in pairs of coordinates: its floor turns all the way."""
    start = np.tile([-1.0, 1.0], SIZE // 2).reshape(SHAPE) + 0.1 * rng.standard_normal(SHAPE)

    def parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x.ravel()[::2], x.ravel()[1::2]

    def loss(x: np.ndarray) -> float:
        a, b = parts(x)
        return float(np.sum((1 - a) ** 2 + 10 * (b - a**2) ** 2))

    def slope(x: np.ndarray) -> np.ndarray:
        a, b = parts(x)
        return np.stack([-2 * (1 - a) - 40 * a * (b - a**2), 20 * (b - a**2)], axis=1).reshape(x.shape)

    return descent(start, loss, slope)


@problem("shape", 0.05)
def ripples(rng: Generator) -> World:
    """A bowl with small dips all over it: whoever stops in the first one has lost."""
    return descent(
        3 * rng.choice([-1.0, 1.0], SHAPE) + 0.3 * rng.standard_normal(SHAPE),
        lambda x: float(np.sum(x**2 / 2 + 0.15 * (1 - np.cos(6 * x)))),
        lambda x: x + 0.9 * np.sin(6 * x),
    )


@problem("shape")
def two_factors(rng: Generator) -> World:
    """½ ‖U Uᵀ − A‖² with A of rank two, from a small start: a saddle at zero first."""
    truth = rng.standard_normal((4, 2))
    target = truth @ truth.T
    return descent(
        0.05 * rng.standard_normal(SHAPE),
        lambda u: 0.5 * float(np.sum((u @ u.T - target) ** 2)),
        lambda u: 2 * (u @ u.T - target) @ u,
    )


@problem("units")
def tiny_gradients(rng: Generator) -> World:
    """A bowl measured so that gradients are a millionth: an epsilon of 1e-8 must not matter."""
    return bowl(rng.standard_normal(SHAPE), 1e-6)


@problem("units")
def vanishing_gradients(rng: Generator) -> World:
    """The same with a billionth: an epsilon of 1e-8 does matter."""
    return bowl(rng.standard_normal(SHAPE), 1e-9)


@problem("units")
def huge_gradients(rng: Generator) -> World:
    """A bowl measured so that gradients are a million."""
    return bowl(rng.standard_normal(SHAPE), 1e6)


@problem("units", 0.05)
def mixed_units(rng: Generator) -> World:
    """Coordinates in units from a thousandth to thirty: their best steps are as far apart."""
    unit = np.geomspace(1e-3, 30, SIZE).reshape(SHAPE)
    return bowl(unit * rng.choice([-1.0, 1.0], SHAPE), 1 / unit**2)


@problem("units")
def far_away(rng: Generator) -> World:
    """The least is a thousand away: bounded steps must be many, or grow."""
    return bowl(np.zeros(SHAPE), 1.0, 1000 + rng.standard_normal(SHAPE))


@problem("units")
def very_near(rng: Generator) -> World:
    """The least is a hundred-thousandth away: a step of the usual size jumps over it."""
    return bowl(np.zeros(SHAPE), 1.0, 1e-5 * (1 + rng.random(SHAPE)))
