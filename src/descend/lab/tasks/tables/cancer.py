"""The task `cancer`: logistic regression of the breast cancer data as they are, not standardised.

Thirty measurements in their own units, from 0.001 to 4,000: the Hessian has a condition number of about 1e6.
"""

import csv

import numpy as np

from ..packaged import contents, halves, path_in
from ..perceptron import Perceptron
from ..problem import Array
from ..task import Task

TASK = Task(
    name="cancer",
    title="breast cancer, unscaled",
    data="scikit-learn's breast cancer (Wisconsin): 569 patients, 30 measurements, two classes (UCI)",
    licence="CC BY 4.0 (UCI), in scikit-learn's wheel (BSD-3)",
    sha256="fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed",
    split="fixed: 285 patients for training, 284 for validation",
    model="softmax regression 30-2, zero initialisation, float32, 62 parameters",
    loss="cross entropy in nats",
    shows="bad units: rules with a rate per coordinate do not mind, one rate for all crawls",
    steps=1000,
    batch=32,
    seconds=0.07,
    seeds=60,
    needs=(("sklearn", "scikit-learn"),),
)


class Flat(Perceptron):
    """The regression, from zero: a random start in these units would cost hundreds of nats."""

    def init(self, seed: int) -> list[Array]:
        return [np.zeros_like(p) for p in super().init(seed)]


def problem() -> Flat:
    (file,) = contents([path_in("sklearn", "datasets", "data", "breast_cancer.csv")], TASK.sha256)
    table = np.array(list(csv.reader(file.decode("ascii").splitlines()))[1:], dtype=np.float64)
    x, y = np.ascontiguousarray(table[:, :-1], dtype=np.float32), table[:, -1].astype(np.int64)
    train, held = halves(len(y), 569)
    return Flat((30, 2), (x[train], y[train]), (x[held], y[held]), TASK.batch)
