"""A multilayer perceptron with hand-written gradients: the model of many tasks, with no framework to import.

Layers are `x @ w + b` with ReLU between them. The last layer goes into a softmax cross entropy (labels) or into half
the mean squared error (targets). On nets of this size a step costs a tenth of what a framework's would.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .problem import NAN, Array

Labels = NDArray[np.int64]


def initial(seed: int, layers: Sequence[int], dtype: str = "float32") -> list[Array]:
    """Parameters `[w1 (in, out), b1 (out,), w2, b2, ...]`: He et al. 2015, zero biases."""
    rng = np.random.default_rng([seed, 0])
    params: list[Array] = []
    for fan_in, fan_out in pairwise(layers):
        params.append((rng.standard_normal((fan_in, fan_out)) * np.sqrt(2.0 / fan_in)).astype(dtype))
        params.append(np.zeros(fan_out, dtype=dtype))
    return params


def shuffled(seed: int, steps: int, batch: int, n: int) -> Labels:
    """Training rows of each step, `(steps, batch)`: shuffled epochs, each without its short last batch."""
    rng = np.random.default_rng([seed, 1])
    per_epoch = n // batch
    epochs = -(-steps // per_epoch)
    rows = [rng.permutation(n)[: per_epoch * batch].reshape(per_epoch, batch) for _ in range(epochs)]
    return np.concatenate(rows)[:steps]


def outputs(params: list[Array], x: Array) -> tuple[Array, list[Array]]:
    """The last layer's output, and what went into each layer."""
    inputs = [x]
    last = len(params) - 2
    for k in range(0, len(params), 2):
        y = inputs[-1] @ params[k]
        y += params[k + 1]
        if k != last:
            inputs.append(np.maximum(y, 0, out=y))
    return y, inputs


def backward(params: list[Array], inputs: list[Array], d: Array) -> list[Array]:
    """Gradients of all parameters from the gradient `d` of the last layer's output."""
    grads: list[Array] = []
    for k in reversed(range(len(inputs))):
        grads += [d.sum(axis=0), inputs[k].T @ d]
        if k:
            d = d @ params[2 * k].T
            d[inputs[k] <= 0] = 0
    return grads[::-1]


def cross_entropy(logits: Array, y: Labels) -> tuple[float, Array]:
    """Mean cross entropy in nats, through log-sum-exp so that a confident mistake is finite, and its gradient."""
    rows = np.arange(len(y))
    top = logits.max(axis=1)
    exp = np.exp(logits - top[:, None])
    total = exp.sum(axis=1)
    loss = float((np.log(total) + top - logits[rows, y]).mean(dtype=np.float64))
    exp /= (total * len(y))[:, None]
    exp[rows, y] -= 1 / len(y)
    return loss, exp


def classify(params: list[Array], x: Array, y: Labels) -> tuple[float, list[Array]]:
    """Mean cross entropy of a batch (nats) and its gradient for each parameter, same shapes and dtypes."""
    logits, inputs = outputs(params, x)
    loss, d = cross_entropy(logits, y)
    return loss, backward(params, inputs, d)


def regress(params: list[Array], x: Array, y: Array) -> tuple[float, list[Array]]:
    """Mean squared error of a batch, over all outputs, and its gradient for each parameter."""
    out, inputs = outputs(params, x)
    out -= y
    loss = float(np.square(out, dtype=np.float64).mean())
    out *= 2 / out.size
    return loss, backward(params, inputs, out)


class Perceptron:
    """A perceptron on arrays: classes where the targets are integers `(n,)`, a regression where they are `(n, out)`."""

    def __init__(
        self,
        layers: Sequence[int],
        train: tuple[Array, NDArray],
        validation: tuple[Array, NDArray],
        batch: int,
        dtype: str = "float32",
    ) -> None:
        self.layers, self.batch, self.dtype = tuple(layers), batch, dtype
        self.train, self.validation = train, validation
        self.classes = np.issubdtype(train[1].dtype, np.integer)

    def init(self, seed: int) -> list[Array]:
        return initial(seed, self.layers, self.dtype)

    def batches(self, seed: int, steps: int) -> Iterator[tuple[Array, NDArray]]:
        x, y = self.train
        for rows in shuffled(seed, steps, min(self.batch, len(y)), len(y)):
            yield x[rows], y[rows]

    def loss_and_grads(self, params: list[Array], batch: tuple[Array, NDArray]) -> tuple[float, list[Array]]:
        return (classify if self.classes else regress)(params, *batch)

    def validate(self, params: list[Array]) -> tuple[float, float]:
        x, y = self.validation
        out, _ = outputs(params, x)
        if self.classes:
            return cross_entropy(out, y)[0], float((out.argmax(axis=1) == y).mean())
        return float(np.square(out - y, dtype=np.float64).mean()), NAN
