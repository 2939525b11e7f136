"""Restarts with growing populations (IPOP), or with growing and small ones in turn (BIPOP).

Auger & Hansen 2005 (CEC), "A Restart CMA Evolution Strategy With Increasing Population Size"; Hansen 2009 (GECCO
workshop), "Benchmarking a BI-Population CMA-ES on the BBOB-2009 Function Testbed", with the budgets of
pycma's ``fmin2``.
"""

from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from ..kinds import whole
from ..method import VALUES, Iteration, Method, Stop, Wanted
from .start import spread_of

Array = np.ndarray
REGIMES = ("bipop", "ipop", "none")


class Restarted(Method):
    """A method that runs again from elsewhere, with another population, when a run has ended.

    A subclass writes ``start_run``, which sets up a run, and ``generation``, which returns the reasons why it ends.

    Args:
        sigma0: the first step size, about a third of where the optimum may be; None: from the bounds, or from x0.
        population: λ of the first run; None: 4 + ⌊3 ln D⌋.
        restarts: "bipop", "ipop" or "none"; None: what the method's paper has.
        max_restarts: runs with a doubled population at most.
        patience: end after so many runs in a row without a point that is better by more than ``tol``; None: never.
        tol: a run ends when its values differ by less.
        restart_from: gives the start (D,) of a later run for a generator; None: uniform in the box where all bounds
            are finite, else x0.
    """

    uses = VALUES

    REGIME = "bipop"

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        sigma0: float | None = None,
        population: int | None = None,
        restarts: str | None = None,
        max_restarts: int = 9,
        patience: int | None = None,
        tol: float = 1e-11,
        restart_from: Callable[[np.random.Generator], Array] | None = None,
        **base: Any,
    ) -> None:
        super().__init__(np.asarray(x0, float), bounds, **base)
        restarts = self.REGIME if restarts is None else restarts
        if restarts not in REGIMES:
            raise ValueError(f"restarts must be one of {', '.join(REGIMES)}; got {restarts!r}")
        self.tol = tol
        self._regime, self._max_restarts, self._restart_from = (
            restarts,
            whole("max_restarts", max_restarts, 9, 0),
            restart_from,
        )
        self._patience = np.inf if patience is None else whole("patience", patience, 1, 1)
        self.run_found, self.vain = np.inf, 0  # the best value when the run before ended, runs that found no better
        self._sigma0, self._scale = spread_of(self.x0, self.lower, self.upper, sigma0)
        self._largest_scale = float(self._scale.max())
        self._population0 = whole("population", population, int(4 + 3 * np.log(self.n)), 4)  # (48)
        self._iterations0 = 100 + 150 * (self.n + 3) ** 2 // self._population0**0.5
        self.nfev = 0
        self.large = 0  # runs with a doubled population so far
        self.kind = "small"  # pycma books the first run with the small ones
        self.spent_small = self.spent_large = 0  # evaluations
        self.run_began = 0
        self.population, self.iterations, self.max_iterations = self._population0, 0, self._iterations0
        self.start_run(self.x0, self._sigma0)

    def start_run(self, x0: Array, sigma: float) -> None:
        raise NotImplementedError

    def generation(self) -> Generator[Wanted, Any, list[str]]:
        raise NotImplementedError

    def iterate(self) -> Iteration:
        reasons = yield from self.generation()
        if not reasons:
            return None
        if self.kind == "small":
            self.spent_small += self.nfev - self.run_began
        else:
            self.spent_large += self.nfev - self.run_began
        self.vain = 0 if self.best_f < self.run_found - self.tol else self.vain + 1
        self.run_found = self.best_f
        small = self._regime == "bipop" and self.spent_small < max(1, self.spent_large)
        if self._regime == "none" or (self.large >= self._max_restarts and not small):
            return Stop("; ".join(reasons))
        if self.vain >= self._patience:
            return Stop(f"{'; '.join(reasons)}; {self.vain} runs in a row found nothing better")
        self._restart(small)
        return None

    def _restart(self, small: bool) -> None:
        """The regime that has had fewer evaluations goes next (Hansen 2009, section 2)."""
        step = 1.0
        self.run_began, self.iterations = self.nfev, 0
        if small:
            self.kind = "small"
            step = 0.01 ** self.rng.uniform()
            self.population = int(self._population0 * (2.0**self.large) ** (self.rng.uniform() ** 2))
            self.max_iterations = min(self._iterations0, 0.5 * self.spent_large / self.population)
        else:
            self.kind = "large"
            self.large += 1
            self.population, self.max_iterations = self._population0 * 2**self.large, self._iterations0
        self.start_run(self._elsewhere(), step * self._sigma0)

    def _elsewhere(self) -> Array:
        if self._restart_from is not None:
            return np.asarray(self._restart_from(self.rng), float)
        if np.isfinite(self.upper - self.lower).all():
            return self.rng.uniform(self.lower, self.upper)
        return self.x0
