"""Problems whose gradient is not what it should be: noise of many kinds, delay, few bits, targets that move."""

from collections import deque

import numpy as np
from numpy.random import Generator

from .problem import SHAPE, STEPS, WIDE, Array, World, bowl, problem


def noisy(rng: Generator, noise, shape: tuple[int, int] = SHAPE) -> World:  # type: ignore[no-untyped-def]
    """A round bowl whose gradient g is given as noise(g, t)."""
    world = bowl(rng.choice([-1.0, 1.0], shape))
    return World(world.start, lambda x, t: noise(world.gradient(x, t), t), world.error)


@problem("noise", 0.1)
def white_noise(rng: Generator) -> World:
    """Gaussian noise as large as the gradient at the start."""
    return noisy(rng, lambda g, t: g + rng.standard_normal(g.shape))


@problem("noise", 0.35)
def heavy_tails(rng: Generator) -> World:
    """Cauchy's noise: it has no variance and no mean, and its largest entries are tens of thousands."""
    return noisy(rng, lambda g, t: g + 0.5 * rng.standard_t(1.0, g.shape), WIDE)


@problem("noise", 0.1)
def rare_spikes(rng: Generator) -> World:
    """One gradient in fifty is ten thousand times what it should be."""
    return noisy(rng, lambda g, t: g * (1e4 if rng.random() < 0.02 else 1.0))


@problem("noise", 0.01)
def spikes_of_either_sign(rng: Generator) -> World:
    """One gradient of every twenty is pure noise of a thousand times the size."""
    # one of them is the last step: after it no rate that happens to be one there takes gradient descent to the bottom
    spikes = {STEPS, *(t + int(rng.integers(20)) for t in range(1, STEPS - 20, 20))}
    return noisy(rng, lambda g, t: 1000 * rng.standard_normal(g.shape) if t in spikes else g, WIDE)


@problem("noise", 0.1)
def multiplied_noise(rng: Generator) -> World:
    """Every entry times a lognormal number: right on average, mostly far too small."""
    return noisy(rng, lambda g, t: g * np.exp(1.5 * rng.standard_normal(g.shape) - 1.125))


@problem("noise", 0.1)
def turned_signs(rng: Generator) -> World:
    """Three entries in ten come with the wrong sign."""
    return noisy(rng, lambda g, t: g * np.where(rng.random(g.shape) < 0.3, -1.0, 1.0))


@problem("noise", 0.2)
def slow_noise(rng: Generator) -> World:
    """Noise that stays the same for tens of steps (autoregressive, 0.95): averages over ten do not help."""
    state = np.zeros(SHAPE)

    def noise(g: Array, t: int) -> Array:
        nonlocal state
        state = 0.95 * state + np.sqrt(1 - 0.95**2) * rng.standard_normal(g.shape)
        return g + 0.5 * state

    return noisy(rng, noise)


@problem("noise", 0.1)
def alternating_noise(rng: Generator) -> World:
    """Noise that turns its sign with every step, three times the gradient: momentum cancels it."""
    return noisy(rng, lambda g, t: g + 3.0 * (-1) ** t)


