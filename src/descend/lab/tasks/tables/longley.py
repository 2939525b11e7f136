"""The task `longley`: the least squares of Longley (1967), whose columns nearly depend on each other.

Sixteen years of US employment, public domain, as NIST's Statistical Reference Datasets have them; each column is
centred and scaled to unit variance, and still the condition number of X'X is 12,000. Nothing is held out: the loss is
how far the mean squared residual is above its minimum, as a share of that minimum, which NIST certifies.
"""

from collections.abc import Iterator

import numpy as np

from ..problem import NAN, Array
from ..task import Task

TASK = Task(
    name="longley",
    title="Longley's ill-conditioned regression",
    data="Longley 1967: 16 years, 6 columns; employment to be explained (NIST StRD)",
    licence="public domain",
    sha256="",
    split="none: full batches, the loss itself is the score",
    model="linear regression with 6 coefficients, float64",
    loss="mean squared residual over its minimum, minus 1",
    shows="a valley a hundred times longer than wide: plain gradient descent needs over four times the steps",
    steps=1000,
    batch=16,
    seconds=0.03,
    seeds=40,
    log=True,
)
# GNP deflator, GNP, unemployed, armed forces, population, year; employed
ROWS = """\
83.0 234289 2356 1590 107608 1947 60323
88.5 259426 2325 1456 108632 1948 61122
88.2 258054 3682 1616 109773 1949 60171
89.5 284599 3351 1650 110929 1950 61187
96.2 328975 2099 3099 112075 1951 63221
98.1 346999 1932 3594 113270 1952 63639
99.0 365385 1870 3547 115094 1953 64989
100.0 363112 3578 3350 116219 1954 63761
101.2 397469 2904 3048 117388 1955 66019
104.6 419180 2822 2857 118734 1956 67857
108.4 442769 2936 2798 120445 1957 68169
110.8 444546 4681 2637 121950 1958 66513
112.6 482704 3813 2552 123366 1959 68655
114.2 502601 3931 2514 125368 1960 69564
115.7 518173 4806 2572 127852 1961 69331
116.9 554894 4007 2827 130081 1962 70551"""


def table() -> Array:
    """The data `(16, 7)`; the last column is to be explained."""
    return np.array([[float(x) for x in line.split()] for line in ROWS.splitlines()])


class LeastSquares:
    """Full-batch least squares."""

    def __init__(self, x: Array, y: Array) -> None:
        self.x, self.y = x, y
        self.best, *_ = np.linalg.lstsq(x, y, rcond=None)
        self.floor = float(np.square(x @ self.best - y).mean())

    def init(self, seed: int) -> list[Array]:
        return [np.random.default_rng([seed, 0]).standard_normal(self.x.shape[1])]

    def batches(self, seed: int, steps: int) -> Iterator[None]:
        yield from [None] * steps

    def loss_and_grads(self, params: list[Array], batch: None) -> tuple[float, list[Array]]:
        residual = self.x @ params[0] - self.y
        scale = len(self.y) * self.floor
        return float(residual @ residual) / scale - 1, [2 / scale * self.x.T @ residual]

    def validate(self, params: list[Array]) -> tuple[float, float]:
        # from the distance to the solution: the difference of two near losses would be rounding
        apart = self.x @ (params[0] - self.best)
        return float(apart @ apart) / (len(self.y) * self.floor), NAN


def problem() -> LeastSquares:
    data = table()
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    return LeastSquares(data[:, :-1], data[:, -1])
