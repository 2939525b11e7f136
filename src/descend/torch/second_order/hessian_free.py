"""Hessian-free optimization of a model by Gauss–Newton products (Martens 2010)."""

from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.untraced import untraced
from ...search.method import Wanted
from ...search.second_order import hessian_free
from .graph import Closure, Graph, host, shown
from .searching import SearchOptimizer


class Preconditioned(hessian_free.HessianFree):
    """Hessian-free whose conjugate gradients are divided by (diag F + λ)^exponent (Martens 2010, section 4.7).

    diag F, the mean of the squared gradients of the samples, is estimated without bias: the samples' gradients are
    added with random signs, and the sum squared; estimates of earlier steps count, each 0.9 times as much as the next.

    Args:
        exponent: 0 for no preconditioner. probes: estimates of a step, each a backward pass.
    """

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        tol: float = 1e-6,
        damping: float = 1.0,
        decay: float = 0.95,
        iterations: int = 250,
        exponent: float = 0.0,
        probes: int = 1,
        **base: Any,
    ) -> None:
        super().__init__(x0, bounds, tol=tol, damping=damping, decay=decay, iterations=iterations, **base)
        if not 0 <= exponent <= 1:
            raise ValueError(f"exponent must be in [0, 1], got {exponent}")
        if probes < 1:
            raise ValueError(f"probes must be at least 1, got {probes}")
        self.exponent, self.probes = exponent, probes
        self.squares: Any = np.zeros(self.n)
        self.weight = 0.0  # of all estimates in the sum
        self.signs = int(self.rng.integers(2**31))  # the seed of the first; an iteration may be begun twice

    def scales(self) -> Generator[Wanted, Any, Any]:
        if self.exponent == 0:
            return None
        squares, weight = 0.9 * self.squares, 0.9 * self.weight
        for probe in range(self.probes):
            one = yield Wanted("squares", self.x[None], self.signs + probe)
            if np.isfinite(one).all():
                squares, weight = squares + one, weight + 1
        self.squares, self.weight, self.signs = squares, weight, self.signs + self.probes
        return (squares / weight + self.damping) ** self.exponent if weight else None


class _GaussNewton(Graph):
    """The graph of loss and outputs, whose products are those of the Gauss–Newton matrix."""

    outputs: Tensor

    def drop(self) -> None:
        super().drop()
        self.linear: tuple[Any, Tensor, Tensor] | None = None  # Jᵀw, w, and the loss's gradient by the outputs

    def scalar(self, value: Any) -> Tensor:
        if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[1], Tensor):
            given = f"a tuple of {len(value)}" if isinstance(value, tuple) else shown(value)
            raise TypeError(f"HessianFree: the closure must return (loss, outputs), two tensors; got {given}")
        loss = super().scalar(value[0])
        self.outputs = value[1]
        return loss

    def product(self, x: np.ndarray, along: np.ndarray) -> np.ndarray:
        self.stand(x)
        back, w, by_outputs = self.linearized()
        inner = torch.stack(
            [(b * v).sum() for b, v in zip(back, self.parts(along), strict=True) if b is not None]
        ).sum()
        try:
            (forward,) = torch.autograd.grad(inner, w, retain_graph=True)  # J v: Jᵀw is linear in w
        except RuntimeError as error:
            raise self.explained(error) from error
        if not by_outputs.requires_grad:
            return np.zeros_like(along)  # a loss that is linear in the outputs
        (bent,) = torch.autograd.grad(by_outputs, self.outputs, forward, retain_graph=True)  # H J v
        return host(self.joined(self.slopes(self.outputs, grad_outputs=bent)))

    def linearized(self) -> tuple[Any, Tensor, Tensor]:
        if self.linear is None:
            loss = self.value_here if self.value_here is not None else self.forward()
            if not self.outputs.requires_grad:
                raise ValueError("HessianFree: the outputs that the closure returns do not depend on the parameters")
            w = torch.zeros_like(self.outputs, requires_grad=True)
            back = self.slopes(self.outputs, grad_outputs=w, create_graph=True)
            by_outputs = torch.autograd.grad(loss, self.outputs, create_graph=True, allow_unused=True)[0]
            if by_outputs is None:
                raise ValueError("HessianFree: the loss does not depend on the outputs that the closure returns")
            self.linear = back, w, by_outputs
        return self.linear

    def squares(self, x: np.ndarray, seed: int) -> np.ndarray:
        """An estimate of the mean of the samples' squared gradients, (D,)."""
        self.stand(x)
        _, _, by_outputs = self.linearized()
        samples = len(by_outputs) if by_outputs.dim() else 1
        signs = torch.randint(2, (samples,), generator=torch.Generator().manual_seed(seed)) * 2 - 1
        signed = by_outputs.detach() * signs.to(by_outputs).reshape(-1, *[1] * (by_outputs.dim() - 1))
        found = host(self.joined(self.slopes(self.outputs, grad_outputs=signed)))
        return samples * found**2


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

    A product costs 4/3 of a gradient: twice through the net forward, twice back. ``step(closure, curvature)`` takes the
    products from another closure, of fewer samples, another draw in each step (section 4.3); value and gradient stay
    those of the first. The preconditioner takes the loss as a mean over samples, the first dimension of the outputs.

    Args:
        params, max_iter: as for NewtonCG. damping, decay, iterations, tol: ``descend explain hessian_free``.
        exponent (0): of the preconditioner (diag F + λ)^exponent, Martens' is 0.75; 0 for none.
        probes (1): backward passes of a step that estimate diag F, the mean of the samples' squared gradients.
        seed (0): of their random signs.
    """

    method = Preconditioned
    graph = _GaussNewton
    _graph: _GaussNewton

    def __init__(self, params: Any, *, max_iter: int = 1, seed: int = 0, **options: Any) -> None:
        super().__init__(params, max_iter=max_iter, seed=seed, **options)
        self._fewer: _GaussNewton | None = None

    def step(self, closure: Closure | None = None, curvature: Closure | None = None) -> Any:  # type: ignore[override]
        """``max_iter`` iterations.

        Args:
            closure: computes loss and outputs and returns both, without ``backward``. curvature: the same for the
                samples whose curvature is taken; None: for all of ``closure``.

        Returns, raises:
            As every ``SearchOptimizer``.
        """
        self._fewer = None
        if curvature is not None:
            self._fewer = _GaussNewton(self._flat, type(self).__name__)
            self._fewer.closure = curvature
        try:
            return super().step(closure)
        finally:
            self._fewer = None

    def _answer(self, wanted: Wanted) -> Any:
        if wanted.what not in ("product", "squares"):
            return super()._answer(wanted)
        x, graph = wanted.points[0], self._graph
        if self._fewer is not None:
            self._graph.stand(x)
            graph = self._fewer
            graph.beside(self._graph)
        return graph.squares(x, wanted.along) if wanted.what == "squares" else graph.product(x, wanted.along)
