"""``NaturalGradient``: Gauss–Newton steps with the exact Jacobian, for nets of up to a few thousand parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from ..core.untraced import untraced
from .second_order.flat import Rateless
from .sharded.refusals import refuse_use

Term = tuple[Callable[..., Tensor], Any]
"""A residual at one point, (net, *point) -> () or (k,), and the points: a tensor (n, ...), or several of one length."""

SMALLEST, LARGEST = 1e-14, 1e8  # of the damping: below, rounding is more; above, steps are the gradient's


@untraced
class NaturalGradient(torch.optim.Optimizer):
    """Natural gradient for sums of squares: Gauss–Newton with Levenberg–Marquardt damping and a line search.

    The loss is Σ over terms of the mean over its points of ½ r². Its natural gradient in the metric of the residuals
    (of a PDE's, the *energy* natural gradient, Müller & Zeinhofer 2023) is (JᵀJ + μI)⁻¹ Jᵀr; where there are fewer
    residuals than parameters, the same is had as Jᵀ(JJᵀ + μI)⁻¹ r (arXiv 2505.12149). Along it the best of the lengths
    1, ½, ¼, … is taken; none that raises the loss is::

        opt = NaturalGradient(net)
        for _ in range(100):
            loss = opt.step([(interior, x), (boundary, y)])  # interior(net, x[i]) is a residual at one point

    The Jacobian comes from torch.func, so ``residual`` must be code that ``torch.func.vmap`` takes; derivatives by the
    point come from ``torch.func.grad``, ``jacfwd`` and the like.

    Args:
        model: the module; its trainable parameters are stepped, together.
        damping (0.001): μ relative to the mean of the diagonal of JᵀJ, at the start. It falls to a third where the
            quadratic model foretold the loss well, and rises fourfold where it did not (Marquardt 1963; Martens 2010,
            section 4.1), within 1e-14 and 1e8. Stands in ``param_groups[0]["damping"]``.
        halvings (10): of the length, at most.
        max_bytes (2**31): the most the Jacobian may take.
        chunk_size (None): points whose gradients are taken at once; None for all.

    Raises:
        TypeError, ValueError: an argument that cannot be meant, by name.
    """

    def __init__(
        self,
        model: nn.Module,
        damping: float = 1e-3,
        *,
        halvings: int = 10,
        max_bytes: int = 2**31,
        chunk_size: int | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"NaturalGradient takes a model, got {type(model).__name__}")
        if not SMALLEST <= damping <= LARGEST:
            raise ValueError(f"NaturalGradient: damping must be within {SMALLEST} and {LARGEST}, got {damping!r}")
        for name, value in (("halvings", halvings), ("max_bytes", max_bytes), ("chunk_size", chunk_size)):
            if not (value is None and name == "chunk_size") and (not isinstance(value, int) or value < 1):
                raise ValueError(f"NaturalGradient: {name} must be a whole number, at least 1; got {value!r}")
        self._params = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not self._params:
            raise ValueError("NaturalGradient: the model has no parameter that requires a gradient")
        refuse_use(self._params.values(), "NaturalGradient", "it needs the whole Jacobian")
        kinds = {(p.dtype, p.device) for p in self._params.values()}
        if len(kinds) > 1 or any(p.is_complex() for p in self._params.values()):
            raise ValueError("NaturalGradient: all parameters must have one real dtype and one device")
        self._model, self._halvings, self._max_bytes, self._chunk = model, halvings, max_bytes, chunk_size
        super().__init__(list(self._params.values()), {"damping": damping})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """One group: all parameters share one matrix."""
        if self.param_groups:
            raise TypeError("NaturalGradient takes all parameters from its model, in one group")
        super().add_param_group(param_group)
        self.param_groups[-1] = Rateless(self.param_groups[-1], "NaturalGradient")

    @torch.no_grad()
    def step(self, terms: Sequence[Term]) -> Tensor:  # type: ignore[override]
        """One update.

        Args:
            terms: pairs (residual, points); ``residual(net, *point)`` returns a number or (k,) for one point.

        Returns:
            The loss before the update. Where no length lowers it, no parameter moves and the damping rises.

        Raises:
            ValueError: terms that are no such pairs, points of different lengths, a Jacobian above max_bytes, or a loss
                that is not finite. Nothing is changed then.
        """
        checked = [_checked(term, i) for i, term in enumerate(terms)]
        if not checked:
            raise ValueError("NaturalGradient.step: no terms")
        params = {name: p.detach() for name, p in self._params.items()}
        r = self._residuals(params, checked)
        loss = 0.5 * r @ r
        if not torch.isfinite(loss):
            raise ValueError(f"NaturalGradient.step: the loss is {float(loss)}; nothing was changed")
        self._refuse_size(len(r), r.element_size())
        J = self._jacobian(params, checked)
        group = self.param_groups[0]
        direction, damping = _solved(J, r, group["damping"])
        slope, bend = torch.stack([r @ (change := J @ direction), change @ change]).tolist()
        found = self._along(params, checked, direction, float(loss))
        if found is None:
            group["damping"] = min(LARGEST, 4 * damping)
            return loss
        length, lower, moved = found
        foretold = length * slope - 0.5 * length**2 * bend
        agreement = (float(loss) - lower) / foretold if foretold > 0 else 0.0
        for name, p in self._params.items():
            p.copy_(moved[name])
        if length == 1 and agreement > 0.75:
            damping = max(SMALLEST, damping / 3)
        elif length < 0.25 or agreement < 0.25:
            damping = min(LARGEST, 4 * damping)
        group["damping"] = damping
        return loss

    def _along(
        self, params: dict[str, Tensor], terms: list[Term], direction: Tensor, loss: float
    ) -> tuple[float, float, dict[str, Tensor]] | None:
        """The best of the lengths 1, ½, ¼, …, its loss and the parameters there; None where none is below ``loss``."""
        best, steps = None, self._split(direction)
        for k in range(self._halvings + 1):
            moved = {name: p - 0.5**k * steps[name] for name, p in params.items()}
            r = self._residuals(moved, terms)
            now = float(0.5 * r @ r)
            if now < (best[1] if best else loss):
                best = 0.5**k, now, moved
            elif best:  # it rises again
                break
        return best

    def _net(self, params: dict[str, Tensor]) -> Callable[..., Any]:
        return lambda *args, **kwargs: functional_call(self._model, params, args, kwargs)

    def _residuals(self, params: dict[str, Tensor], terms: list[Term]) -> Tensor:
        """(rows,): those of all terms, each divided by √n so that half their square is the loss."""
        net = self._net(params)
        rows = []
        for residual, points in terms:
            r = vmap(lambda *point, residual=residual: residual(net, *point), chunk_size=self._chunk)(*points)
            rows.append(r.reshape(-1) / math.sqrt(len(points[0])))
        return torch.cat(rows)

    def _jacobian(self, params: dict[str, Tensor], terms: list[Term]) -> Tensor:
        """(rows, parameters), of ``_residuals``."""
        rows = []
        for residual, points in terms:

            def at(params: dict[str, Tensor], *point: Tensor, residual: Any = residual) -> Tensor:
                return residual(self._net(params), *point).reshape(-1)

            inside = (None, *(0 for _ in points))
            slopes = vmap(jacrev(at), in_dims=inside, chunk_size=self._chunk)(params, *points)
            wide = torch.cat([slopes[name].flatten(2) for name in params], dim=2)
            rows.append(wide.flatten(0, 1) / math.sqrt(len(points[0])))
        return torch.cat(rows)

    def _split(self, flat: Tensor) -> dict[str, Tensor]:
        parts = flat.split([p.numel() for p in self._params.values()])
        return {name: part.view(p.shape) for (name, p), part in zip(self._params.items(), parts, strict=True)}

    def _refuse_size(self, rows: int, size: int) -> None:
        wide = sum(p.numel() for p in self._params.values())
        if (needed := rows * wide * size) > self._max_bytes:
            raise ValueError(
                f"NaturalGradient.step: the Jacobian of {rows:,} residuals by {wide:,} parameters takes "
                f"{needed / 2**30:.1f} GiB, max_bytes is {self._max_bytes / 2**30:.1f} GiB: take fewer points, or KFAC"
            )


def _solved(J: Tensor, r: Tensor, damping: float) -> tuple[Tensor, float]:
    """(JᵀJ + μI)⁻¹ Jᵀr, in the smaller of the two spaces, and the damping that made the matrix definite."""
    few = len(J) < J.shape[1]
    gram = J @ J.T if few else J.T @ J
    mean = float(gram.diagonal().sum()) / J.shape[1] or 1.0
    while True:
        damped = gram.clone()
        damped.diagonal().add_(damping * mean)
        lower, failed = torch.linalg.cholesky_ex(damped)
        if not failed or damping >= LARGEST:
            break
        damping *= 10
    right = (r if few else J.T @ r)[:, None]
    solved = torch.cholesky_solve(right, lower)[:, 0]
    return (J.T @ solved if few else solved), damping


def _checked(term: Any, i: int) -> Term:
    if not isinstance(term, tuple | list) or len(term) != 2 or not callable(term[0]):
        raise ValueError(
            f"NaturalGradient.step: terms[{i}] must be a pair (residual, points), got {type(term).__name__}"
        )
    points = (term[1],) if isinstance(term[1], Tensor) else tuple(term[1])
    if not points or not all(isinstance(x, Tensor) and x.dim() and len(x) == len(points[0]) for x in points):
        raise ValueError(f"NaturalGradient.step: points of terms[{i}] must be tensors of one length (n, ...)")
    if not len(points[0]):
        raise ValueError(f"NaturalGradient.step: terms[{i}] has no points")
    return term[0], points  # type: ignore[return-value]
