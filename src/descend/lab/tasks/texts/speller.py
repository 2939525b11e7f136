"""A GRU that spells words, letter by letter: the model of `python-rnn` and `surnames`."""

from collections.abc import Iterator, Sequence

from ..packaged import halves
from ..problem import Problem

WIDTH, LETTERS = 48, 24


def problem_of(words: Sequence[str], length: int, batch: int, seed: int, share: float) -> Problem:
    """Words of a to z, shorter than `length`; a `share` of them, fixed by `seed`, for validation."""
    import numpy as np
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    from .. import perceptron
    from ..torch_module import TorchModule

    class Speller(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.letter, self.gru = nn.Embedding(27, LETTERS), nn.GRU(LETTERS, WIDTH, batch_first=True)
            self.head = nn.Linear(WIDTH, 27)

        def forward(self, letters: torch.Tensor) -> torch.Tensor:
            return self.head(self.gru(self.letter(letters))[0])

    rows = np.zeros((len(words), length + 1), np.int64)  # 0 begins and ends a word
    for k, word in enumerate(words):
        rows[k, 1 : len(word) + 1] = [ord(letter) - 96 for letter in word]
    known = torch.from_numpy(rows)
    train, held = (known[torch.from_numpy(part)] for part in halves(len(rows), seed, share))

    def next_letter(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        wanted = batch[:, 1:].clone()
        wanted[:, 1:][(batch[:, 1:-1] == 0)] = -100  # nothing is asked after the end of a word
        return cross_entropy(model(batch[:, :-1]).flatten(0, 1), wanted.flatten(), ignore_index=-100)

    def batches(seed: int, steps: int) -> Iterator[torch.Tensor]:
        for some in perceptron.shuffled(seed, steps, batch, len(train)):
            yield train[torch.from_numpy(some)]

    return TorchModule(Speller, next_letter, batches, [held])
