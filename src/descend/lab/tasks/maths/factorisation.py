"""The task `factorisation`: fill in hidden pixels of the digits by a product of two thin matrices.

What recommenders do, with ratings that anybody can look at: 1,797 images by 64 pixels, 40 % of them known.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .. import digits
from ..perceptron import Labels
from ..problem import NAN, Array

RANK, KNOWN = 8, 0.4
TASK = replace(
    digits.TASK,
    name="factorisation",
    title="matrix completion of the digits",
    split="fixed: 40 % of all pixels for training, a tenth of the rest for validation",
    model="product of 1797x8 and 8x64, plus the pixels' means, float32, 14,952 parameters",
    loss="mean squared error of pixels in 0..1",
    shows="two thin matrices that only multiply: a saddle at zero, rows that most batches leave alone",
    steps=600,
    batch=4096,
    seconds=0.3,
    seeds=30,
)


class Completion:
    """The known pixels as triples; a batch is some of them."""

    def __init__(self, table: Array) -> None:
        drawn = np.random.default_rng(64).random(table.shape)
        self.table, self.mean = table, float(table.mean())
        self.known = np.flatnonzero(drawn < KNOWN)
        self.asked = np.flatnonzero(drawn > 1 - (1 - KNOWN) / 10)

    def init(self, seed: int) -> list[Array]:
        rng = np.random.default_rng([seed, 0])
        rows, columns = self.table.shape
        made = [0.1 * rng.standard_normal((rows, RANK)), 0.1 * rng.standard_normal((columns, RANK))]
        return [*(p.astype(np.float32) for p in made), np.full(columns, self.mean, np.float32)]

    def batches(self, seed: int, steps: int) -> Iterator[tuple[Labels, Labels, Array]]:
        rng = np.random.default_rng([seed, 1])
        for _ in range(steps):
            yield self._triples(rng.choice(self.known, TASK.batch))

    def _triples(self, places: Labels) -> tuple[Labels, Labels, Array]:
        rows, columns = np.unravel_index(places, self.table.shape)
        return rows, columns, self.table.ravel()[places]

    def loss_and_grads(self, params: list[Array], batch: tuple[Labels, Labels, Array]) -> tuple[float, list[Array]]:
        rows, columns, pixels = batch
        u, v, mean = params
        mine, theirs = u[rows], v[columns]
        d = np.einsum("ij,ij->i", mine, theirs) + mean[columns] - pixels
        loss = float(np.square(d, dtype=np.float64).mean())
        d *= 2 / len(pixels)
        # sums over equal rows, as a product with a count matrix would have them
        grads = [np.zeros_like(u), np.zeros_like(v)]
        for k in range(RANK):
            grads[0][:, k] = np.bincount(rows, d * theirs[:, k], len(u))
            grads[1][:, k] = np.bincount(columns, d * mine[:, k], len(v))
        return loss, [*grads, np.bincount(columns, d, len(v)).astype(np.float32)]

    def validate(self, params: list[Array]) -> tuple[float, float]:
        rows, columns, pixels = self._triples(self.asked)
        u, v, mean = params
        apart = np.einsum("ij,ij->i", u[rows], v[columns]) + mean[columns] - pixels
        return float(np.square(apart, dtype=np.float64).mean()), NAN


def problem() -> Completion:
    images, _ = digits.read_digits()
    return Completion((images / 16).astype(np.float32))
