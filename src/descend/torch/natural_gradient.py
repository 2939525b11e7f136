"""``NaturalGradient``: Gauss–Newton steps with the exact Jacobian, for nets of up to a few thousand parameters.

"T & S" is Transtrum & Sethna 2012, "Improvements to the Levenberg–Marquardt algorithm for nonlinear least-squares
minimization" (arXiv 1201.5885).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from ..core.settings import check_count
from ..core.untraced import untraced
from .second_order.flat import Rateless
from .sharded.refusals import refuse_use

Term = tuple[Callable[..., Tensor], Any]
"""A residual at one point, (net, *point) -> () or (k,), and the points: a tensor (n, ...), or several of one length."""

SMALLEST, LARGEST = 1e-14, 1e8  # of the damping: below, rounding is more; above, steps are the gradient's
AHEAD = 0.1  # of the step, where the second derivative is taken (T & S take 0.1 too)


@untraced
class NaturalGradient(torch.optim.Optimizer):
    """Natural gradient for sums of squares: Gauss–Newton, damped, along a parabola.

    The loss is Σ over terms of the mean over its points of ½ r². Its natural gradient in the metric of the residuals
    (of a PDE's, the *energy* natural gradient, Müller & Zeinhofer 2023) is (JᵀJ + μI)⁻¹ Jᵀr; where there are fewer
    residuals than parameters, the same is had as Jᵀ(JJᵀ + μI)⁻¹ r (arXiv 2505.12149). The step bends with the
    residuals: to that velocity v comes half the acceleration -(JᵀJ + μI)⁻¹ Jᵀr″, with r″ along v by a difference (T &
    S, section 4). One Jacobian serves several μ, whose losses are compared: while smaller ones are better, a third of
    the last; where the loss would rise, four times the last::

        opt = NaturalGradient(net)
        for _ in range(100):
            loss = opt.step([(interior, x), (boundary, y)])  # interior(net, x[i]) is a residual at one point

    The Jacobian comes from torch.func, so ``residual`` must be code that ``torch.func.vmap`` takes; derivatives by the
    point come from ``torch.func.grad``, ``jacfwd`` and the like.

    Args:
        model: the module; its trainable parameters are stepped, together.
        damping (0.001): μ relative to the mean of the diagonal of JᵀJ, at the start; then the best of the last step.
            Stays within 1e-14 and 1e8, and stands in ``param_groups[0]["damping"]``.
        acceleration (True): whether steps bend. Costs a solution and the residuals once more for each μ.
        trials (12): of μ in a step, at most.
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
        acceleration: bool = True,
        trials: int = 12,
        max_bytes: int = 2**31,
        chunk_size: int | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"NaturalGradient takes a model, got {type(model).__name__}")
        if not SMALLEST <= damping <= LARGEST:
            raise ValueError(f"NaturalGradient: damping must be within {SMALLEST} and {LARGEST}, got {damping!r}")
        rows = 1 if chunk_size is None else chunk_size
        for name, value in (("trials", trials), ("max_bytes", max_bytes), ("chunk_size", rows)):
            check_count(f"NaturalGradient: {name}", value)
        self._params = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not self._params:
            raise ValueError("NaturalGradient: the model has no parameter that requires a gradient")
        refuse_use(self._params.values(), "NaturalGradient", "it needs the whole Jacobian")
        kinds = {(p.dtype, p.device) for p in self._params.values()}
        if len(kinds) > 1 or any(p.is_complex() for p in self._params.values()):
            raise ValueError("NaturalGradient: all parameters must have one real dtype and one device")
        self._model, self._trials, self._max_bytes, self._chunk = model, trials, max_bytes, chunk_size
        self._bends = acceleration
        super().__init__(list(self._params.values()), {"damping": damping})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """One group: all parameters share one matrix."""
        if self.param_groups:
            raise TypeError("NaturalGradient takes all parameters from its model, in one group")
        super().add_param_group(param_group)
        self.param_groups[-1] = Rateless(self.param_groups[-1], "NaturalGradient")

    def __getstate__(self) -> dict[str, Any]:
        names = ("_params", "_model", "_trials", "_max_bytes", "_chunk", "_bends")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in names}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.param_groups = [Rateless(group, "NaturalGradient") for group in self.param_groups]

    @torch.no_grad()
    def step(self, terms: Sequence[Term]) -> Tensor:  # type: ignore[override]
        """One update. An autocast around it has no effect: it would round the matrices to 8 bits.

        Args:
            terms: pairs (residual, points); ``residual(net, *point)`` returns a number or (k,) for one point.

        Returns:
            The loss before the update. Where no damping lowers it, no parameter moves, and the next step begins with
            the largest.

        Raises:
            ValueError: terms that are no such pairs, points of different lengths, a Jacobian above max_bytes, or a loss
                that is not finite. Nothing is changed then.
        """
        if not isinstance(terms, Sequence):
            raise TypeError(
                f"NaturalGradient.step takes a list of pairs (residual, points), got {type(terms).__name__}; it "
                "computes the loss and its derivatives itself"
            )
        if frozen := [name for name, p in self._params.items() if not p.requires_grad]:
            raise ValueError(f"NaturalGradient: {frozen[0]} was frozen after the optimizer was made: make a new one")
        checked = [_checked(term, i) for i, term in enumerate(terms)]
        if not checked:
            raise ValueError("NaturalGradient.step: no terms")
        with torch.autocast(next(iter(self._params.values())).device.type, enabled=False):
            return self._step(checked)

    def _step(self, checked: list[Term]) -> Tensor:
        params = {name: p.detach() for name, p in self._params.items()}
        r = self._residuals(params, checked)
        loss = 0.5 * r @ r
        if not torch.isfinite(loss):
            raise ValueError(f"NaturalGradient.step: the loss is {float(loss)}; nothing was changed")
        self._refuse_size(len(r), r.element_size())
        system = _System(self._jacobian(params, checked))
        group = self.param_groups[0]
        best, damping, factor = None, group["damping"], 0.0
        for k in range(self._trials):
            one = self._trial(params, checked, system, r, damping)
            lower = one.loss < (float(loss) if best is None else best.loss)
            if lower:
                best = one
            elif best is not None:
                break
            if k == 0:
                factor = 1 / 3 if lower else 4.0
            damping = min(max(one.damping * factor, SMALLEST), LARGEST)
            if damping == one.damping:
                break
        if best is not None:
            for name, p in self._params.items():
                p.copy_(best.params[name])
        group["damping"] = damping if best is None else best.damping
        return loss

    def _trial(
        self, params: dict[str, Tensor], terms: list[Term], system: _System, r: Tensor, damping: float
    ) -> _Trial:
        """The step for one damping."""
        lower, damping = system.factored(damping)
        step = -system.solved(lower, r)
        if self._bends:
            ahead = self._residuals(self._moved(params, AHEAD * step), terms)
            bend = 2 / AHEAD * ((ahead - r) / AHEAD - system.along(step))  # r″, (22) of T & S
            acceleration = -system.solved(lower, bend)
            if 2 * float(acceleration.norm()) <= 0.75 * float(step.norm()):  # (15); false where one is not finite
                step = step + acceleration / 2
        moved = self._moved(params, step)
        now = self._residuals(moved, terms)
        return _Trial(float(0.5 * now @ now), damping, moved)

    def _moved(self, params: dict[str, Tensor], step: Tensor) -> dict[str, Tensor]:
        steps = self._split(step)
        return {name: p + steps[name] for name, p in params.items()}

    def _net(self, params: dict[str, Tensor]) -> Callable[..., Any]:
        return lambda *args, **kwargs: functional_call(self._model, params, args, kwargs)

    def _residuals(self, params: dict[str, Tensor], terms: list[Term]) -> Tensor:
        """(rows,): those of all terms, each divided by √n so that half their square is the loss."""
        net = self._net(params)
        rows = []
        for residual, points in terms:
            try:
                r = vmap(lambda *point, residual=residual: residual(net, *point), chunk_size=self._chunk)(*points)
            except RuntimeError as error:
                if "random operation" in str(error):
                    raise ValueError(
                        "NaturalGradient.step: a residual draws random numbers, as dropout does, and the loss has to "
                        "be the same each time: model.eval()"
                    ) from error
                raise
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


