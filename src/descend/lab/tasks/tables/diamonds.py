"""The task `diamonds`: the price of 53,940 diamonds by a perceptron; the data come with plotnine."""

import csv

import numpy as np

from ..packaged import contents, halves, path_in
from ..perceptron import Perceptron
from ..task import Task

CUT = ("Fair", "Good", "Very Good", "Premium", "Ideal")
COLOUR = "JIHGFED"
CLARITY = ("I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF")
TASK = Task(
    name="diamonds",
    title="the price of diamonds",
    data="ggplot2's diamonds: 53,940 stones, nine properties, price in dollars",
    licence="MIT, in plotnine's wheel",
    sha256="9574730b03aba241d899c4a97511c5061b19358fab89510774fb6c24168345c4",
    split="fixed: 43,152 stones for training, 10,788 for validation",
    model="MLP 9-64-64-1 on standardised columns, ReLU, float32, 4,865 parameters",
    loss="mean squared error of the standardised logarithm of the price",
    shows="a large table of numbers",
    steps=600,
    batch=256,
    seconds=0.4,
    seeds=40,
    needs=(("plotnine", "plotnine"),),
)


def problem() -> Perceptron:
    (file,) = contents([path_in("plotnine", "data", "diamonds.csv")], TASK.sha256)
    rows = list(csv.DictReader(file.decode("utf-8").splitlines()))
    numbers = [[float(row[name]) for name in ("carat", "depth", "table", "x", "y", "z")] for row in rows]
    grades = [[CUT.index(row["cut"]), COLOUR.index(row["color"]), CLARITY.index(row["clarity"])] for row in rows]
    x = np.concatenate([np.array(numbers), np.array(grades)], axis=1)
    y = np.log(np.array([[float(row["price"])] for row in rows]))
    train, held = halves(len(y), 53940, 0.2)
    x = ((x - x[train].mean(axis=0)) / x[train].std(axis=0)).astype(np.float32)
    y = ((y - y[train].mean()) / y[train].std()).astype(np.float32)
    return Perceptron((9, 64, 64, 1), (x[train], y[train]), (x[held], y[held]), TASK.batch)
