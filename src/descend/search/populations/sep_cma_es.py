"""sep-CMA-ES: CMA-ES with a diagonal covariance, linear in the dimension.

Ros & Hansen 2008 (PPSN), "A Simple Modification in CMA-ES Achieving Linear Time and Space Complexity".
"""

import numpy as np

from .cma_es import CMAES, Rates
from .restarts import Array


class SeparableRates(Rates):
    """Both learning rates (n + 3/2) / 3 times as large: there are only n variances to learn."""

    def learning(self, n: int, population: int) -> tuple[float, float]:
        c1, cmu = super().learning(n, population)
        c1 = min(0.5, c1 * (n + 1.5) / 3)
        return c1, min(1 - c1, cmu * (n + 1.5) / 3)


class SepCMAES(CMAES):
    """CMA-ES for many coordinates that depend little on each other (Ros & Hansen 2008).

    Its rates are those of cma_es times (D + 3/2) / 3; everything else is as there.
    """

    Rates = SeparableRates

    def start_covariance(self) -> None:
        self.C = self._scale**2  # (D,) variances
        self.set_axes(self._scale, self._scale.min(), self._scale.max())

    def coloured(self, Z: Array) -> Array:
        return Z * self.D

    def decompose(self) -> None:
        D = np.sqrt(self.C)
        self.set_axes(D, D.min(), D.max())

    def turned(self, z: Array) -> Array:
        return z

    def learn_covariance(self, decay: float, weights: Array, Y: Array) -> None:
        self.C = decay * self.C + weights @ Y**2 + self.rates.c1 * self.pc**2
        self.C = np.maximum(self.C, 1e-3 * self.D**2)  # a sum of squares with negative weights may fall below 0

    def variances(self) -> Array:
        return self.C

    def axis(self, i: int) -> Array:
        axis = np.zeros(self.n)
        axis[i] = self.D[i]
        return axis
