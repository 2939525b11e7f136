"""The task `denoiser`: clean digits out of noisy ones, by a perceptron with a narrow middle.

Noise of standard deviation ½ is drawn anew for every batch; validation has one noise, fixed for ever.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .. import digits, perceptron
from ..perceptron import Perceptron
from ..problem import Array

NOISE = 0.5
TASK = replace(
    digits.TASK,
    name="denoiser",
    title="denoising of digits",
    split="fixed: 899 images for training, noise drawn anew; 898 for validation, noise fixed",
    model="MLP 64-96-64, ReLU, He initialisation, float32, 12,448 parameters",
    loss="mean squared error of pixels in 0..1",
    shows="regression from noisy inputs: the noise of the batches never ends",
    steps=500,
    batch=64,
    seconds=0.13,
    seeds=40,
)


class Denoiser(Perceptron):
    """The perceptron, with noise added to every batch."""

    def batches(self, seed: int, steps: int) -> Iterator[tuple[Array, Array]]:
        rng = np.random.default_rng([seed, 2])
        clean = self.train[1]
        for rows in perceptron.shuffled(seed, steps, self.batch, len(clean)):
            yield noisy(clean[rows], rng), clean[rows]


def noisy(clean: Array, rng: np.random.Generator) -> Array:
    return clean + (NOISE * rng.standard_normal(clean.shape)).astype(clean.dtype)


def problem() -> Denoiser:
    data = digits.load()
    fixed = noisy(data.val_x, np.random.default_rng(7))
    return Denoiser((64, 96, 64), (data.train_x, data.train_x), (fixed, data.val_x), TASK.batch)
