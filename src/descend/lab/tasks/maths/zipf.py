"""The task `zipf-memory`: one matrix stores 512 associations, of which the k-th is shown in proportion to 1/k.

Scores U W e for the key e (Cabannes et al. 2024). Training sees Zipf's law, validation asks for every fact alike. Wang
et al. 2025 (arXiv:2509.26030) find that matrix rules learn the rare facts as fast as the frequent ones, and Adam does
not. With every rate tuned it is the other way round here:
`descend race --task zipf-memory --rules muon,adamw --quick --steps 100`.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..perceptron import cross_entropy
from ..problem import Array
from ..task import Task

FACTS, WIDTH = 512, 96
TASK = Task(
    name="zipf-memory",
    title="an associative memory under Zipf's law",
    data="made by the program: 512 random unit keys and values of width 96",
    licence="none needed",
    sha256="",
    split="training draws facts in proportion to 1/k, validation asks for each once",
    model="one matrix 96x96 between fixed keys and values, float32, 9,216 parameters",
    loss="cross entropy in nats, mean over the facts",
    shows="rare facts in one matrix: said to favour matrix rules (2509.26030), which tuned races here do not confirm",
    steps=200,
    batch=256,
    seconds=0.25,
    seeds=30,
)


class Memory:
    """The memory; a batch is the numbers of the facts shown."""

    def __init__(self) -> None:
        rng = np.random.default_rng(512)
        self.keys, self.values = (self._units(rng) for _ in range(2))
        self.chances = 1 / np.arange(1, FACTS + 1) / np.sum(1 / np.arange(1, FACTS + 1))

    @staticmethod
    def _units(rng: np.random.Generator) -> Array:
        made = rng.standard_normal((FACTS, WIDTH))
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

    def init(self, seed: int) -> list[Array]:
        return [(0.01 * np.random.default_rng([seed, 0]).standard_normal((WIDTH, WIDTH))).astype(np.float32)]

    def batches(self, seed: int, steps: int) -> Iterator[NDArray[np.int64]]:
        rng = np.random.default_rng([seed, 1])
        for _ in range(steps):
            yield rng.choice(FACTS, TASK.batch, p=self.chances)

    def loss_and_grads(self, params: list[Array], batch: NDArray[np.int64]) -> tuple[float, list[Array]]:
        keys = self.keys[batch]
        loss, d = cross_entropy(keys @ params[0] @ self.values.T, batch)
        return loss, [keys.T @ (d @ self.values)]

    def validate(self, params: list[Array]) -> tuple[float, float]:
        facts = np.arange(FACTS)
        scores = self.keys @ params[0] @ self.values.T
        return cross_entropy(scores, facts)[0], float((scores.argmax(axis=1) == facts).mean())


def problem() -> Memory:
    return Memory()
