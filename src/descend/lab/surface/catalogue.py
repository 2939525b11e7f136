"""The surfaces: formula, gradient by hand, minima, and what each is known to show."""

from math import cos, exp, hypot, pi, sin

import numpy as np

from .surface import Point, Slope, Surface

CLASSICS = ("gradient_descent", "momentum_accumulation", "nesterov_accumulation", "adagrad", "rmsprop", "adam")

SADDLE = Surface(
    "saddle",
    "Saddle",
    "x² − y² + y⁴/4",
    lambda x, y: x * x - y * y + y**4 / 4,
    lambda x, y: (2 * x, -2 * y + y * y * y),
    ((-2.0, 2.0), (-2.2, 2.2)),
    (-1.7, 0.001),
    ((0.0, -(2**0.5)), (0.0, 2**0.5)),
    "Gradient descent lingers where the ridge is lowest; momentum gathers speed and leaves sooner; rules that divide "
    "by the size of the gradient leave at once.",
    CLASSICS,
    0.03,
    150,
)

VALLEY = Surface(
    "valley",
    "Long valley",
    "x²/50 + y²",
    lambda x, y: x * x / 50 + y * y,
    lambda x, y: (x / 25, 2 * y),
    ((-10.0, 10.0), (-4.0, 4.0)),
    (-8.0, 2.6),
    ((0.0, 0.0),),
    "Steep across, nearly flat along: gradient descent jumps from wall to wall and crawls along the floor; momentum "
    "averages the jumps away and arrives sooner; Nesterov's bears no rate as large as this.",
    CLASSICS,
    0.9,
    150,
)

BEALE = Surface(
    "beale",
    "Beale",
    "(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²",
    lambda x, y: (1.5 - x + x * y) ** 2 + (2.25 - x + x * y * y) ** 2 + (2.625 - x + x * y**3) ** 2,
    lambda x, y: _beale(x, y),
    ((-4.5, 4.5), (-4.5, 4.5)),
    (1.0, 1.6),
    ((3.0, 0.5),),
    "Walls and a plain: at a rate that the plain would need, gradient descent is thrown out by the first wall; rules "
    "that scale each coordinate stay.",
    CLASSICS,
    0.05,
    300,
)


def _beale(x: float, y: float) -> Point:
    a, b, c = 1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y * y * y
    return (
        2 * (a * (y - 1) + b * (y * y - 1) + c * (y * y * y - 1)),
        2 * x * (a + 2 * b * y + 3 * c * y * y),
    )


ROSENBROCK = Surface(
    "rosenbrock",
    "Rosenbrock",
    "(1 − x)² + 100·(y − x²)²",
    lambda x, y: (1 - x) ** 2 + 100 * (y - x * x) ** 2,
    lambda x, y: (-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)),
    ((-2.0, 2.0), (-1.0, 3.0)),
    (-1.2, 1.0),
    ((1.0, 1.0),),
    "A bent valley with a floor that is nearly flat: all are in it within a few steps; along it gradient descent needs "
    "thousands, momentum hundreds.",
    CLASSICS,
    0.001,
    1500,
)

HIMMELBLAU = Surface(
    "himmelblau",
    "Himmelblau",
    "(x² + y − 11)² + (x + y² − 7)²",
    lambda x, y: (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2,
    lambda x, y: (4 * x * (x * x + y - 11) + 2 * (x + y * y - 7), 2 * (x * x + y - 11) + 4 * y * (x + y * y - 7)),
    ((-6.0, 6.0), (-6.0, 6.0)),
    (0.3, -0.6),
    (
        (3.0, 2.0),
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.283185991286170),
        (3.584428340330492, -1.848126526964404),
    ),
    "Four minima of the same depth: which one is found depends on the rule as much as on the start.",
    CLASSICS,
    0.015,
    150,
)

RASTRIGIN = Surface(
    "rastrigin",
    "Rastrigin",
    "20 + x² − 10·cos 2πx + y² − 10·cos 2πy",
    lambda x, y: 20 + x * x - 10 * np.cos(2 * pi * x) + y * y - 10 * np.cos(2 * pi * y),
    lambda x, y: (2 * x + 20 * pi * sin(2 * pi * x), 2 * y + 20 * pi * sin(2 * pi * y)),
    ((-4.5, 4.5), (-4.5, 4.5)),
    (3.4, -2.6),
    ((0.0, 0.0),),
    "A dimple at every whole number: gradient descent stays in the first; momentum rolls through some of them.",
    CLASSICS,
    0.0045,
    200,
)


def _ackley(x: float, y: float) -> Point:
    far = hypot(x, y) / 2**0.5
    smooth = 2 * exp(-0.2 * far) / far if far else 0.0
    rough = pi * exp((cos(2 * pi * x) + cos(2 * pi * y)) / 2)
    return smooth * x + rough * sin(2 * pi * x), smooth * y + rough * sin(2 * pi * y)


