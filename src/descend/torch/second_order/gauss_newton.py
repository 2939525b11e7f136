"""Gauss–Newton on the parameters of a model, from a closure that returns residuals."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.untraced import untraced
from ...search.method import Wanted, half_square
from ...search.second_order.memory import amount
from .graph import Graph, host, shown
from .searching import SearchOptimizer


class _Residuals(Graph):
    """The closure's residuals at one point, and their Jacobian."""

    here: Tensor | None

    def drop(self) -> None:
        super().drop()
        self.here = None

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """(m,), inf where one is not finite."""
        self.stand(x)
        returned = self.called()
        if not isinstance(returned, Tensor) or returned.is_complex() or not returned.numel():
            raise TypeError(f"{self.name}: the closure must return the residuals, a real tensor; got {shown(returned)}")
        if not returned.requires_grad:
            raise ValueError(
                f"{self.name}: the residuals that the closure returns do not depend on the parameters, or were "
                "computed under torch.no_grad(), or detached"
            )
        self.here = returned.reshape(-1)
        r = host(self.here)
        return np.where(np.isfinite(r), r, np.inf)

    def jacobian(self, x: np.ndarray, most: float) -> np.ndarray:
        """(m, D), refused where it takes more than ``most`` bytes."""
        self.stand(x)
        if self.here is None:
            self.residuals(x)
        assert self.here is not None
        if (size := 8 * len(self.here) * len(x)) > most:
            raise ValueError(
                f"{self.name}: the Jacobian of {len(self.here):,} residuals by {len(x):,} parameters takes "
                f"{amount(size)}, and memory_limit is {amount(most)}: raise it, take fewer residuals, or HessianFree"
            )
        return self.rows(self.here)


@untraced
class GaussNewton(SearchOptimizer):
    """Gauss–Newton with the damping of Levenberg and Marquardt: a ``SearchOptimizer`` for sums of squares.

    The closure returns the residuals r, a tensor of any shape; what is minimized is ½ Σ r²::

        opt = GaussNewton(model.parameters())
        loss = opt.step(lambda: model(x) - y)

    The Jacobian, residuals × parameters, is computed at the start of every step, by a backward pass for each residual,
    64 at a time where ``torch.func.vmap`` can. For thousands of residuals see ``NaturalGradient``, which takes them
    point by point.

    Args:
        params, max_iter: as for every ``SearchOptimizer``. tol, damping, memory_limit (which the Jacobian must keep,
            too): ``descend explain gauss_newton``.
    """

    method = "gauss_newton"
    graph = _Residuals
    _graph: _Residuals

    def _begun(self, x: np.ndarray) -> Any:
        graph = self._graph
        r = graph.residuals(x)
        graph.loss = torch.tensor(half_square(r), dtype=self._flat.params[0].dtype, device=self._flat.params[0].device)
        if not np.isfinite(r).all():
            return None
        J = graph.jacobian(x, self._search.memory_limit)
        if not np.isfinite(J).all():
            return None
        self._search.stand(x, r, J)
        return graph.loss

    def _enough(self, wanted: Wanted, last: bool) -> bool:
        return last and wanted.what == "jacobian"  # of the point that is taken: the next step asks for it anew

    def _answer(self, wanted: Wanted) -> Any:
        if wanted.what == "residuals":
            return self._graph.residuals(wanted.points[0])
        return self._graph.jacobian(wanted.points[0], self._search.memory_limit)
