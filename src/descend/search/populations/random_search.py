"""Random search: the best of many independent guesses, the least that every other method must beat."""

from typing import Any

import numpy as np

from ..kinds import whole
from ..method import VALUES, Iteration, Method, Stop, Wanted


class RandomSearch(Method):
    """Random search: uniform in the bounds, normal around the start without them (Brooks 1958).

    Args:
        size: points of an iteration, at least 1. sigma: standard deviation around x0 in a coordinate without bounds.
        iterations: how many at most; None: until the budget is spent.
    """

    uses = VALUES

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        size: int = 32,
        sigma: float = 1.0,
        iterations: int | None = None,
        **base: Any,
    ) -> None:
        super().__init__(x0, bounds, **base)
        if not 0 < sigma < np.inf:
            raise ValueError(f"sigma must be a finite number above 0, got {sigma}")
        self.size, self.sigma = whole("size", size, 32, 1), sigma
        self.iterations = None if iterations is None else whole("iterations", iterations, 1, 1)

    def begin(self) -> Iteration:
        yield Wanted("values", self.x0[None])  # the start is a guess too

    def iterate(self) -> Iteration:
        boxed = np.isfinite(self.lower) & np.isfinite(self.upper)
        chance = self.rng.uniform(size=(self.size, self.n))
        normal = self.x0 + self.sigma * self.rng.standard_normal((self.size, self.n))
        low, high = np.where(boxed, self.lower, 0.0), np.where(boxed, self.upper, 0.0)
        points = np.where(boxed, low + chance * (high - low), np.clip(normal, self.lower, self.upper))
        yield Wanted("values", points)
        if self.nit + 1 == self.iterations:
            return Stop(f"{self.iterations} iterations of {self.size} points are done")