ACKLEY = Surface(
    "ackley",
    "Ackley",
    "20 + e − 20·exp(−0.2·√((x² + y²)/2)) − exp((cos 2πx + cos 2πy)/2)",
    lambda x, y: (
        20
        + np.e
        - 20 * np.exp(-0.2 * np.sqrt((x * x + y * y) / 2))
        - np.exp((np.cos(2 * pi * x) + np.cos(2 * pi * y)) / 2)
    ),
    _ackley,
    ((-5.0, 5.0), (-5.0, 5.0)),
    (3.6, -2.4),
    ((0.0, 0.0),),
    "A funnel paved with dimples: at a rate that lets them settle, all settle in a dimple, momentum in one farther "
    "down.",
    CLASSICS,
    0.02,
    200,
)

BOOTH = Surface(
    "booth",
    "Booth",
    "(x + 2y − 7)² + (2x + y − 5)²",
    lambda x, y: (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2,
    lambda x, y: (2 * (x + 2 * y - 7) + 4 * (2 * x + y - 5), 4 * (x + 2 * y - 7) + 2 * (2 * x + y - 5)),
    ((-10.0, 10.0), (-7.0, 13.0)),
    (-8.0, -3.0),
    ((1.0, 3.0),),
    "A bowl, nine times as steep across as along, and turned: gradient descent needs no help; what divides by the size "
    "of the gradient walks, a rate in each coordinate, and is late.",
    CLASSICS,
    0.05,
    150,
)


def _plateau(x: float, y: float) -> Point:
    basin = 32 / 3 * exp(-((x - 3) ** 2 + y * y) / 1.5) + 0.12 / (1 + (x - 3) ** 2 + y * y) ** 0.5
    dip = 0.6 * exp(-((x + 1) ** 2 + y * y) * 2)
    return (x - 3) * basin + (x + 1) * dip, y * (basin + dip)


PLATEAU = Surface(
    "plateau",
    "Plateau",
    "0.12·√(1 + r²) − 8·exp(−r²/1.5) − 0.15·exp(−2·s²), r and s the distances from (3, 0) and (−1, 0)",
    lambda x, y: (
        0.12 * np.sqrt(1 + (x - 3) ** 2 + y * y)
        - 8 * np.exp(-((x - 3) ** 2 + y * y) / 1.5)
        - 0.15 * np.exp(-2 * ((x + 1) ** 2 + y * y))
    ),
    _plateau,
    ((-5.0, 5.0), (-3.0, 3.0)),
    (-4.0, 0.2),
    ((3.0, 0.0),),
    "A plain with almost no slope and a shallow dip in it: gradient descent creeps into the dip and stays there; "
    "RMSprop is there at once, and stays too; what has momentum rolls through.",
    CLASSICS,
    0.1,
    400,
)


def _moons() -> tuple[np.ndarray, np.ndarray]:
    """Two classes of 200 points that overlap: features (200, 2), and signs."""
    rng = np.random.default_rng(7)
    signs = np.repeat([-1.0, 1.0], 100)
    features = signs[:, None] * np.array([0.9, 0.5]) + rng.normal(0.0, 1.0, (200, 2)) * np.array([1.2, 0.5])
    return features * signs[:, None], signs


SEEN = _moons()[0]  # each example times its sign
DECAY, BATCH = 0.02, 4


def _logistic(x: float, y: float) -> Point:
    return _of(SEEN, x, y)


def _of(examples: np.ndarray, x: float, y: float) -> Point:
    wrong = 1 / (1 + np.exp(examples @ (x, y)))
    u, v = (-(wrong @ examples) / len(examples)).tolist()
    return u + DECAY * x, v + DECAY * y


def _batches(seed: int, steps: int) -> Slope:
    chosen = SEEN[np.random.default_rng(seed).integers(0, len(SEEN), (steps, BATCH))]
    return lambda t, x, y: _of(chosen[t], x, y)


LOGISTIC = Surface(
    "logistic",
    "Noisy logistic",
    "mean of log(1 + exp(−s·(xa + yb))) over 200 examples (a, b) of sign s, + 0.01·(x² + y²)",
    lambda x, y: (
        np.logaddexp(0, -(np.multiply.outer(x, SEEN[:, 0]) + np.multiply.outer(y, SEEN[:, 1]))).mean(-1)
        + DECAY / 2 * (x * x + y * y)
    ),
    _logistic,
    ((-2.0, 4.0), (-2.0, 5.0)),
    (-1.5, -1.2),
    ((1.042324224568556, 1.9429062670607729),),
    "Each step sees 4 of 200 examples: with a constant rate every path ends in a dance around the minimum, wider for "
    "larger rates; an average of the path is calmer than the path.",
    ("gradient_descent", "momentum_accumulation", "rmsprop", "adam", "schedule_free_sgd"),
    0.15,
    300,
    0.2,
    sampled=_batches,
)

SURFACES = {
    surface.name: surface
    for surface in (
        SADDLE, VALLEY, BEALE, ROSENBROCK, HIMMELBLAU, RASTRIGIN, ACKLEY, BOOTH, PLATEAU, LOGISTIC,
    )
}  # fmt: skip
