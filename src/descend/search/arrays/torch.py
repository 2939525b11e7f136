"""Functions of a torch tensor: derivatives by autograd."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .base import Undifferentiable


class TorchArrays:
    """Tensors of the shape, dtype and device of x0."""

    def __init__(self, x0: Tensor) -> None:
        if x0.is_complex():
            raise ValueError(f"x0 must be of real numbers, got {x0.dtype}")
        self.shape, self.device = x0.shape, x0.device
        self.dtype = x0.dtype if x0.is_floating_point() else torch.float64
        self.eps = torch.finfo(self.dtype).eps
        self.start = self.numbers(x0).ravel()
        self._graph: tuple[bytes, Tensor, Tensor] | None = None  # the gradient at the last point, differentiable

    def array(self, vector: np.ndarray) -> Tensor:
        return torch.tensor(vector, dtype=self.dtype, device=self.device).reshape(self.shape)

    def many(self, points: np.ndarray) -> Tensor:
        return torch.tensor(points, dtype=self.dtype, device=self.device).reshape(-1, *self.shape)

    def numbers(self, values: Any) -> np.ndarray:
        if isinstance(values, Tensor):
            return values.detach().to("cpu", torch.float64).numpy()
        return np.asarray(values, np.float64)

    def gradient(self, f: Callable[[Tensor], Any], x: np.ndarray) -> tuple[float, np.ndarray]:
        at, value = self._value(f, x)
        gradient = torch.autograd.grad(value, at, allow_unused=True)[0]
        if gradient is None:
            raise Undifferentiable
        return float(value.detach()), self.numbers(gradient).ravel()

    def product(self, f: Callable[[Tensor], Any], x: np.ndarray, along: np.ndarray) -> np.ndarray:
        """By differentiating the gradient's product with ``along``; the graph is kept for the next product at x."""
        if self._graph is None or self._graph[0] != x.tobytes():
            at, value = self._value(f, x)
            (gradient,) = torch.autograd.grad(value, at, create_graph=True)
            self._graph = x.tobytes(), at, gradient
        _, at, gradient = self._graph
        if not gradient.requires_grad:  # a linear function
            return np.zeros_like(x)
        found = torch.autograd.grad(gradient, at, self.array(along), retain_graph=True, allow_unused=True)[0]
        return np.zeros_like(x) if found is None else self.numbers(found).ravel()

    def hessian(self, f: Callable[[Tensor], Any], x: np.ndarray) -> np.ndarray:
        return np.stack([self.product(f, x, unit) for unit in np.eye(len(x))])

    def jacobian(self, f: Callable[[Tensor], Any], x: np.ndarray) -> np.ndarray:
        with torch.enable_grad():
            at = self.array(x).requires_grad_()
            residuals = f(at)
        if not isinstance(residuals, Tensor) or not residuals.requires_grad:
            raise Undifferentiable
        rows = [torch.autograd.grad(one, at, retain_graph=True, allow_unused=True)[0] for one in residuals.reshape(-1)]
        return np.stack([np.zeros_like(x) if row is None else self.numbers(row).ravel() for row in rows])

    def _value(self, f: Callable[[Tensor], Any], x: np.ndarray) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(False), torch.enable_grad():  # whatever the caller is in
            at = self.array(x).requires_grad_()
            value = f(at.clone())  # which f may write into
            if not isinstance(value, Tensor) or not value.requires_grad:
                raise Undifferentiable
            return at, value.reshape(())
