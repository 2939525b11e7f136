"""A problem of the map: where it begins, its gradient as the optimizer gets it, and how well a point solves it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]
SHAPE = (4, 5)  # of every parameter: a matrix, so that rules for matrices can be asked, too
WIDE = (10, 20)  # where single coordinates decide: two hundred of them say the same under most seeds, twenty do not
STEPS = 200


@dataclass(frozen=True)
class World:
    """What a problem gives for one seed.

    Args:
        start: the parameter at the beginning, of SHAPE or another matrix.
        gradient: of a point at a step (from 1), as the optimizer gets it: with its noise, delay, scale.
        error: of a point after the last step, 1 at the start: what is left of what was to be gained.
    """

    start: Array
    gradient: Callable[[Array, int], Array]
    error: Callable[[Array], float]


@dataclass(frozen=True)
class Problem:
    """A problem by name. `within`: the error at which it counts as solved; `shows`: what it asks of a rule."""

    name: str
    group: str
    shows: str
    within: float
    world: Callable[[Generator], World]


PROBLEMS: dict[str, Problem] = {}


def problem(group: str, within: float = 0.01) -> Callable[[Callable[[Generator], World]], Callable[[Generator], World]]:
    """Enter a function of a generator into the map, by its name; its docstring says what it shows."""

    def enter(world: Callable[[Generator], World]) -> Callable[[Generator], World]:
        name = world.__name__.replace("_", " ")
        PROBLEMS[name] = Problem(name, group, " ".join((world.__doc__ or "").split()), within, world)
        return world

    return enter


def descent(start: Array, loss: Callable[[Array], float], slope: Callable[[Array], Array], least: float = 0.0) -> World:
    """A function with its exact gradient; the error is its value above the least, over that of the start."""
    first = loss(start) - least
    return World(start, lambda x, t: slope(x), lambda x: (loss(x) - least) / first)


def bowl(start: Array, curvature: Array | float = 1.0, least: Array | float = 0.0) -> World:
    """½ Σ curvature (x − least)²."""
    return descent(
        start, lambda x: 0.5 * float(np.sum(curvature * (x - least) ** 2)), lambda x: curvature * (x - least)
    )
