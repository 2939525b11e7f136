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
SHORT = {  # options of methods with long steps: other first ones, and those that keep all or many of them short
    "trust_exact": ({"radius": 0.1}, {"radius": 100.0}, {"radius": 0.3, "largest_radius": 0.3}),
    "hessian_free": ({"damping": 45.0}, {"damping": 1000.0}),
}


def rows() -> Iterator[list[str]]:
    """A method; for each size its calls, a geometric mean, and how many runs ended lowest; the same of SciPy's."""
    for name, theirs in METHODS.items():
        yield [name, *(cell([ours(one, name, LIMIT) for one in problems(n)]) for n in SIZES)]
        for options in SHORT.get(name, ()):
            said = ", ".join(f"{option} {value:g}" for option, value in options.items())
            cells = (cell([ours(one, name, LIMIT, **options) for one in problems(n)]) for n in SIZES)
            yield [f"{name}, {said}", *cells]
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
