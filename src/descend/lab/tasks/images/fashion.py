"""The task `fashion-cnn`: a small convolutional net on Fashion-MNIST, as Debian packs it."""

import gzip
from pathlib import Path

import numpy as np

from ..packaged import contents
from ..problem import Problem
from ..task import Task

FOLDER = Path("/usr/share/datasets/fashion-mnist")
TRAIN, HELD = 12_000, 1_000
TASK = Task(
    name="fashion-cnn",
    title="clothes by a convolutional net",
    data="Fashion-MNIST (Xiao et al. 2017): 12,000 training and 1,000 test images of 28x28 pixels",
    licence="MIT",
    sha256="362ba1f5424f406d0db9c78b0e83db011b09c121c5c5f94ee5c077628f9adb5c",
    split="the data set's own: training and test images",
    model="CNN 8-16 with strides of two and a linear layer, float32, 9,098 parameters",
    loss="cross entropy in nats",
    shows="convolutions, on pictures that are no digits",
    steps=300,
    batch=64,
    seconds=1.0,
    seeds=20,
    needs=(("torch", "torch"), (str(FOLDER / "train-images-idx3-ubyte.gz"), "dataset-fashion-mnist (apt-get install)")),
)


FILES = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
IMAGE_HEAD, LABEL_HEAD = 16, 8  # bytes before the data


def read() -> list[tuple[np.ndarray, np.ndarray]]:
    """Images `(n, 1, 28, 28)` in 0..1 and classes `(n,)` for training and for validation."""
    x, y, held_x, held_y = (gzip.decompress(file) for file in contents([FOLDER / name for name in FILES], TASK.sha256))
    made = []
    for images, labels, count in ((x, y, TRAIN), (held_x, held_y, HELD)):
        pixels = np.frombuffer(images, np.uint8, count * 784, IMAGE_HEAD).reshape(-1, 1, 28, 28)
        made.append((pixels.astype(np.float32) / 255, np.frombuffer(labels, np.uint8, count, LABEL_HEAD).astype(int)))
    return made


def problem() -> Problem:
    import torch
    from torch import nn

    from ..torch_module import classifier

    train, held = ((torch.from_numpy(x), torch.from_numpy(y)) for x, y in read())

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(784, 10),
        )  # fmt: skip

    return classifier(build, train, held, TASK.batch)
