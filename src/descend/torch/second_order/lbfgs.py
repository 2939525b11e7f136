"""L-BFGS with the arguments, the numbers and the state of ``torch.optim.LBFGS``, which comes back from a NaN."""

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ...core.settings import check_count
from ...core.untraced import untraced
from ...search.second_order.line_search import strong_wolfe
from .flat import Flat
from .graph import shown

Closure = Callable[[], Any]


@untraced
class LBFGS(torch.optim.Optimizer):
    """L-BFGS on all parameters together (Liu & Nocedal 1989), a drop-in for ``torch.optim.LBFGS``.

    Where a loss or a gradient is not finite, the parameters go back to the best point since the step began, what was
    remembered is forgotten, and the step ends; torch's go on with NaN. Several groups are one vector. Memory: 2 ×
    ``history_size`` + 5 vectors. A step whose closure raises changes nothing: neither parameters nor state.

    Args:
        params: parameters or groups of them. lr (1): length of a step, of the first trial with a line search.
        max_iter (20): iterations of a step. max_eval (max_iter · 5 / 4): calls of the closure in a step.
        tolerance_grad (1e-7), tolerance_change (1e-9): end a step early. history_size (100): steps remembered.
        line_search_fn (None): "strong_wolfe" or None.

    Raises:
        TypeError, ValueError: an argument that cannot be meant, groups of different settings; nothing is touched then.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if not float(lr) >= 0 or math.isinf(lr):
            raise ValueError(f"lr must be a number of at least 0, got {lr}")
        for name, value in (("max_iter", max_iter), ("history_size", history_size)):
            check_count(name, value)
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f"line_search_fn must be 'strong_wolfe' or None, got {line_search_fn!r}")
        settings = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, settings)
        for name in settings:
            values = [group[name] for group in self.param_groups]
            if any(value != values[0] for value in values):
                raise ValueError(f"LBFGS steps all groups as one vector; {name} must be the same in all, got {values}")
        Flat(self.param_groups, "LBFGS")
        self._complete = True

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refused after construction, as torch's refuses more than one group: what is remembered has one length."""
        if hasattr(self, "_complete"):
            raise TypeError("LBFGS steps all parameters as one vector: give it all when it is made")
        super().add_param_group(param_group)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, of this class or of ``torch.optim.LBFGS``.

        Raises:
            ValueError: it is of another optimizer. Nothing is changed then.
        """
        for group in state_dict["param_groups"]:
            if missing := sorted(set(self.defaults) - set(group)):
                raise ValueError(f"load_state_dict: this is no state of LBFGS: it has no {', '.join(missing)}")
        super().load_state_dict(state_dict)

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:  # type: ignore[override]
        """Up to ``max_iter`` iterations.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the loss.

        Returns:
            The loss before the step.

        Raises:
            TypeError: no closure, or it returns no number.
            ValueError: no parameter has a gradient after it. Whatever is raised, parameters and state are those before
                the step.
        """
        if closure is None:
            raise TypeError("LBFGS.step needs a closure that clears the gradients, calls backward and returns the loss")
        flat, first = Flat(self.param_groups, "LBFGS"), self.param_groups[0]["params"][0]
        start, before = flat.vector(), dict(self.state[first]) if first in self.state else None
        kind = start.device.type
        outside = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)

        def called() -> Any:
            with torch.enable_grad(), torch.autocast(kind, outside[1], enabled=outside[0]):
                return closure()

        try:
            with torch.autocast(kind, enabled=False):  # would round the inner products to 8 bits
                return self._step(called if outside[0] else torch.enable_grad()(closure), flat, self.state[first])
        except BaseException:
            flat.take(start)
            self.state.pop(first, None)
            if before is not None:
                self.state[first] = before
            raise

    def _step(self, closure: Closure, flat: Flat, state: dict[str, Any]) -> Any:
        group = self.param_groups[0]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        if "d" in state and len(state["d"]) != sum(p.numel() for p in flat.params):  # some were frozen or thawed
            _forget(state)
            state.pop("best_point", None)
        call = _Calls(closure, flat, state)
        first, loss, grad = call.here()
        best = (loss, flat.vector())
        if not _finite(loss, grad):
            if "best_point" in state:
                flat.take(state["best_point"])
            _forget(state)
            return first
        if float(grad.abs().max()) <= group["tolerance_grad"]:
            return first
        for iteration in range(1, group["max_iter"] + 1):
            d = _direction(state, grad, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = grad.clone(), loss
            before, lr = loss, float(group["lr"])
            t = min(1.0, 1.0 / float(grad.abs().sum())) * lr if state["n_iter"] == 1 else lr
            slope = float(grad @ d)
            state["d"], state["t"] = d, t
            if slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"] is None:
                flat.take(flat.vector().add_(d, alpha=t))
                if iteration < group["max_iter"]:  # on other data, the value there would be of no use
                    _, loss, grad = call.here()
            else:
                most = group["max_eval"] - call.count
                loss, grad, t = call.along(d, t, slope, loss, grad, most)
                state["t"] = t
            if not _finite(loss, grad):
                flat.take(best[1])
                _forget(state)
                break
            if loss < best[0]:
                best = (loss, flat.vector())
            if iteration == group["max_iter"] or call.count >= group["max_eval"]:
                break
            change = group["tolerance_change"]
            if float(grad.abs().max()) <= group["tolerance_grad"] or float((d * t).abs().max()) <= change:
                break
            if abs(loss - before) < change:
                break
        state["best_point"] = best[1]
        return first


class _Calls:
    """The closure, counted, here or along a direction."""

    def __init__(self, closure: Closure, flat: Flat, state: dict[str, Any]) -> None:
        self.closure, self.flat, self.state, self.count = closure, flat, state, 0

    def here(self) -> tuple[Any, float, Tensor]:
        before = [(p.grad, p.grad._version) for p in self.flat.params if p.grad is not None]
        returned = self.closure()
        self.count += 1
        self.state["func_evals"] += 1
        if all(p.grad is None for p in self.flat.params):
            raise ValueError("LBFGS: no parameter has a gradient after the closure: it must call backward on the loss")
        if self.count == 2:
            self._warn_of_sums(before)
        return returned, _number(returned), self.flat.gradient()

    def _warn_of_sums(self, before: list[tuple[Tensor, int]]) -> None:
        """Clearing a gradient and adding to it is at least two writes, or a new tensor."""
        grads = [p.grad for p in self.flat.params if p.grad is not None]
        if len(grads) == len(before) and all(
            g is old and g._version == version + 1 and bool(g.any())
            for g, (old, version) in zip(grads, before, strict=True)
        ):
            warnings.warn(
                "LBFGS: the closure adds to the gradients of its last call: call optimizer.zero_grad() in it first",
                stacklevel=6,
            )

    def along(
        self, d: Tensor, t: float, slope: float, loss: float, grad: Tensor, most: int
    ) -> tuple[float, Tensor, float]:
        """Where the strong Wolfe search settles: loss, gradient, length. The parameters stand there then."""
        start = self.flat.vector()
        seen = {0.0: (loss, grad)}
        size = float(d.abs().max())
        search = strong_wolfe(loss, slope, t, most=max(most, 0), size=size, lowest=True)
        t = next(search)
        while True:
            self.flat.take(start.add(d, alpha=t))
            _, f, g = self.here()
            seen[t] = (f, g)
            try:
                t = search.send((f if math.isfinite(f) else math.inf, float(g @ d)))
            except StopIteration as end:
                self.flat.take(start.add(d, alpha=end.value))
                return (*seen[end.value], end.value)


def _direction(state: dict[str, Any], grad: Tensor, history: int) -> Tensor:
    """-H g, from the pairs in the state and one more of the last step, if the loss curves upwards along it."""
    state["n_iter"] += 1
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
        return grad.neg()
    y, s = grad - state["prev_flat_grad"], state["d"] * state["t"]
    curved = y @ s
    if curved > 1e-10:
        for name, one in (("old_dirs", y), ("old_stps", s), ("ro", 1.0 / curved)):
            state[name] = [*state[name], one][-history:]
        state["H_diag"] = curved / (y @ y)
    q, shares = grad.neg(), []
    for y, s, ro in zip(*(reversed(state[name]) for name in ("old_dirs", "old_stps", "ro")), strict=True):
        shares.append((s @ q) * ro)
        q.add_(y, alpha=-float(shares[-1]))
    r = q * state["H_diag"]
    for y, s, ro, share in zip(state["old_dirs"], state["old_stps"], state["ro"], reversed(shares), strict=True):
        r.add_(s, alpha=float(share - (y @ r) * ro))
    return r


def _forget(state: dict[str, Any]) -> None:
    """Begin anew at the next step."""
    for name in ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss", "al"):
        state.pop(name, None)
    state["n_iter"] = 0


def _number(returned: Any) -> float:
    """The loss as the closure returned it, a number or a tensor of one."""
    if isinstance(returned, Tensor) and returned.numel() == 1 and not returned.is_complex():
        return float(returned.detach())
    if isinstance(returned, Tensor) or not hasattr(returned, "__float__"):
        raise TypeError(f"LBFGS: the closure must return the loss, one real number; got {shown(returned)}")
    return float(returned)


def _finite(loss: float, grad: Tensor) -> bool:
    return math.isfinite(loss) and bool(torch.isfinite(grad).all())
