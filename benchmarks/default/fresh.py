"""Tasks for the last judgement alone: no recipe is run on one before it is final.

They are small, differ from the lab's in model, loss or data, and need nothing the lab does not.
"""

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from descend.lab.tasks import digits, perceptron
from descend.lab.tasks.packaged import halves, path_in
from descend.lab.tasks.perceptron import Perceptron
from descend.lab.tasks.problem import Array
from descend.lab.tasks.task import Task
from descend.lab.tasks.torch_module import TorchModule


def _card(name: str, data: str, model: str, steps: int, batch: int) -> Task:
    return Task(name, "", data, "", "", "fixed", model, "", "", steps, batch, 0.0)


TASKS = {
    task.name: task
    for task in (
        _card("spirals", "made here: two classes that wind around each other", "MLP 2-32-32-2, ReLU", 800, 32),
        _card("teacher", "made here: a smaller network's answers", "MLP 16-48-1, ReLU", 600, 64),
        _card("diabetes", "scikit-learn's diabetes: 442 patients", "MLP 10-32-1, ReLU", 300, 32),
        _card("china", "scikit-learn's china.jpg", "MLP 2-48-48-3, sines", 400, 512),
        _card("conv-autoencoder", "the lab's digits", "convolutions, batch norm, 12 numbers between", 400, 64),
        _card("recall", "made here: the sign before the last three", "tanh RNN of 32 units", 500, 32),
        _card("help-text", "CPython's pydoc_data.topics", "embedding, MLP 128-96, layer norm, GELU", 400, 128),
    )
}


def problem(name: str) -> Any:
    """The problem of a task of `TASKS`."""
    made = {
        "spirals": _spirals, "teacher": _Teacher, "diabetes": _diabetes, "china": _china,
        "conv-autoencoder": _conv_autoencoder, "recall": _recall, "help-text": _help_text,
    }  # fmt: skip
    return made[name]()


def _rows(rows: Tensor, batch: int, seed: int, steps: int) -> Iterator[Tensor]:
    for some in perceptron.shuffled(seed, steps, batch, len(rows)):
        yield rows[torch.from_numpy(some)]


def _spirals() -> Perceptron:
    rng = np.random.default_rng(2)
    turn = 3 * np.pi * np.sqrt(rng.random(800))
    y = np.arange(800) % 2
    angle = turn + np.pi * y
    x = np.stack([turn * np.cos(angle), turn * np.sin(angle)], 1) / 5 + 0.15 * rng.standard_normal((800, 2))
    x = x.astype(np.float32)
    return Perceptron((2, 32, 32, 2), (x[:400], y[:400]), (x[400:], y[400:]), TASKS["spirals"].batch)


class _Teacher(Perceptron):
    """Examples are drawn anew for every batch; the teacher has 6 hidden units, and a little noise on what it says."""

    def __init__(self) -> None:
        self.teacher = perceptron.initial(1, (16, 6, 1))
        x = np.random.default_rng(3).standard_normal((1000, 16)).astype(np.float32)
        y = perceptron.outputs(self.teacher, x)[0]
        super().__init__((16, 48, 1), (x, y), (x, y), TASKS["teacher"].batch)

    def batches(self, seed: int, steps: int) -> Iterator[tuple[Array, Array]]:
        rng = np.random.default_rng([seed, 1])
        for _ in range(steps):
            x = rng.standard_normal((self.batch, 16)).astype(np.float32)
            noise = 0.1 * rng.standard_normal((self.batch, 1)).astype(np.float32)
            yield x, perceptron.outputs(self.teacher, x)[0] + noise


def _diabetes() -> Perceptron:
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    train, held = halves(len(y), 442)
    x = ((x - x[train].mean(axis=0)) / x[train].std(axis=0)).astype(np.float32)
    y = ((y - y[train].mean()) / y[train].std()).astype(np.float32)[:, None]
    return Perceptron((10, 32, 1), (x[train], y[train]), (x[held], y[held]), TASKS["diabetes"].batch)


class _Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sin()


