"""The task `grokking`: addition modulo 97, from half of the table (Power et al. 2022).

One hidden layer with squares instead of ReLU, which can learn the sum exactly and soon (Gromov 2023, arXiv:2301.02679).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .. import perceptron
from ..packaged import halves
from ..problem import Array
from ..task import Task

P, HIDDEN = 97, 128
TASK = Task(
    name="grokking",
    title="addition modulo 97",
    data="made by the program: all 9,409 sums",
    licence="none needed",
    sha256="",
    split="fixed: 60 % of the table for training, 40 % for validation",
    model="one-hot pairs 194-128-97, squared activations, no bias, float32, 37,248 parameters",
    loss="mean squared error of the 97 scores against one-hot sums, times 97",
    shows="memorising first, understanding later: the validation loss stands still before it falls",
    steps=800,
    batch=512,
    seconds=0.9,
    seeds=20,
)


class ModularSum:
    """The table of sums; a pair is two rows of the first layer added."""

    def __init__(self) -> None:
        pairs = np.stack(np.meshgrid(np.arange(P), np.arange(P), indexing="ij"), -1).reshape(-1, 2)
        self.train, self.held = (pairs[rows] for rows in halves(len(pairs), P, 0.4))

    def init(self, seed: int) -> list[Array]:
        rng = np.random.default_rng([seed, 0])
        first = rng.standard_normal((2 * P, HIDDEN)) / np.sqrt(2)
        last = rng.standard_normal((HIDDEN, P)) / HIDDEN
        return [first.astype(np.float32), last.astype(np.float32)]

    def batches(self, seed: int, steps: int) -> Iterator[NDArray[np.int64]]:
        for rows in perceptron.shuffled(seed, steps, TASK.batch, len(self.train)):
            yield self.train[rows]

    def loss_and_grads(self, params: list[Array], batch: NDArray[np.int64]) -> tuple[float, list[Array]]:
        first, last = params
        onehot = np.zeros((len(batch), 2 * P), np.float32)
        rows = np.arange(len(batch))
        onehot[rows, batch[:, 0]] = 1
        onehot[rows, P + batch[:, 1]] = 1
        inner = onehot @ first
        hidden = inner * inner
        d = hidden @ last
        d[rows, batch.sum(axis=1) % P] -= 1
        loss = float(np.square(d, dtype=np.float64).sum() / len(batch))
        d *= 2 / len(batch)
        return loss, [onehot.T @ (2 * inner * (d @ last.T)), hidden.T @ d]

    def validate(self, params: list[Array]) -> tuple[float, float]:
        first, last = params
        inner = first[self.held[:, 0]] + first[P + self.held[:, 1]]
        out = (inner * inner) @ last
        sums = self.held.sum(axis=1) % P
        right = float((out.argmax(axis=1) == sums).mean())
        out[np.arange(len(sums)), sums] -= 1
        return float(np.square(out, dtype=np.float64).sum() / len(sums)), right


def problem() -> ModularSum:
    return ModularSum()
