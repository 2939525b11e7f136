"""The task `digits-logistic`: logistic regression of the digits, a convex problem with many solutions."""

from .. import digits
from ..perceptron import Perceptron
from ..task import Task

TASK = Task(
    name="digits-logistic",
    title="digits by logistic regression",
    data=digits.TASK.data,
    licence=digits.TASK.licence,
    sha256=digits.TASK.sha256,
    split=digits.TASK.split,
    model="softmax regression 64-10, He initialisation, float32, 650 parameters",
    loss="cross entropy in nats",
    shows="convex, and soon over",
    steps=300,
    batch=64,
    seconds=0.03,
    seeds=80,
    needs=digits.TASK.needs,
)


def problem() -> Perceptron:
    data = digits.load(share=digits.RACED_SHARE)
    return Perceptron((64, 10), (data.train_x, data.train_y), (data.val_x, data.val_y), TASK.batch)
