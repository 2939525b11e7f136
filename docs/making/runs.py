"""Every rule on the same small problems, run by the oracle: what the pictures in the documentation are drawn from.

Two surfaces for rules that step a vector; an associative memory of 8×8 for those that need a matrix. Each rule
gets the learning rate of one grid, the same for all, whose losses are lowest on average; its other settings are its
defaults.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress

import numpy as np

from descend.core.rule import Rule
from descend.core.trace import trace
from descend.engines import load
from descend.engines.arrays import begun, point_of, take_first_gradients
from descend.engines.base import Work

STEPS = 200
GRID = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
FLOOR = 1e-16  # losses below are equal: float64 has no more digits to tell them apart

Field = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Task:
    """A loss with its gradient and the diagonal of its Hessian.

    ``each``: parts of the loss worth showing. ``fades``: the learning rate falls linearly to zero, without which
    rules whose steps have one length never settle.
    """

    name: str
    start: np.ndarray
    loss: Callable[[np.ndarray], float]
    gradient: Field
    curvature: Field
    best: tuple[float, float] | None = None
    frame: tuple[tuple[float, float], tuple[float, float]] = ((-2.0, 2.0), (-2.0, 2.0))  # of the picture, x and y
    each: Field | None = None
    fades: bool = False


@dataclass(frozen=True)
class Run:
    """``trained[t]`` and ``shipped[t]``: the point stepped and the point to evaluate, after t steps."""

    lr: float
    trained: np.ndarray
    shipped: np.ndarray
    losses: np.ndarray  # of the shipped points

    def score(self, task: Task) -> tuple[bool, float]:
        """What the grid is judged by: stay in the frame, and be low and soon. The end alone would reward luck."""
        (left, right), (low, high) = task.frame
        inside = np.all((self.shipped >= [left, low]) & (self.shipped <= [right, high])) if task.best else True
        whole = len(self.losses) > STEPS and bool(inside)
        return not whole, float(np.log(np.maximum(self.losses, FLOOR)).mean())


def _rosenbrock() -> Task:
    def gradient(p: np.ndarray) -> np.ndarray:
        x, y = p
        return np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])

    return Task(
        "Rosenbrock's valley",
        np.array([-1.2, 1.0]),
        lambda p: float((1 - p[0]) ** 2 + 100 * (p[1] - p[0] * p[0]) ** 2),
        gradient,
        lambda p: np.array([2 - 400 * (p[1] - 3 * p[0] * p[0]), 200.0]),
        best=(1.0, 1.0),
        frame=((-2.0, 2.0), (-1.0, 3.0)),
    )


# The bowl: curvature 1 along a line 30° up, 100 across it. Its minimum is not at 0, where decay would find it.
TURN, STEEP, MIDDLE = math.radians(30), 100.0, np.array([0.6, 0.2])


def _bowl() -> Task:
    along = np.array([math.cos(TURN), math.sin(TURN)])
    across = np.array([-along[1], along[0]])
    matrix = np.outer(along, along) + STEEP * np.outer(across, across)
    return Task(
        "Turned bowl, 100 : 1",
        np.array([-1.5, 0.5]),
        lambda p: float((p - MIDDLE) @ matrix @ (p - MIDDLE) / 2),
        lambda p: matrix @ (p - MIDDLE),
        lambda p: np.diag(matrix).copy(),
        best=(float(MIDDLE[0]), float(MIDDLE[1])),
    )


PAIRS = 8


def _memory() -> Task:
    """Learn W with W·key = value for eight pairs, the k-th of which is seen 1/k times as often as the first."""
    rng = np.random.default_rng(0)
    keys, values = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, PAIRS, PAIRS)))
    share = 1 / np.arange(1, PAIRS + 1)
    share /= share.sum()

    def error(w: np.ndarray) -> np.ndarray:
        return keys @ w.T - values

    return Task(
        "Memory of 8 pairs",
        rng.normal(size=(PAIRS, PAIRS)) / 100,
        lambda w: float(share @ (error(w) ** 2).sum(1) / 2),
        lambda w: (share[:, None] * error(w)).T @ keys,
        lambda w: np.tile(share @ keys**2, (PAIRS, 1)),
        each=lambda w: (error(w) ** 2).sum(1),
        fades=True,
    )


ROSENBROCK, BOWL = SURFACES = (_rosenbrock(), _bowl())
MEMORY = _memory()


def tasks_of(rule: Rule) -> tuple[Task, ...]:
    """A matrix rule hands vectors to another rule, so a path in the plane would show that one."""
    return (MEMORY,) if rule.vectors is not None else SURFACES


@cache
def tuned(rule: Rule, task: Task) -> Run:
    """The best run of the grid; a tie goes to the smaller learning rate."""
    return min(side_by_side(rule, task, GRID), key=lambda r: r.score(task))


def run(rule: Rule, task: Task, lr: float) -> Run:
    """All steps with one learning rate; fewer where the path leaves every bound."""
    return side_by_side(rule, task, (lr,))[0]


def side_by_side(rule: Rule, task: Task, rates: Sequence[float]) -> list[Run]:
    """A run for each learning rate, as if each were by itself: together they take a third of the time."""
    sums = {node.value for node in trace(rule, whole=True).nodes if node.op in ("total", "count")}
    if "all" in sums and len(rates) > 1:  # over all parameters: they would be one run
        return [run(rule, task, lr) for lr in rates]
    paths, shipped = [[task.start] for _ in rates], [[task.start] for _ in rates]
    work, going = _begun(rule, task, rates), list(range(len(rates)))
    step = load("numpy").prepare([work])
    with np.errstate(all="ignore"):
        for t in range(1, STEPS + 1):
            for row, lr in zip(work.rows, rates, strict=True):
                row.t, row.settings["lr"] = t, lr * (1 - (t - 1) / STEPS) if task.fades else lr
            work.arrays["g"] = [task.gradient(at) for at in point_of(rule.gradient_point, work)]
            if t == 1:
                take_first_gradients(work)
            for slot in rule.slots:
                if slot.saved_as == "hessian":  # what a training loop would estimate is known exactly here
                    work.arrays[slot.name] = [task.curvature(p) for p in work.arrays["p"]]
            step(1)
            inside = [bool(np.abs(p).max() < 1e3) for p in work.arrays["p"]]  # also false for NaN
            if not all(inside):
                _only(work, inside)
                going = list(compress(going, inside))
            if not going:
                break
            for k, p, at in zip(going, work.arrays["p"], point_of(rule.shipped_point, work), strict=True):
                paths[k].append(p.copy())
                shipped[k].append(np.array(at))
        losses = [np.array([task.loss(p) for p in points]) for points in shipped]
    made = zip(rates, map(np.array, paths), map(np.array, shipped), losses, strict=True)
    return [Run(*one) for one in made]


def _begun(rule: Rule, task: Task, rates: Sequence[float]) -> Work:
    """A tensor, and a row of settings, for each learning rate."""
    each = [begun(rule, [task.start.copy()], {**rule.settings, "lr": lr}) for lr in rates]
    return Work(
        rule, "float64", [task.start.size] * len(each), [work.rows[0] for work in each], np.arange(len(each)),
        {name: [work.arrays[name][0] for work in each] for name in each[0].arrays},
        {name: np.concatenate([work.numbers[name] for work in each]) for name in each[0].numbers},
    )  # fmt: skip


def _only(work: Work, kept: list[bool]) -> None:
    """Leave out the other tensors; the rows stay."""
    work.sizes, work.row_of = list(compress(work.sizes, kept)), work.row_of[kept]
    work.arrays = {name: list(compress(held, kept)) for name, held in work.arrays.items()}
    work.numbers = {name: held[kept] for name, held in work.numbers.items()}