class _Trial(NamedTuple):
    """A step: the loss after it, the damping it was found with, the parameters after it."""

    loss: float
    damping: float
    params: dict[str, Tensor]


class _System:
    """JᵀJ + μI for several μ, in the smaller of the two spaces."""

    def __init__(self, J: Tensor) -> None:
        self.J, self.few = J, len(J) < J.shape[1]
        self.gram = J @ J.T if self.few else J.T @ J
        self.mean = float(self.gram.diagonal().sum()) / J.shape[1] or 1.0

    def factored(self, damping: float) -> tuple[Tensor, float]:
        """The Cholesky factor, and the damping that made the matrix definite."""
        while True:
            damped = self.gram.clone()
            damped.diagonal().add_(damping * self.mean)
            lower, failed = torch.linalg.cholesky_ex(damped)
            if not failed or damping >= LARGEST:
                return lower, damping
            damping *= 10

    def solved(self, lower: Tensor, residuals: Tensor) -> Tensor:
        """(JᵀJ + μI)⁻¹ Jᵀ times residuals."""
        if self.few:
            return self.J.T @ torch.cholesky_solve(residuals[:, None], lower)[:, 0]
        return torch.cholesky_solve((self.J.T @ residuals)[:, None], lower)[:, 0]

    def along(self, step: Tensor) -> Tensor:
        return self.J @ step


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
