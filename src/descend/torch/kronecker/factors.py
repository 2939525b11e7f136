"""The two factors of a block of the Fisher matrix, their running averages, and the damped inverse.

Equation and section numbers are those of Martens & Grosse 2015, "Optimizing Neural Networks with Kronecker-factored
Approximate Curvature" (arXiv 1503.05671).
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Factors:
    """A block A ⊗ G, never written into.

    Attributes:
        A: (in, in), the second moment of what enters the layer; (in,) where it is diagonal.
        G: (out, out), the second moment of the gradient by what leaves it.
        A_inverse, G_inverse: of the damped factors, as of the last inversion; None before the first.
        updates: how many batches went into A and G.
    """

    A: Tensor
    G: Tensor
    A_inverse: Tensor | None = None
    G_inverse: Tensor | None = None
    updates: int = 1

    def averaged(self, A: Tensor, G: Tensor, decay: float) -> "Factors":
        """With the moments of another batch: the share of the past is min(1 - 1/k, decay) in update k (section 5)."""
        k = self.updates + 1
        new = 1 - min(1 - 1 / k, decay)
        if (self.A.dtype, self.A.device) != (A.dtype, A.device):  # the model has been moved, or made double
            moved = {name: one.to(A) for name, one in vars(self).items() if isinstance(one, Tensor)}
            return replace(self, **moved).averaged(A, G, decay)
        return replace(self, A=torch.lerp(self.A, A, new), G=torch.lerp(self.G, G, new), updates=k)

    def inverted(self, damping: float) -> "Factors":
        """With the inverses of A + π√λ I and G + √λ/π I (factored Tikhonov damping, section 6.3, with the trace norm).

        Raises:
            ValueError: a factor so badly conditioned that its damped form has no Cholesky factor.
        """
        pi, root = self.pi(), math.sqrt(damping)
        return replace(self, A_inverse=_inverse(self.A, pi * root), G_inverse=_inverse(self.G, root / pi))

    def pi(self) -> float:
        """π = √((tr A / dim A) / (tr G / dim G)); 1 where either trace is 0."""
        a, g = (float(_diagonal(one).mean()) for one in (self.A, self.G))
        return math.sqrt(a / g) if a > 0 and g > 0 and math.isfinite(a / g) and a / g > 0 else 1.0

    def divided(self, gradient: Tensor) -> Tensor:
        """G⁻¹ V A⁻¹ for a gradient V (out, in): the block's inverse times vec V (section 4.2)."""
        A, G = self.A_inverse, self.G_inverse
        assert A is not None
        assert G is not None
        return G @ gradient * A if A.dim() == 1 else G @ gradient @ A


def _diagonal(factor: Tensor) -> Tensor:
    return factor if factor.dim() == 1 else factor.diagonal()


def _inverse(factor: Tensor, damping: float) -> Tensor:
    if factor.dim() == 1:
        return (factor + damping).reciprocal()
    damped = factor.clone()
    damped.diagonal().add_(damping)
    lower, failed = torch.linalg.cholesky_ex(damped)
    if failed:  # rounding has made it indefinite
        lower, failed = torch.linalg.cholesky_ex(damped.double())
        if failed:
            raise ValueError(f"KFAC: damping is too small for a factor of {len(factor)}×{len(factor)}: raise it")
    return torch.cholesky_inverse(lower).to(factor)
