"""The task `quadratic`: a noisy quadratic whose curvatures fall as a power law, as those of networks do.

Loss ½ Σ λ x², λ = k^-1.2 for k = 1..100, gradient noise of variance 0.01 λ in each coordinate. Known: without noise
and at a constant rate gradient descent converges for lr < 2/λ₁ = 2 and is fastest at 2/(λ₁ + λ₁₀₀) = 1.99; momentum μ
(accumulating) is stable up to 2(1 + μ)/λ₁ = 3.8 for μ = 0.9. `RATES` has them; tests hold the runs against them.
"""

from collections.abc import Iterator

import numpy as np

from ..problem import NAN, Array
from ..task import Task

DIMENSION, EXPONENT, NOISE = 100, 1.2, 0.01
CURVATURES = np.arange(1, DIMENSION + 1) ** -EXPONENT
RATES = {
    "gradient_descent": {"stable": 2 / CURVATURES[0], "best": 2 / (CURVATURES[0] + CURVATURES[-1])},
    "momentum_accumulation": {"stable": 2 * (1 + 0.9) / CURVATURES[0]},
}
TASK = Task(
    name="quadratic",
    title="a noisy quadratic with a power-law spectrum",
    data="made by the program",
    licence="none needed",
    sha256="",
    split="none: trained on noisy gradients, judged by the loss itself",
    model="100 coordinates, curvatures k^-1.2, float64",
    loss="half the sum of curvature times square, above its minimum 0",
    shows="the largest stable rates are known: 2 for gradient descent, 3.8 for momentum 0.9",
    steps=500,
    batch=1,
    seconds=0.02,
    seeds=60,
    log=True,
    known=tuple((rule, rates["stable"], "largest stable rate") for rule, rates in RATES.items()),
)


class Quadratic:
    """The noisy quadratic; a batch is the noise of its gradient."""

    def __init__(self, noise: float = NOISE) -> None:
        self.noise = np.sqrt(noise * CURVATURES)

    def init(self, seed: int) -> list[Array]:
        return [np.random.default_rng([seed, 0]).standard_normal(DIMENSION)]

    def batches(self, seed: int, steps: int) -> Iterator[Array]:
        rng = np.random.default_rng([seed, 1])
        for _ in range(steps):
            yield self.noise * rng.standard_normal(DIMENSION)

    def loss_and_grads(self, params: list[Array], batch: Array) -> tuple[float, list[Array]]:
        pull = CURVATURES * params[0]
        return float((pull / 2 + batch) @ params[0]), [pull + batch]

    def validate(self, params: list[Array]) -> tuple[float, float]:
        return float(CURVATURES @ params[0] ** 2) / 2, NAN


def problem() -> Quadratic:
    return Quadratic()
