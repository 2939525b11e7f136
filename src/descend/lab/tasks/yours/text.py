"""A text of somebody's as a task: the next character from the eight before it (Bengio et al. 2003, of characters)."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import perceptron
from ..problem import Array
from ..task import Task, TaskError
from .decoding import decoded

BEFORE, WIDTH, BATCH, STEPS, SEEDS = 8, 64, 64, 400, 24
SIGNS = 60  # the most frequent characters; all others are one more
JUDGED = 2_000
FEWEST = 2_000  # characters


class Text:
    """Numbers of characters, the first nine tenths to train on."""

    def __init__(self, path: Path) -> None:
        self.path, self.bytes = path, path.read_bytes()
        text = decoded(self.bytes)
        if text is None:
            raise TaskError(f"{path.name} is no text: neither UTF-8 nor UTF-16 nor Windows' Latin letters")
        if len(text) < FEWEST:
            raise TaskError(f"{path.name} has {len(text):,} characters; at least {FEWEST:,} are needed")
        frequent = [sign for sign, _ in Counter(text).most_common(SIGNS)]
        if len(frequent) < 2:
            raise TaskError(f"{path.name} holds one character alone; there is nothing to tell")
        number = {sign: k for k, sign in enumerate(frequent)}
        self.numbers = np.array([number.get(sign, len(frequent)) for sign in text], np.int64)
        self.signs = len(frequent) + 1
        cut = len(text) * 9 // 10
        self.train, self.held = self.numbers[:cut], self.numbers[cut:]
        starts = np.linspace(0, len(self.held) - BEFORE - 1, min(JUDGED, len(self.held) - BEFORE)).astype(int)
        self.judged = self.pieces(self.held, starts)

    @staticmethod
    def pieces(numbers: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
        return numbers[starts[:, None] + np.arange(BEFORE + 1)]

    # as a problem

    def init(self, seed: int) -> list[Array]:
        params = perceptron.initial(seed, (BEFORE * self.signs, WIDTH, self.signs))
        params[0] *= np.float32(np.sqrt(self.signs))  # eight inputs of all are 1
        return params

    def batches(self, seed: int, steps: int) -> Iterator[NDArray[np.int64]]:
        rng = np.random.default_rng([seed, 1])
        for _ in range(steps):
            yield self.pieces(self.train, rng.integers(0, len(self.train) - BEFORE, BATCH))

    def _inputs(self, pieces: NDArray[np.int64]) -> Array:
        x = np.zeros((len(pieces), BEFORE * self.signs), np.float32)
        x[np.arange(len(pieces))[:, None], pieces[:, :BEFORE] + self.signs * np.arange(BEFORE)] = 1
        return x

    def loss_and_grads(self, params: list[Array], batch: NDArray[np.int64]) -> tuple[float, list[Array]]:
        return perceptron.classify(params, self._inputs(batch), batch[:, -1])

    def validate(self, params: list[Array]) -> tuple[float, float]:
        first = params[0].reshape(BEFORE, self.signs, WIDTH)
        inner = first[np.arange(BEFORE), self.judged[:, :BEFORE]].sum(axis=1) + params[1]
        out = np.maximum(inner, 0) @ params[2] + params[3]
        told = self.judged[:, -1]
        return perceptron.cross_entropy(out, told)[0], float((out.argmax(axis=1) == told).mean())


def card(options: dict[str, str]) -> Task:
    text = Text(Path(options["path"]))
    return Task(
        name=text.path.stem,
        title=text.path.name,
        data=f"{text.path.name}: {len(text.numbers):,} characters, {text.signs} kinds",
        licence="yours",
        sha256=hashlib.sha256(text.bytes).hexdigest(),
        split=f"fixed: the first nine tenths for training, {len(text.judged):,} places of the rest for validation",
        model=f"MLP {BEFORE * text.signs}-{WIDTH}-{text.signs} on the {BEFORE} characters before, ReLU, float32",
        loss="cross entropy of the next character in nats",
        shows="what suits it",
        steps=STEPS,
        batch=BATCH,
        seconds=0.0,
        seeds=SEEDS,
    )


def problem(options: dict[str, str]) -> Text:
    return Text(Path(options["path"]))
