"""Hessian-free optimization of a model by Gauss–Newton products (Martens 2010)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.untraced import untraced
from .searching import SearchOptimizer, _Graph, _host


@untraced
class HessianFree(SearchOptimizer):
    """Hessian-free: damped Gauss–Newton steps by truncated conjugate gradients (Martens 2010).

    The closure returns (loss, outputs), where the loss is a convex function of the outputs, as cross-entropy is of the
    logits: the curvature is Jᵀ H J with J of the outputs by the parameters and H the Hessian of the loss by the outputs
    (Schraudolph 2002). What the loss takes from the parameters directly, such as weight decay, is in the gradient but
    not in the curvature::

        opt = HessianFree(model.parameters())
        def closure():
            outputs = model(x)
            return cross_entropy(outputs, y), outputs
        loss = opt.step(closure)

    Args:
        params, max_iter: as for NewtonCG. damping, decay, iterations, tol: ``descend explain hessian_free``.
    """

    method = "hessian_free"

    def __init__(self, params: Any, *, max_iter: int = 1, **options: Any) -> None:
        super().__init__(params, max_iter=max_iter, **options)
        self._graph = _GaussNewton(self._flat)


class _GaussNewton(_Graph):
    """The graph of loss and outputs, whose products are those of the Gauss–Newton matrix."""

    outputs: Tensor

    def drop(self) -> None:
        super().drop()
        self.linear: tuple[Any, Tensor, Tensor] | None = None  # Jᵀw, w, and the loss's gradient by the outputs

    def scalar(self, value: Any) -> Tensor:
        if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[1], Tensor):
            raise TypeError("HessianFree: the closure must return (loss, outputs), two tensors")
        loss = super().scalar(value[0])
        self.outputs = value[1]
        return loss

    def product(self, x: np.ndarray, along: np.ndarray) -> np.ndarray:
        self.stand(x)
        if self.linear is None:
            loss = self.value_here if self.value_here is not None else self.forward()
            w = torch.zeros_like(self.outputs, requires_grad=True)
            back = torch.autograd.grad(self.outputs, self.flat.params, w, create_graph=True, allow_unused=True)
            by_outputs = torch.autograd.grad(loss, self.outputs, create_graph=True, allow_unused=True)[0]
            if by_outputs is None:
                raise ValueError("HessianFree: the loss does not depend on the outputs that the closure returns")
            self.linear = back, w, by_outputs
        back, w, by_outputs = self.linear
        inner = torch.stack(
            [(b * v).sum() for b, v in zip(back, self.parts(along), strict=True) if b is not None]
        ).sum()
        (forward,) = torch.autograd.grad(inner, w, retain_graph=True)  # J v: Jᵀw is linear in w
        if not by_outputs.requires_grad:
            return np.zeros_like(along)  # a loss that is linear in the outputs
        (bent,) = torch.autograd.grad(by_outputs, self.outputs, forward, retain_graph=True)  # H J v
        pulled = torch.autograd.grad(self.outputs, self.flat.params, bent, retain_graph=True, allow_unused=True)
        return _host(self.joined(pulled))