def _china() -> TorchModule:
    """A network of sines (Sitzmann et al. 2020, with its initialisation)."""
    from PIL import Image

    with Image.open(BytesIO(path_in("sklearn", "datasets", "images", "china.jpg").read_bytes())) as image:
        colours = np.asarray(image.convert("RGB"))[::5, ::5].astype(np.float32) / 255
    height, width, _ = colours.shape
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).reshape(-1, 2)
    x = torch.from_numpy((2 * places / max(height, width) - 1).astype(np.float32))
    y = torch.from_numpy(colours.reshape(-1, 3).copy())
    even = torch.from_numpy(places.sum(axis=1) % 2 == 0)
    train, held = torch.nonzero(even)[:, 0], torch.nonzero(~even)[:, 0]

    def build() -> nn.Module:
        first, second, third = nn.Linear(2, 48), nn.Linear(48, 48), nn.Linear(48, 3)
        with torch.no_grad():
            for layer, bound in ((first, 15.0), (second, (6 / 48) ** 0.5), (third, (6 / 48) ** 0.5 / 30)):
                layer.weight.uniform_(-bound, bound)
        return nn.Sequential(first, _Sine(), second, _Sine(), third)

    return TorchModule(
        build,
        lambda model, rows: mse_loss(model(x[rows]), y[rows]),
        lambda seed, steps: _rows(train, TASKS["china"].batch, seed, steps),
        [held],
    )


def _conv_autoencoder() -> TorchModule:
    data = digits.load()
    x = torch.from_numpy(np.concatenate([data.train_x, data.val_x])).reshape(-1, 1, 8, 8)
    train, held = torch.arange(len(data.train_x)), torch.arange(len(data.train_x), len(x))

    def build() -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(64, 12), nn.Linear(12, 64), nn.Unflatten(1, (16, 2, 2))),
            *(nn.ConvTranspose2d(16, 8, 2, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            nn.ConvTranspose2d(8, 1, 2, stride=2),
        )

    return TorchModule(
        build,
        lambda model, rows: mse_loss(model(x[rows]), x[rows]),
        lambda seed, steps: _rows(train, TASKS["conv-autoencoder"].batch, seed, steps),
        [held],
    )


class _Recurrent(nn.Module):
    def __init__(self, signs: int) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(signs, 32, batch_first=True), nn.Linear(32, signs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0])


def _recall(signs: int = 4, length: int = 16, ago: int = 3) -> TorchModule:
    """One answer in ten is wrong, so that there is a least loss above zero."""

    def drawn(rng: np.random.Generator, n: int) -> tuple[Tensor, Tensor]:
        shown, wrong = rng.integers(0, signs, (2, n, length))
        asked = np.where(rng.random((n, length)) < 0.1, wrong, np.roll(shown, ago, axis=1))[:, ago:]
        return torch.from_numpy(shown), torch.from_numpy(asked)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        shown, asked = batch
        scores = model(nn.functional.one_hot(shown, signs).float())
        return cross_entropy(scores[:, ago:].flatten(0, 1), asked.flatten())

    def batches(seed: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng([seed, 1])
        for _ in range(steps):
            yield drawn(rng, TASKS["recall"].batch)

    return TorchModule(lambda: _Recurrent(signs), loss, batches, [drawn(np.random.default_rng(0), 500)])


def _help_text(context: int = 8) -> TorchModule:
    """The next character from the last eight (Bengio et al. 2003)."""
    from pydoc_data.topics import topics

    text = "".join(topics[name] for name in sorted(topics))
    signs: Sequence[str] = sorted(set(text))
    number = {sign: k for k, sign in enumerate(signs)}
    numbers = torch.tensor([number[sign] for sign in text])
    cut = len(text) * 9 // 10

    def build() -> nn.Module:
        return nn.Sequential(
            *(nn.Embedding(len(signs), 16), nn.Flatten(), nn.Linear(16 * context, 96), nn.LayerNorm(96), nn.GELU()),
            nn.Linear(96, len(signs)),
        )

    def loss(model: nn.Module, starts: Tensor) -> Tensor:
        return cross_entropy(model(numbers[starts[:, None] + torch.arange(context)]), numbers[starts + context])

    def batches(seed: int, steps: int) -> Iterator[Tensor]:
        rng = np.random.default_rng([seed, 1])
        for _ in range(steps):
            yield torch.from_numpy(rng.integers(0, cut - context, TASKS["help-text"].batch))

    held = torch.from_numpy(np.random.default_rng(0).integers(cut, len(text) - context, 4000))
    return TorchModule(build, loss, batches, [held])
