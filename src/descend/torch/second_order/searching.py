"""The methods of ``descend.search`` that use curvature, as torch optimizers: all parameters are one vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.untraced import untraced
from ...search import names
from ...search.method import Wanted
from ...search.second_order.descent import Descent
from .flat import Flat

Closure = Callable[[], Any]


class SearchOptimizer(torch.optim.Optimizer):
    """A method of search on the parameters of a model. A subclass says which, in ``method``.

    Vectors and matrices of the method are float64 arrays in the memory of the host, whatever the parameters are; the
    loss and its derivatives are computed where the parameters are. Where a loss or its gradient is not finite, a trial
    is stepped back from; where it is so at the start of a step, the parameters go back to where they were last good,
    and the method begins anew.

    Args:
        params: parameters or groups of them; options belong to the method as a whole, none to a group.
        max_iter (1): iterations of a step. More is right where the loss is the same each time it is computed.
        options: of the method; ``descend explain METHOD`` lists them.

    Raises:
        TypeError, ValueError: options that the method refuses, or a group has; nothing is touched then.
    """

    method = ""

    def __init__(self, params: Iterable[Any], *, max_iter: int = 1, **options: Any) -> None:
        if not isinstance(max_iter, int) or max_iter < 1:
            raise ValueError(f"max_iter must be a whole number of at least 1, got {max_iter!r}")
        super().__init__(params, {})
        name = type(self).__name__
        for group in self.param_groups:
            if more := sorted(set(group) - {"params", "param_names"}):
                raise ValueError(
                    f"{name} steps all groups as one vector; a group cannot have its own {', '.join(more)}"
                )
        self.max_iter, self._options = max_iter, options
        self._flat = Flat(self.param_groups, name)
        self._search = self._built()
        self._good: np.ndarray | None = None  # where the loss was last finite
        self._graph = _Graph(self._flat)

    def _built(self) -> Descent:
        eps = torch.finfo(self._flat.params[0].dtype).eps
        found = names.build(self.method, _host(self._flat.vector()), eps=eps, **self._options)
        assert isinstance(found, Descent)  # of this room
        return found

    @torch.enable_grad()  # for values too: the loss of a differential equation takes gradients itself
    def step(self, closure: Closure | None = None) -> Any:  # type: ignore[override]
        """``max_iter`` iterations.

        Args:
            closure: computes the loss and returns it, without ``backward``: the optimizer differentiates it, twice.

        Returns:
            The loss before the step, detached.

        Raises:
            TypeError: no closure, or it returns no scalar tensor.
            ValueError: its loss does not depend on the parameters, or it called ``backward`` itself.
        """
        if closure is None:
            raise TypeError(f"{type(self).__name__}.step needs a closure that returns the loss, without backward")
        self._graph.closure = closure
        self._graph.drop()  # of other data
        x = _host(self._flat.vector())
        f, g = self._graph.gradient(x)
        first = self._graph.loss
        if not math.isfinite(f):
            if self._good is not None:
                self._graph.stand(self._good)
            self._search = self._built()
            self._graph.drop()
            return first
        search = self._search
        search.stand(x, f, g)
        for _ in range(self.max_iter):
            done = search.nit
            while search.nit == done and (wanted := search.wanted) is not None:
                search.answer(self._answer(wanted))
            if search.stop is not None:
                break
        self._graph.stand(search.x)
        self._graph.drop()
        self._good = search.x
        return first

    def _answer(self, wanted: Wanted) -> Any:
        x = wanted.points[0]
        match wanted.what:
            case "values":
                return np.array([self._graph.value(point) for point in wanted.points])
            case "gradient":
                return self._graph.gradient(x)
            case "product":
                return self._graph.product(x, wanted.along)
        return np.stack([self._graph.product(x, unit) for unit in np.eye(len(x))])

    def state_dict(self) -> dict[str, Any]:
        """As of every torch optimizer, and the state of the method under "search", arrays as tensors."""
        return {**super().state_dict(), "search": _to_tensors(self._search.state_dict())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the optimizer that ``state_dict`` is of stood.

        Raises:
            ValueError: it is of another optimizer, or of other parameters. Nothing is changed then.
        """
        if "search" not in state_dict:
            raise ValueError(f"load_state_dict: this is no state of {type(self).__name__}")
        search = self._built()
        search.load_state_dict(_to_arrays(state_dict["search"]))
        super().load_state_dict({name: one for name, one in state_dict.items() if name != "search"})
        self._search = search


