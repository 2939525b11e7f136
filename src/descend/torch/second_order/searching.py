"""The methods of ``descend.search`` that use curvature, as torch optimizers: all parameters are one vector."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.settings import check_count
from ...core.untraced import untraced
from ...search import names
from ...search.method import Method, Wanted
from .flat import Flat, Rateless
from .graph import Closure, Graph, host


@untraced
class SearchOptimizer(torch.optim.Optimizer):
    """A method of search on the parameters of a model. A subclass says which, in ``method``.

    Vectors and matrices of the method are float64 arrays in the memory of the host, whatever the parameters are; the
    loss and its derivatives are computed where the parameters are, in their dtype, and what the method finds is rounded
    to it. Where a loss or its gradient is not finite, a trial is stepped back from; where it is so at the start of a
    step, the parameters go back to where they were last good, and the method begins anew. A step whose closure raises
    changes nothing: neither parameters nor state.

    Args:
        params: parameters or groups of them; options belong to the method as a whole, none to a group.
        max_iter (1): iterations of a step. More is right where the loss is the same each time it is computed.
        options: of the method; ``descend explain METHOD`` lists them.

    Raises:
        TypeError, ValueError: options that the method refuses, or a group has; nothing is touched then.
    """

    method: str | type[Method] = ""
    graph: type[Graph] = Graph

    def __init__(self, params: Iterable[Any], *, max_iter: int = 1, **options: Any) -> None:
        name = type(self).__name__
        check_count(f"{name}: max_iter", max_iter)
        super().__init__(params, {})
        for group in self.param_groups:
            if more := sorted(set(group) - {"params", "param_names"}):
                raise ValueError(
                    f"{name} steps all groups as one vector; a group cannot have its own {', '.join(more)}"
                )
        self.max_iter, self._options = max_iter, options
        self._flat = Flat(self.param_groups, name)
        self._search = self._built()
        self._good: np.ndarray | None = None  # where the loss was last finite
        self._graph = self.graph(self._flat, name)

    def _built(self) -> Any:
        eps = torch.finfo(self._flat.params[0].dtype).eps
        return names.build(self.method, host(self._flat.vector()), eps=eps, **self._options)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refused after construction: the method knows the length of its vectors."""
        if hasattr(self, "_search"):
            raise TypeError(f"{type(self).__name__} steps all parameters as one vector: give it all when it is made")
        super().add_param_group(param_group)
        self.param_groups[-1] = Rateless(self.param_groups[-1], type(self).__name__)

    @torch.enable_grad()  # for values too: the loss of a differential equation takes gradients itself
    def step(self, closure: Closure | None = None) -> Any:  # type: ignore[override]
        """``max_iter`` iterations.

        Args:
            closure: computes the loss and returns it, without ``backward``: the optimizer differentiates it itself.

        Returns:
            The loss before the step, detached.

        Raises:
            TypeError: no closure, or it returns no scalar tensor.
            ValueError: its loss does not depend on the parameters, it called ``backward`` itself, or a parameter was
                frozen. Whatever is raised, parameters and state are those before the step.
        """
        name = type(self).__name__
        if closure is None:
            raise TypeError(f"{name}.step needs a closure that returns the loss, without backward")
        if not all(p.requires_grad for p in self._flat.params):
            raise ValueError(f"{name}: a parameter was frozen after the optimizer was made: make a new one")
        graph, search, good = self._graph, self._search, self._good
        kept, x = search.kept(), host(self._flat.vector())
        graph.closure = closure
        graph.drop()  # of other data
        try:
            return self._steps(x)
        except BaseException:
            graph.at = None
            graph.stand(x)
            search.back(kept)
            self._search, self._good = search, good
            raise
        finally:
            graph.closure = None
            graph.drop()

    def _steps(self, x: np.ndarray) -> Any:
        first = self._begun(x)
        if first is None:
            if self._good is not None:
                self._graph.stand(self._good)
            self._search = self._built()
            return self._graph.loss
        search = self._search
        for k in range(self.max_iter):
            done, last = search.nit, k == self.max_iter - 1
            while search.nit == done and (wanted := search.wanted) is not None and not self._enough(wanted, last):
                search.answer(self._answer(wanted))
            if search.stop is not None:
                break
        self._graph.stand(search.x)
        self._good = search.x
        return first

    def _enough(self, wanted: Wanted, last: bool) -> bool:
        """Whether an iteration, the last of a step or not, may end before this is known."""
        return False

    def _begun(self, x: np.ndarray) -> Any:
        """Have the method stand at x: the loss there, None where it or its gradient is not finite."""
        f, g = self._graph.gradient(x)
        if not math.isfinite(f):
            return None
        self._search.stand(x, f, g)
        return self._graph.loss

    def _answer(self, wanted: Wanted) -> Any:
        x = wanted.points[0]
        match wanted.what:
            case "values":
                return np.array([self._graph.value(point) for point in wanted.points])
            case "gradient":
                return self._graph.gradient(x)
            case "product":
                return self._graph.product(x, wanted.along)
        return self._graph.hessian(x)

    # ---------------------------------------------------------------- checkpoints, copies

    def state_dict(self) -> dict[str, Any]:
        """As of every torch optimizer, and under "search" the state of the method, arrays as tensors."""
        good = None if self._good is None else torch.from_numpy(self._good.copy())
        return {**super().state_dict(), "search": _to_tensors(self._search.state_dict()), "good": good}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the optimizer that ``state_dict`` is of stood.

        Raises:
            ValueError: it is of another optimizer, or of other parameters. Nothing is changed then.
        """
        if "search" not in state_dict:
            raise ValueError(f"load_state_dict: this is no state of {type(self).__name__}")
        search = self._built()
        search.load_state_dict(_to_arrays(state_dict["search"]))
        super().load_state_dict({name: one for name, one in state_dict.items() if name not in ("search", "good")})
        good = state_dict.get("good")
        self._search, self._good = search, None if good is None else good.numpy().copy()

    def __getstate__(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("max_iter", "_options", "_search", "_good")}
        return {**super().__getstate__(), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.param_groups = [Rateless(group, type(self).__name__) for group in self.param_groups]
        if "_search" in state:  # a copy, or out of a pickle; load_state_dict calls this too
            name = type(self).__name__
            self._flat = Flat(self.param_groups, name)
            self._graph = self.graph(self._flat, name)


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
            return value.cpu().numpy().copy()
        case dict():
            return {name: _to_arrays(one) for name, one in value.items()}
        case list():
            return [_to_arrays(one) for one in value]
    return value


class NonlinearCG(SearchOptimizer):
    """Nonlinear conjugate gradients: a ``SearchOptimizer``; ``descend explain nonlinear_cg`` lists its options."""

    method = "nonlinear_cg"


class BFGS(SearchOptimizer):
    """BFGS: a ``SearchOptimizer``; ``descend explain bfgs`` lists its options."""

    method = "bfgs"


class SSBroyden(SearchOptimizer):
    """The self-scaled Broyden method: a ``SearchOptimizer``; ``descend explain ssbroyden`` lists its options."""

    method = "ssbroyden"


class NewtonCG(SearchOptimizer):
    """Newton-CG: a ``SearchOptimizer``; ``descend explain newton_cg`` lists its options."""

    method = "newton_cg"


class TrustNCG(SearchOptimizer):
    """Trust region by conjugate gradients: a ``SearchOptimizer``; ``descend explain trust_ncg`` lists its options."""

    method = "trust_ncg"


class TrustKrylov(SearchOptimizer):
    """Trust region in the Krylov space: a ``SearchOptimizer``; ``descend explain trust_krylov`` lists its options."""

    method = "trust_krylov"


class TrustExact(SearchOptimizer):
    """Trust region with the exact Hessian: a ``SearchOptimizer``; ``descend explain trust_exact`` lists its options."""

    method = "trust_exact"


class Newton(SearchOptimizer):
    """Newton's method with the exact Hessian: a ``SearchOptimizer``; ``descend explain newton`` lists its options."""

    method = "newton"


class SaddleFree(SearchOptimizer):
    """Saddle-free Newton: a ``SearchOptimizer``; ``descend explain saddle_free`` lists its options."""

    method = "saddle_free"
