"""The task `digits-logistic`: logistic regression of the digits, a convex problem with many solutions."""

from dataclasses import replace

from .. import digits
from ..perceptron import Perceptron

TASK = replace(
    digits.TASK,
    name="digits-logistic",
    title="digits by logistic regression",
    model="softmax regression 64-10, He initialisation, float32, 650 parameters",
    loss="cross entropy in nats",
    shows="convex, and soon over",
    steps=300,
    batch=64,
    seconds=0.03,
    seeds=80,
)


def problem() -> Perceptron:
    data = digits.load()
    return Perceptron((64, 10), (data.train_x, data.train_y), (data.val_x, data.val_y), TASK.batch)
