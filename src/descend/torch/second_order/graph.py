"""The loss at one point, its gradient, and products with its Hessian; the graph is kept between them."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from .flat import Flat

Closure = Callable[[], Any]

AT_ONCE = 64
"""Rows of a Hessian or a Jacobian that are computed in one backward pass; their memory is that of as many passes."""


class Graph:
    """The closure at one point. Vectors come and go as float64 arrays on the host.

    Attributes:
        loss: as the closure returned it when the gradient was last computed, detached.
    """

    def __init__(self, flat: Flat, name: str) -> None:
        self.flat, self.name = flat, name
        self.closure: Closure | None = None
        self.loss: Any = None
        self.drop()

    def drop(self) -> None:
        self.at: tuple[bytes, int] | None = None  # where the parameters stand, since which write; None: unknown
        self.value_here: Tensor | None = None
        self.slope: list[Tensor] | None = None  # the gradient, differentiable

    def stand(self, x: np.ndarray) -> None:
        if self.at != (x.tobytes(), self.flat.writes):  # writing would spoil the graph at this very point
            self.drop()
            self.flat.take(torch.from_numpy(x).to(self.flat.params[0]))
            self.at = x.tobytes(), self.flat.writes

    def beside(self, other: Self) -> None:
        """Stand where another graph of the same parameters stands."""
        if self.at != other.at:
            self.drop()
            self.at = other.at

    def value(self, x: np.ndarray) -> float:
        self.stand(x)
        value = float(self.scalar(self.called()).detach())
        return value if math.isfinite(value) else math.inf

    def gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self.stand(x)
        value = self.forward()
        found = host(self.joined(self.slopes(value)))
        self.loss = value.detach()
        if math.isfinite(float(self.loss)) and np.isfinite(found).all():
            return float(self.loss), found
        return math.inf, np.zeros_like(found)

    def forward(self) -> Tensor:
        value = self.scalar(self.called())
        if not value.requires_grad:
            raise ValueError(
                f"{self.name}: the loss that the closure returns does not depend on the parameters, or was computed "
                "under torch.no_grad(), or detached"
            )
        self.value_here, self.slope = value, None
        return value

    def called(self) -> Any:
        """What the closure returns, refused where it has called ``backward``."""
        assert self.closure is not None
        before = [p.grad for p in self.flat.params]
        returned = self.closure()
        after = [p.grad for p in self.flat.params]
        if any(g is not None and g is not old for g, old in zip(after, before, strict=True)):
            raise ValueError(
                f"{self.name}: the closure must leave backward to the optimizer, which differentiates the loss itself"
            )
        return returned

    def slopes(self, value: Tensor, **how: Any) -> tuple[Any, ...]:
        """The gradient by each parameter, None where one has no part; the graph is kept.

        Raises:
            ValueError: a graph that ``backward`` has used up, or that cannot be differentiated twice.
        """
        try:
            return torch.autograd.grad(value, self.flat.params, retain_graph=True, allow_unused=True, **how)
        except RuntimeError as error:
            raise self.explained(error) from error

    def explained(self, error: RuntimeError) -> RuntimeError | ValueError:
        """The same in words of the closure, where torch's speak of its inside."""
        says = str(error)
        if "second time" in says:
            return ValueError(
                f"{self.name}: the closure must leave backward to the optimizer, which differentiates the loss itself"
            )
        if "double backward" in says or "aot_autograd" in says:
            return ValueError(
                f"{self.name} differentiates the loss twice, which a compiled model cannot be: call the model that "
                "was compiled in the closure"
            )
        return error

    def product(self, x: np.ndarray, along: np.ndarray) -> np.ndarray:
        """The Hessian times ``along``, by differentiating the gradient's product with it."""
        self.stand(x)
        bent = [g for g in self.sloped() if g.requires_grad]
        if not bent:
            return np.zeros_like(along)  # a loss that is linear in all of them
        parts = self.parts(along)
        inner = torch.stack(
            [(g * v).sum() for g, v in zip(self.sloped(), parts, strict=True) if g.requires_grad]
        ).sum()  # fmt: skip
        return host(self.joined(self.slopes(inner)))

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """(D, D), by as many products as there are coordinates."""
        self.stand(x)
        slope = torch.cat([g.reshape(-1) for g in self.sloped()])
        return self.rows(slope) if slope.requires_grad else np.zeros((len(x), len(x)))

    def sloped(self) -> list[Tensor]:
        """The gradient at this point, differentiable; zeros where a parameter has no part."""
        if self.slope is None:
            value = self.value_here if self.value_here is not None else self.forward()
            grads = self.slopes(value, create_graph=True)
            self.slope = [torch.zeros_like(p) if g is None else g for p, g in zip(self.flat.params, grads, strict=True)]
        return self.slope

    def rows(self, vector: Tensor) -> np.ndarray:
        """The derivatives (m, D) of a vector (m,) by the parameters, ``AT_ONCE`` of them in a pass where vmap can."""
        found, together = [], True
        unit = torch.eye(len(vector), dtype=vector.dtype, device=vector.device)
        for some in unit.split(AT_ONCE):
            if together:
                try:
                    grads = self.slopes(vector, grad_outputs=some, is_grads_batched=True)
                except (RuntimeError, NotImplementedError) as error:
                    if isinstance(error, torch.OutOfMemoryError):
                        raise
                    together = False
                else:
                    each = [
                        p.new_zeros(len(some), p.numel()) if g is None else g.flatten(1)
                        for p, g in zip(self.flat.params, grads, strict=True)
                    ]
                    found.append(host(torch.cat(each, dim=1)))
                    continue
            found.append(np.stack([host(self.joined(self.slopes(vector, grad_outputs=one))) for one in some]))
        return np.concatenate(found)

    def scalar(self, value: Any) -> Tensor:
        if not isinstance(value, Tensor) or value.numel() != 1 or value.is_complex():
            raise TypeError(
                f"{self.name}: the closure must return the loss, a tensor of one real number; got {shown(value)}"
            )
        return value.reshape(())

    def joined(self, grads: Iterable[Tensor | None]) -> Tensor:
        params = self.flat.params
        return torch.cat(
            [(torch.zeros_like(p) if g is None else g).reshape(-1) for p, g in zip(params, grads, strict=True)]
        )

    def parts(self, vector: np.ndarray) -> list[Tensor]:
        params = self.flat.params
        split = torch.from_numpy(vector).to(params[0]).split([p.numel() for p in params])
        return [one.reshape(p.shape) for one, p in zip(split, params, strict=True)]


def host(tensor: Tensor) -> np.ndarray:
    """A copy in float64 in the memory of the host."""
    return tensor.detach().to("cpu", torch.float64).numpy().copy()


def shown(value: Any) -> str:
    """What a closure returned, in a few words."""
    if isinstance(value, Tensor):
        return f"shape {tuple(value.shape)}" + (f", {value.dtype}" if value.is_complex() else "")
    return repr(value) if value is None or isinstance(value, int | float) else type(value).__name__