class _Graph:
    """The closure at one point: its value, gradient and products with its Hessian; the graph is kept between them."""

    def __init__(self, flat: Flat) -> None:
        self.flat = flat
        self.closure: Closure = lambda: None
        self.loss: Any = None
        self.drop()

    def drop(self) -> None:
        self.at: bytes | None = None  # where the parameters stand, None: unknown
        self.value_here: Tensor | None = None
        self.slope: list[Tensor] | None = None  # the gradient, differentiable

    def stand(self, x: np.ndarray) -> None:
        if self.at != x.tobytes():  # writing would spoil the graph at this very point
            self.drop()
            self.flat.take(torch.from_numpy(x).to(self.flat.params[0]))
            self.at = x.tobytes()

    def value(self, x: np.ndarray) -> float:
        self.stand(x)
        value = float(self.scalar(self.closure()).detach())
        return value if math.isfinite(value) else math.inf

    def gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self.stand(x)
        value = self.forward()
        found = _host(self.joined(torch.autograd.grad(value, self.flat.params, retain_graph=True, allow_unused=True)))
        self.loss = value.detach()
        if math.isfinite(float(self.loss)) and np.isfinite(found).all():
            return float(self.loss), found
        return math.inf, np.zeros_like(found)

    def forward(self) -> Tensor:
        before = [p.grad for p in self.flat.params]
        value = self.scalar(self.closure())
        if any(p.grad is not g for p, g in zip(self.flat.params, before, strict=True)):
            raise ValueError("the closure must leave backward to the optimizer, which differentiates the loss twice")
        if not value.requires_grad:
            raise ValueError("the loss that the closure returns does not depend on the parameters")
        self.value_here, self.slope = value, None
        return value

    def product(self, x: np.ndarray, along: np.ndarray) -> np.ndarray:
        """The Hessian times ``along``, by differentiating the gradient's product with it."""
        self.stand(x)
        if self.slope is None:
            value = self.value_here if self.value_here is not None else self.forward()
            grads = torch.autograd.grad(value, self.flat.params, create_graph=True, allow_unused=True)
            self.slope = [torch.zeros_like(p) if g is None else g for p, g in zip(self.flat.params, grads, strict=True)]
        inner = sum((g * v).sum() for g, v in zip(self.slope, self.parts(along), strict=True) if g.requires_grad)
        if not isinstance(inner, Tensor):
            return np.zeros_like(along)  # a loss that is linear in all of them
        return _host(self.joined(torch.autograd.grad(inner, self.flat.params, retain_graph=True, allow_unused=True)))

    def scalar(self, value: Any) -> Tensor:
        if not isinstance(value, Tensor) or value.numel() != 1:
            shown = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise TypeError(f"the closure must return the loss, a tensor of one number; got {shown}")
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


def _host(vector: Tensor) -> np.ndarray:
    return vector.detach().to("cpu", torch.float64).numpy().copy()


def _to_tensors(value: Any) -> Any:
    """A state that ``torch.load`` reads without executing anything."""
    match value:
        case np.ndarray():
            return torch.from_numpy(value.copy())
        case np.generic():
            return value.item()
        case dict():
            return {name: _to_tensors(one) for name, one in value.items()}
        case list() | tuple():
            return [_to_tensors(one) for one in value]
    return value


def _to_arrays(value: Any) -> Any:
    match value:
        case Tensor():
            return value.numpy().copy()
        case dict():
            return {name: _to_arrays(one) for name, one in value.items()}
        case list():
            return [_to_arrays(one) for one in value]
    return value


@untraced
class NonlinearCG(SearchOptimizer):
    """Nonlinear conjugate gradients: a ``SearchOptimizer``; ``descend explain nonlinear_cg`` lists its options."""

    method = "nonlinear_cg"


@untraced
class BFGS(SearchOptimizer):
    """BFGS: a ``SearchOptimizer``; ``descend explain bfgs`` lists its options."""

    method = "bfgs"


@untraced
class SSBroyden(SearchOptimizer):
    """The self-scaled Broyden method: a ``SearchOptimizer``; ``descend explain ssbroyden`` lists its options."""

    method = "ssbroyden"


@untraced
class NewtonCG(SearchOptimizer):
    """Newton-CG: a ``SearchOptimizer``; ``descend explain newton_cg`` lists its options."""

    method = "newton_cg"


@untraced
class TrustNCG(SearchOptimizer):
    """Trust region by conjugate gradients: a ``SearchOptimizer``; ``descend explain trust_ncg`` lists its options."""

    method = "trust_ncg"


@untraced
class TrustKrylov(SearchOptimizer):
    """Trust region in the Krylov space: a ``SearchOptimizer``; ``descend explain trust_krylov`` lists its options."""

    method = "trust_krylov"


@untraced
class Newton(SearchOptimizer):
    """Newton's method with the exact Hessian: a ``SearchOptimizer``; ``descend explain newton`` lists its options."""

    method = "newton"
