"""The task `python-rnn`: a GRU spells the names of Python's standard library, as others do with surnames."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..packaged import halves
from ..task import Task
from .python_gpt import text

if TYPE_CHECKING:
    from ..torch_module import TorchModule

LENGTH, WIDTH = 20, 48
TASK = Task(
    name="python-rnn",
    title="a GRU that spells words",
    data="words of five to nineteen letters in pydoc_data.topics of the Python that runs: some 3,900",
    licence="PSF-2.0",
    sha256="",
    split="fixed: four fifths of the words for training, a fifth for validation",
    model="GRU of width 48 over letters, float32, 12,627 parameters",
    loss="cross entropy of the next letter in nats",
    shows="a recurrent net: gradients through time",
    steps=300,
    batch=64,
    seconds=2.5,
    seeds=20,
    needs=(("torch", "torch"),),
)


def words() -> list[str]:
    """The words, each once, in order."""
    import re

    return sorted(set(re.findall(rf"[a-z]{{5,{LENGTH - 1}}}", text().lower())))


def card() -> Task:
    """The card with the hash of this Python's text."""
    return replace(TASK, sha256=hashlib.sha256(text().encode()).hexdigest())


def problem() -> "TorchModule":
    import numpy as np
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    from .. import perceptron
    from ..torch_module import TorchModule

    class Speller(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.letter, self.gru = nn.Embedding(27, 24), nn.GRU(24, WIDTH, batch_first=True)
            self.head = nn.Linear(WIDTH, 27)

        def forward(self, letters: torch.Tensor) -> torch.Tensor:
            return self.head(self.gru(self.letter(letters))[0])

    rows = np.zeros((len(words()), LENGTH + 1), np.int64)  # 0 begins and ends a word
    for k, word in enumerate(words()):
        rows[k, 1 : len(word) + 1] = [ord(letter) - 96 for letter in word]
    known = torch.from_numpy(rows)
    train, held = (known[torch.from_numpy(part)] for part in halves(len(rows), 26, 0.2))

    def next_letter(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        wanted = batch[:, 1:].clone()
        wanted[:, 1:][(batch[:, 1:-1] == 0)] = -100  # nothing is asked after the end of a word
        return cross_entropy(model(batch[:, :-1]).flatten(0, 1), wanted.flatten(), ignore_index=-100)

    def batches(seed: int, steps: int) -> Iterator[torch.Tensor]:
        for some in perceptron.shuffled(seed, steps, TASK.batch, len(train)):
            yield train[torch.from_numpy(some)]

    return TorchModule(Speller, next_letter, batches, [held])
