"""How exactly Newton's equation is worth solving: loosely far away, to order two near the solution."""

from __future__ import annotations

from typing import NamedTuple


class Forcing(NamedTuple):
    """The forcing term of an inexact Newton method: ‖H p + g‖ ≤ eta ‖g‖.

    The second choice of Eisenstat and Walker (1996), eta = 0.9 (‖g‖ / ‖last g‖)² with its safeguard (2.6), is loose
    where a step has failed to shrink the gradient, near the solution too; so never looser than the share of the first
    gradient that is left, by which the order is two whatever happened.
    """

    eta: float = 0.5
    size: float = 0.0  # the norm of the last gradient, 0 before there is one
    first: float = 0.0

    def after(self, size: float) -> Forcing:
        """The term for a gradient of that norm."""
        if not self.size:
            return Forcing(0.5, size, size)
        eta = 0.9 * (size / self.size) ** 2
        if (kept := 0.9 * self.eta**2) > 0.1:
            eta = max(eta, kept)
        return Forcing(min(eta, size / self.first, 0.5), size, self.first)
