"""The task `digits`: 8x8 handwritten digits and a multilayer perceptron 64-64-10 with hand-written gradients.

Data: scikit-learn's copy of the UCI "Optical Recognition of Handwritten Digits" test set, 1,797 images of
8x8 pixels in 0..16, ten classes. The split into training and validation images is fixed and stratified:
it never depends on a seed, so every run of every race is judged on the same 360 images.
"""

import gzip
import importlib.util
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Labels = NDArray[np.int64]
LAYERS = (64, 64, 10)
CLASSES = 10
VALIDATION_SHARE = 0.2
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
        with gzip.open(path, "rt", encoding="ascii") as lines:
            table = np.loadtxt(lines, delimiter=",")
        return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.asarray(images), np.asarray(labels, dtype=np.int64)


@cache
def load(dtype: str = "float32") -> Digits:
    """The digits, scaled to 0..1 and split: in each class the same fifth of the images is for validation."""
    pixels, labels = read_digits()
    order = np.random.default_rng(SPLIT_SEED)
    val: list[int] = []
    for digit in range(CLASSES):
        rows = order.permutation(np.flatnonzero(labels == digit))
        val.extend(rows[: round(VALIDATION_SHARE * len(rows))])
    val_rows = np.sort(np.array(val, dtype=np.int64))
    train_rows = np.setdiff1d(np.arange(len(labels)), val_rows)
    x = np.ascontiguousarray(pixels / 16.0, dtype=dtype)
    parts = (x[train_rows], labels[train_rows], x[val_rows], labels[val_rows])
    for part in parts:
        part.flags.writeable = False  # shared by every run of this process
    return Digits(*parts, train_rows, val_rows)


def init(seed: int, dtype: str = "float32") -> list[Array]:
    """Parameters `[w1 (64, 64), b1 (64,), w2 (64, 10), b2 (10,)]`: He et al. 2015, zero biases."""
    rng = np.random.default_rng([seed, 0])
    params: list[Array] = []
    for fan_in, fan_out in pairwise(LAYERS):
        params.append((rng.standard_normal((fan_in, fan_out)) * np.sqrt(2.0 / fan_in)).astype(dtype))
        params.append(np.zeros(fan_out, dtype=dtype))
    return params


def batches(seed: int, steps: int, batch: int, n: int) -> Labels:
    """Training rows of each step, `(steps, batch)`: shuffled epochs, each without its short last batch."""
    rng = np.random.default_rng([seed, 1])
    per_epoch = n // batch
    epochs = -(-steps // per_epoch)
    rows = [rng.permutation(n)[: per_epoch * batch].reshape(per_epoch, batch) for _ in range(epochs)]
    return np.concatenate(rows)[:steps]


def _softmax(logits: Array) -> Array:
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def _picked_loss(logits: Array, y: Labels) -> float:
    """Mean cross entropy in nats, through log-sum-exp so that a confident mistake is finite."""
    top = logits.max(axis=1)
    log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float((log_sum - logits[np.arange(len(y)), y]).mean(dtype=np.float64))


def loss_and_grads(params: list[Array], x: Array, y: Labels) -> tuple[float, list[Array]]:
    """Mean cross entropy of a batch (nats) and its gradient for each parameter, same shapes and dtypes."""
    w1, b1, w2, b2 = params
    hidden = np.maximum(x @ w1 + b1, 0)
    logits = hidden @ w2 + b2
    loss = _picked_loss(logits, y)
    d_logits = _softmax(logits)
    d_logits[np.arange(len(y)), y] -= 1
    d_logits /= len(y)
    d_hidden = d_logits @ w2.T
    d_hidden[hidden <= 0] = 0
    return loss, [x.T @ d_hidden, d_hidden.sum(axis=0), hidden.T @ d_logits, d_logits.sum(axis=0)]


def evaluate(params: list[Array], x: Array, y: Labels) -> tuple[float, float]:
    """Mean cross entropy (nats) and accuracy (0..1) over all of `x`."""
    w1, b1, w2, b2 = params
    logits = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    return _picked_loss(logits, y), float((logits.argmax(axis=1) == y).mean())
