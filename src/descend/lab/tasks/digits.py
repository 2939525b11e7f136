"""The task `digits`: 8x8 handwritten digits and a multilayer perceptron 64-64-10.

Data: scikit-learn's copy of the UCI "Optical Recognition of Handwritten Digits" test set, 1,797 images of
8x8 pixels in 0..16, ten classes. The split into training and validation images is fixed and stratified:
it never depends on a seed, so every run of every race is judged on the same images.
"""

import gzip
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import perceptron
from .perceptron import Labels, Perceptron
from .problem import Array
from .task import Task

TASK = Task(
    name="digits",
    title="handwritten digits",
    data="scikit-learn digits: 1,797 handwritten digits of 8x8 pixels, ten classes (UCI)",
    licence="CC BY 4.0 (UCI), in scikit-learn's wheel (BSD-3)",
    sha256="09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    split="fixed, stratified: 899 images for training, 898 for validation",
    model="MLP 64-64-10, ReLU, He initialisation, float32, 4,810 parameters",
    loss="cross entropy in nats; no augmentation",
    shows="the race of a minute: adaptive rules and momentum come close once each has its own rate",
    steps=600,
    batch=64,
    seconds=0.09,
    seeds=100,
    needs=(("sklearn", "scikit-learn"),),
)
LAYERS = (64, 64, 10)
CLASSES = 10
VALIDATION_SHARE = 0.5  # a race needs a loss of little noise to judge by: on a fifth, seeds differ half as much again
SPLIT_SEED = 1797


@dataclass(frozen=True)
class Digits:
    """Images `(n, 64)` in 0..1, labels `(n,)` in 0..9, and the rows of the file each part came from."""

    train_x: Array
    train_y: Labels
    val_x: Array
    val_y: Labels
    train_rows: Labels
    val_rows: Labels


def read_digits() -> tuple[NDArray[np.float64], Labels]:
    """All images `(1797, 64)` in 0..16 and labels `(1797,)`, in the order of scikit-learn's file."""
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the digits come with scikit-learn: pip install scikit-learn")
    path = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if path.exists():
        # Importing sklearn.datasets takes 1.3 s in each process; its file alone takes 0.05 s.
        table = np.loadtxt(gzip.decompress(path.read_bytes()).decode("ascii").splitlines(), delimiter=",")
        return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.asarray(images), np.asarray(labels, dtype=np.int64)


@cache
def load(dtype: str = "float32", share: float = VALIDATION_SHARE) -> Digits:
    """The digits, scaled to 0..1 and split: in each class the same `share` of the images is for validation."""
    pixels, labels = read_digits()
    order = np.random.default_rng(SPLIT_SEED)
    val: list[int] = []
    for digit in range(CLASSES):
        rows = order.permutation(np.flatnonzero(labels == digit))
        val.extend(rows[: round(share * len(rows))])
    val_rows = np.sort(np.array(val, dtype=np.int64))
    train_rows = np.setdiff1d(np.arange(len(labels)), val_rows)
    x = np.ascontiguousarray(pixels / 16.0, dtype=dtype)
    parts = (x[train_rows], labels[train_rows], x[val_rows], labels[val_rows])
    for part in parts:
        part.flags.writeable = False  # shared by every run of this process
    return Digits(*parts, train_rows, val_rows)


def init(seed: int, dtype: str = "float32") -> list[Array]:
    """Parameters `[w1 (64, 64), b1 (64,), w2 (64, 10), b2 (10,)]`: He et al. 2015, zero biases."""
    return perceptron.initial(seed, LAYERS, dtype)


def problem() -> Perceptron:
    """The task as the race trains it."""
    data = load()
    return Perceptron(LAYERS, (data.train_x, data.train_y), (data.val_x, data.val_y), TASK.batch)
