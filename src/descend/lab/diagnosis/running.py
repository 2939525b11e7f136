"""A rule on a problem: at every rate of a grid, annealed to zero; it is solved if it is at any of them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import default_rng

from ... import schedules
from ...core.rule import Rule
from ...optimizer import Optimizer
from .problem import PROBLEMS, STEPS, Problem

RATES = tuple(10 ** (k / 2) for k in range(-8, 5))  # 1e-4 to 100, half a decade apart


@dataclass(frozen=True)
class Cell:
    """A rule on a problem. `errors`: at each of RATES; 1 is where it began, infinite where it diverged."""

    rule: str
    problem: str
    errors: tuple[float, ...]
    within: float

    @property
    def width(self) -> float:
        """The decades of rates at which it is solved, half a decade for each; 0: at none."""
        return 0.5 * sum(error <= self.within for error in self.errors)

    @property
    def solved(self) -> bool:
        return self.width > 0

    @property
    def best(self) -> float:
        return min(self.errors)


def error_of(rule: Rule, problem: Problem, lr: float, seed: int, steps: int = STEPS) -> float:
    """What is left after a run at that rate, linearly annealed to zero; infinite if it diverged.

    A rule that averages its iterates is judged by what it ships.
    """
    world = problem.world(default_rng(seed))
    params = [world.start.copy()]
    optimizer = Optimizer(rule, params, engine="auto", lr=lr * schedules.linear(steps))
    with np.errstate(all="ignore"):
        for t in range(1, steps + 1):
            gradient = world.gradient(optimizer.gradient_point()[0], t)
            if not np.all(np.isfinite(gradient)):
                return math.inf
            optimizer.step([gradient])
        error = world.error(optimizer.shipped_point()[0])
    return error if math.isfinite(error) else math.inf


def cell(rule: Rule, problem: Problem, seed: int = 0) -> Cell:
    """A rule on a problem at every rate."""
    return Cell(rule.name, problem.name, tuple(error_of(rule, problem, lr, seed) for lr in RATES), problem.within)


def cells(
    names: Sequence[str], problems: Sequence[str], seed: int, find: Callable[[str], Rule]
) -> Iterator[Cell | tuple[str, str]]:
    """Every rule on every problem, rule by rule; (rule, reason) for one that cannot be asked."""
    for name in names:
        for title in problems:
            try:
                yield cell(find(name), PROBLEMS[title], seed)
            except Exception as error:  # a rule that needs more than a gradient, or a mistake in one of the user's
                yield name, f"{type(error).__name__}: {error}".splitlines()[0]
                break
