"""Rosenbrock's function from many starts: one start, however famous, is no measure of a rule."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from .calls import METHODS, Count, ours, scipys
from .problems import ABOVE, Rosenbrock

SIZES = (2, 5, 10, 20)
STARTS = 20  # of each size, uniform in [-2, 2]^n
LIMIT = 3000


def rows() -> Iterator[list[str]]:
    """A method; for each size its calls, a geometric mean, and how many runs ended lowest; the same of SciPy's."""
    for name, theirs in METHODS.items():
        yield [name, *(cell([ours(one, name, LIMIT) for one in problems(n)]) for n in SIZES)]
        if theirs:
            yield [f"SciPy's {theirs}", *(cell([scipys(one, theirs, LIMIT) for one in problems(n)]) for n in SIZES)]


def problems(n: int) -> Iterator[Rosenbrock]:
    for seed in range(STARTS):
        problem = Rosenbrock(n)
        problem.start = np.random.default_rng(seed).uniform(-2, 2, n)
        yield problem


def cell(counts: list[Count]) -> str:
    calls = [one.fg + one.hessians + one.products for one in counts]
    lowest = sum(one.value <= ABOVE for one in counts)
    return f"{math.exp(float(np.log(calls).mean())):.1f} ({lowest})"
