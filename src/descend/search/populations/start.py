"""Where a population begins: the sizes of the coordinates, and the first generation."""

from typing import Any

import numpy as np

from ..method import VALUES, Iteration, Method, Wanted

Array = np.ndarray


def spread_of(x0: Array, lower: Array, upper: Array, sigma0: float | None) -> tuple[float, Array]:
    """A first step size, and the (D,) sizes of the coordinates relative to it, whose geometric mean is 1.

    Without ``sigma0`` a step is a quarter of the width where both bounds are finite, and 0.3 · max(1, max |x0|) where
    they are not. With ``sigma0`` the widths only set the relation between the coordinates.

    Raises:
        ValueError: sigma0 is not a finite number above 0.
    """
    step_size(sigma0)
    width = upper - lower
    size = np.where(np.isfinite(width), width / 4, 0.3 * np.maximum(1, np.abs(x0).max(initial=0)))
    size = np.maximum(size, np.finfo(float).tiny)  # a width of a few of the smallest floats
    mean = float(np.exp(np.mean(np.log(size))))
    return mean if sigma0 is None else float(sigma0), size / mean


def step_size(sigma0: float | None) -> float | None:
    """``sigma0``, refused where it is no finite number above 0."""
    if sigma0 is not None and not 0 < sigma0 < np.inf:
        raise ValueError(f"sigma0 must be a finite number above 0, got {sigma0}: about a third of where f may be least")
    return sigma0


def first_population(
    rng: np.random.Generator, x0: Array, lower: Array, upper: Array, count: int, sigma0: float | None
) -> Array:
    """x0 and count − 1 other points, (count, D).

    They are uniform in the box where all bounds are finite and no ``sigma0`` is given; else normal around x0, with what
    falls outside of the bounds moved onto them.
    """
    if sigma0 is None and np.isfinite(upper - lower).all():
        others = rng.uniform(lower, upper, (count - 1, len(x0)))
    else:
        sigma, scale = spread_of(x0, lower, upper, sigma0)
        others = np.clip(x0 + sigma * scale * rng.standard_normal((count - 1, len(x0))), lower, upper)
    return np.concatenate((x0[None], others))


class Population(Method):
    """A method with ``population`` points ``X`` (n, D), which a subclass counts, and their values ``f`` (n,).

    Args:
        tol: it ends when the values of the population differ by less than tol · (1 + |best|).
        sigma0: spread of the first population around x0; None: uniform in the box where all bounds are finite.
    """

    uses = VALUES
    population: int

    def __init__(
        self, x0: Any, bounds: Any = None, *, tol: float = 1e-12, sigma0: float | None = None, **base: Any
    ) -> None:
        super().__init__(np.asarray(x0, float), bounds, **base)
        self._tol, self._sigma0 = tol, step_size(sigma0)
        self.X, self.f = np.empty((0, self.n)), np.empty(0)

    def first(self) -> Array:
        return first_population(self.rng, self.x0, self.lower, self.upper, self.population, self._sigma0)

    def begin(self) -> Iteration:
        self.X = self.first()
        self.f = yield Wanted("values", self.X)
        return None


def matrix_fits(n: int) -> None:
    """Refuse to allocate a matrix of n × n that no method with one could work with.

    Raises:
        ValueError: more than 10,000 coordinates; the message has the memory.
    """
    if n > 10_000:
        raise ValueError(
            f"x0 has {n} coordinates: a covariance of them takes {8 * n * n / 2**30:.0f} GiB, several times over; "
            "sep_cma_es, snes, pgpe and es keep one number per coordinate"
        )


def replaced(old: Array, new: Array, where: Array) -> Array:
    """A copy of ``old`` (n, D) with the rows ``where`` (n,) of ``new``."""
    mixed = old.copy()
    mixed[where] = new[where]
    return mixed


def events(rng: np.random.Generator, count: int, probability: float) -> Array:
    """Which of ``count`` independent trials succeed: the gaps between successes are geometric."""
    if probability <= 0:
        return np.empty(0, int)
    some = int(count * probability + 5 * np.sqrt(count * probability) + 10)
    at = np.cumsum(rng.geometric(probability, some)) - 1
    while at[-1] < count:
        at = np.concatenate((at, at[-1] + np.cumsum(rng.geometric(probability, some))))
    return at[at < count]
