"""Step length and momentum from the quadratic model of the loss (Martens & Grosse 2015, sections 6.4 and 7)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Vectors = dict[nn.Parameter, Tensor]


class Curvature:
    """The Fisher matrix F of a batch, whose products with vectors are never written out.

    With J the derivatives of the outputs by the parameters and H the Hessian of the loss by the outputs, vᵀ F w =
    (J v)ᵀ H (J w), of which J v costs about two forward passes.
    """

    def __init__(self, outputs: Tensor, loss: str, params: Sequence[nn.Parameter], terms: int, mean: bool) -> None:
        self._outputs, self._loss, self._terms = outputs.detach(), loss, terms if mean else 1
        self._w = torch.zeros_like(outputs, requires_grad=True)
        self._params = list(params)
        self._back = torch.autograd.grad(outputs, self._params, self._w, create_graph=True, allow_unused=True)

    def along(self, vector: Vectors) -> Tensor:
        """J v, of the shape of the outputs."""
        with torch.enable_grad():
            parts = [
                (b * vector[p].to(b)).sum()
                for p, b in zip(self._params, self._back, strict=True)
                if b is not None and b.requires_grad and p in vector
            ]
            if not parts:
                return torch.zeros_like(self._outputs)
            (found,) = torch.autograd.grad(torch.stack(parts).sum(), self._w, retain_graph=True)
        return found

    def form(self, one: Tensor, other: Tensor) -> float:
        """(J v)ᵀ H (J w), from J v and J w."""
        dtype = torch.float64 if self._outputs.dtype == torch.float64 else torch.float32
        out, a, b = (each.to(dtype) for each in (self._outputs, one, other))
        if self._loss == "cross_entropy":
            chances = torch.softmax(out, dim=-1)
            bent = chances * (b - (chances * b).sum(-1, keepdim=True))
            return float((a * bent).sum(dtype=torch.float64)) / self._terms
        d = out.numel() // len(out)
        bent = 2 * b if self._loss == "mse" else torch.sigmoid(out) * torch.sigmoid(-out) * b
        return float((a * bent).sum(dtype=torch.float64)) / d / self._terms


def forms(seen: Sequence[Curvature], step: Vectors, last: Vectors) -> list[float]:
    """ΔᵀFΔ, ΔᵀFδ and δᵀFδ, the mean over batches."""
    found = [0.0, 0.0, 0.0]
    for one in seen:
        a = one.along(step)
        b = one.along(last) if last else torch.zeros_like(a)
        for i, pair in enumerate(((a, a), (a, b), (b, b))):
            found[i] += one.form(*pair) / len(seen)
    return found


def inner(a: Vectors, b: Vectors) -> float:
    return float(sum((one * b[p]).sum(dtype=torch.float64) for p, one in a.items() if p in b))


def best(
    curved: Sequence[float], damping: float, step: Vectors, last: Vectors, gradient: Vectors
) -> tuple[float, float]:
    """α and μ of the smallest value of the model, ∇·(αΔ + μδ) + ½ (αΔ + μδ)ᵀ (F + λI) (αΔ + μδ) (section 7).

    Args:
        curved: of ``forms``. step: Δ. last: δ, the step before; empty at first, μ is 0 then.
    """
    aa, ab, bb = (
        form + damping * inner(u, v)
        for form, (u, v) in zip(curved, ((step, step), (step, last), (last, last)), strict=True)
    )
    a, b = inner(gradient, step), inner(gradient, last)
    determinant = aa * bb - ab * ab
    if last and determinant > 1e-12 * aa * bb:
        return (ab * b - bb * a) / determinant, (ab * a - aa * b) / determinant
    return (-a / aa if aa > 0 else 0.0), 0.0


def summed(alpha: float, step: Vectors, mu: float, last: Vectors) -> Vectors:
    """αΔ + μδ."""
    return {p: alpha * one + mu * last[p] if p in last else alpha * one for p, one in step.items()}