@problem("noise", 0.1)
def uneven_noise(rng: Generator) -> World:
    """Some coordinates have none, some ten times the gradient."""
    size = np.geomspace(1e-3, 3, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    return noisy(rng, lambda g, t: g + size * rng.standard_normal(g.shape))


@problem("sparse", 0.1)
def sparse_gradients(rng: Generator) -> World:
    """One entry in ten is there at a step, ten times as large: right on average."""
    return noisy(rng, lambda g, t: np.where(rng.random(g.shape) < 0.1, 10 * g, 0.0))


@problem("sparse", 0.1)
def rare_feature(rng: Generator) -> World:
    """A row that has a gradient at every twentieth step only, and holds most of the loss."""
    rows = np.array([20, 1, 1, 1])[:, None]
    world = bowl(rng.choice([-1.0, 1.0], SHAPE) * np.where(rows > 1, 3.0, 1.0))
    return World(world.start, lambda x, t: np.where(t % rows == 0, world.gradient(x, t), 0.0), world.error)


@problem("sparse", 0.05)
def silence(rng: Generator) -> World:
    """No gradient at all for the second quarter of the steps; what was learnt must not be walked away from."""
    world = bowl(rng.standard_normal(SHAPE))
    quiet = range(STEPS // 4, STEPS // 2)
    return World(world.start, lambda x, t: 0 * x if t in quiet else world.gradient(x, t), world.error)


@problem("sparse", 0.05)
def burst(rng: Generator) -> World:
    """Twenty steps with gradients ten thousand times too large, then the right ones: who remembers too long is late."""
    return noisy(rng, lambda g, t: g * (1e4 if t <= 20 else 1.0))


@problem("delay", 0.05)
def late_by_three(rng: Generator) -> World:
    """Gradients of three steps ago, as with workers that do not wait."""
    return _late(rng, 3)


@problem("delay", 0.05)
def late_by_ten(rng: Generator) -> World:
    """Gradients of ten steps ago: much momentum swings."""
    return _late(rng, 10)


def _late(rng: Generator, by: int) -> World:
    world = bowl(rng.standard_normal(WIDE), np.geomspace(1, 0.1, 200).reshape(WIDE))
    seen: deque[Array] = deque(maxlen=by + 1)

    def gradient(x: Array, t: int) -> Array:
        if t == 1:
            seen.clear()
        seen.append(world.gradient(x, t))
        return seen[0]

    return World(world.start, gradient, world.error)


@problem("few bits", 0.05)
def three_levels(rng: Generator) -> World:
    """Gradients of three values, −s, 0, s, rounded at random: right on average."""

    def noise(g: Array, t: int) -> Array:
        top = np.abs(g).max() or 1.0
        return top * np.sign(g) * (rng.random(g.shape) < np.abs(g) / top)

    return noisy(rng, noise)


@problem("few bits", 0.02)
def signs_alone(rng: Generator) -> World:
    """Only the sign of each entry arrives."""
    return noisy(rng, lambda g, t: np.sign(g))


@problem("few bits", 0.05)
def lost_below(rng: Generator) -> World:
    """Entries below a tenth of the largest arrive as zero, on a bowl whose curvatures differ by ten."""
    world = bowl(rng.standard_normal(SHAPE), np.geomspace(1, 0.1, 20).reshape(SHAPE))

    def gradient(x: Array, t: int) -> Array:
        g = world.gradient(x, t)
        return np.where(np.abs(g) < 0.1 * np.abs(g).max(), 0.0, g)

    return World(world.start, gradient, world.error)


@problem("few bits", 0.02)
def half_precision(rng: Generator) -> World:
    """Gradients of a ten-thousandth in float16: some underflow, the others have few digits."""
    world = bowl(rng.standard_normal(SHAPE), 1e-4)
    return World(world.start, lambda x, t: world.gradient(x, t).astype(np.float16).astype(float), world.error)


@problem("drift", 0.05)
def walking_target(rng: Generator) -> World:
    """The least walks by two hundredths of the way at every step, and is asked for where it is at the end."""
    way = rng.choice([-1.0, 1.0], SHAPE)
    end = way * (1 + 0.02 * STEPS)
    return World(
        np.zeros(SHAPE),
        lambda x, t: x - way * (1 + 0.02 * t),
        lambda x: float(np.sum((x - end) ** 2) / np.sum(end**2)),
    )


@problem("drift", 0.02)
def jumping_target(rng: Generator) -> World:
    """At half time the least is on the other side: what has grown small must grow again."""
    way = rng.choice([-1.0, 1.0], SHAPE)
    return World(
        np.zeros(SHAPE),
        lambda x, t: x - way * (1 if t <= STEPS // 2 else -1),
        lambda x: float(np.mean((x + way) ** 2)),
    )


@problem("drift", 0.02)
def growing_loss(rng: Generator) -> World:
    """The loss is measured in smaller and smaller units: a thousand times as large at the end."""
    return noisy(rng, lambda g, t: g * 1000 ** (t / STEPS))


@problem("drift", 0.02)
def shrinking_loss(rng: Generator) -> World:
    """The other way round: gradients a thousand times smaller at the end than the bowl's own would be."""
    return noisy(rng, lambda g, t: g * 1000 ** (-t / STEPS))


@problem("drift", 0.05)
def stiffening(rng: Generator) -> World:
    """The curvature grows thirtyfold at half time, as at the edge of stability: a rate that was safe is not."""
    return noisy(rng, lambda g, t: g * (1.0 if t <= STEPS // 2 else 30.0))


@problem("memory", 0.1)
def counterexample(rng: Generator) -> World:
    """Gradients of +10 now and then, of −1 in between (Reddi et al. 2018, section 3): on average the way leads to −2;
    who forgets the large ones walks to +2, where the other wall is.
    """
    big = 10.0
    start = np.ones(SHAPE)

    def gradient(x: Array, t: int) -> Array:
        inside = np.abs(x) < 2  # the feasible set; outside of it, back in
        g = np.full(SHAPE, big if rng.random() < 0.15 else -1.0)
        return np.where(inside, g, 3 * np.sign(x))

    return World(start, gradient, lambda x: float(np.mean(np.clip((x + 2) / 3, 0, None)) ** 2))


@problem("memory", 0.05)
def two_beats(rng: Generator) -> World:
    """Gradients from two batches in turn, whose leasts lie at −10 and +12: their mean is the answer."""
    return World(
        np.full(SHAPE, 20.0) + rng.standard_normal(SHAPE),
        lambda x, t: x - (12.0 if t % 2 else -10.0),
        lambda x: float(np.mean((x - 1) ** 2) / 19**2),
    )


@problem("memory", 0.05)
def false_start(rng: Generator) -> World:
    """The first ten gradients point the wrong way: first impressions must fade."""
    return noisy(rng, lambda g, t: -g if t <= 10 else g)
