"""What "auto" takes where there are values only: a quadratic model of f first, CMA-ES without it after."""

from collections.abc import Generator
from typing import Any

from ..method import Wanted
from .cma_es import CMAES
from .lq_cma_es import LqCMAES
from .restarts import Array

MODELLED = 20  # coordinates up to which a fit of the model, whose cost grows with their sixth power, takes milliseconds
USELESS = 0.9  # the share of points asked for in spite of the model, above which the next run goes without it


class Auto(LqCMAES):
    """lq-CMA-ES with BIPOP restarts, which drops the model once it no longer saves evaluations.

    Up to 20 coordinates a run begins with a linear-quadratic model. When a run ends in which nine points in ten had to
    be evaluated all the same, later runs are plain CMA-ES.
    """

    REGIME = "bipop"

    def start_run(self, x0: Array, sigma: float) -> None:
        if self.nfev == 0:
            self.switched = -1 if self.n <= MODELLED else 0  # evaluations when the model was dropped; -1: it was not
        elif self.switched < 0 and self.asked > USELESS * self.offered:
            self.switched = self.nfev
        super().start_run(x0, sigma)

    def generation(self) -> Generator[Wanted, Any, list[str]]:
        return (LqCMAES if self.switched < 0 else CMAES).generation(self)

    def said(self) -> str:
        if self.switched < 0:
            return "lq-CMA-ES, with a quadratic model throughout"
        if self.switched == 0:
            return f"CMA-ES, without a model because of more than {MODELLED} coordinates"
        return f"lq-CMA-ES, from evaluation {self.switched} on CMA-ES without a model"
