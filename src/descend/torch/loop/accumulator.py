"""Gradient accumulation that divides by what was really seen.

Dividing each micro-batch's mean loss by the number of micro-batches is right only if all are equally large; the last
one of an epoch, and any one counted in tokens, is not. Here a micro-batch weighs as much as it has samples or tokens.
"""

import math
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import torch

from ...core.settings import check_count, is_number
from ...stepping import NONFINITE, NonFiniteGradient
from ..learning_rate.trial import needs_closure
from ..sharded.refusals import refuse_use
from .loss import checked


class Accumulator:
    """Collects the gradients of micro-batches, and steps with those of all their samples together.

    ::

        with Accumulator(opt, every=4) as acc:
            for x, y in loader:
                stepped = acc.backward(cross_entropy(model(x), y), count=len(x))

    Leaving the block steps with the last, shorter window; an exception drops it. The gradients are cleared when a
    window begins, never by the caller. On several machines a count weighs within its own process only.

    Args:
        optimizer: any that needs no closure.
        every: micro-batches per step; None: ``step()`` is called by hand.
        scaler: a ``torch.amp.GradScaler``; it is updated after each step.
        clip_norm: clip to this global norm before a step (``descend.torch`` classes have the same as an argument).
        nonfinite: what NaN or infinity does. ``"raise"`` NonFiniteGradient: a loss before its backward pass, a
            gradient before the step. ``"skip"``: the micro-batch is left out and not counted; this keeps the sum aside
            during each backward pass, one more copy of the gradients. ``"propagate"``: nothing is looked at. Gradients
            of a scaled loss are the scaler's business.
        reduction: whether a loss is the ``"mean"`` over its count, or the ``"sum"``.
    Attributes:
        steps: taken; skipped: micro-batches left out. loss: mean of the last window over all it counted.
        seen: samples or tokens in the present window; pending: its micro-batches.
    Raises:
        TypeError: no optimizer, or one that needs a closure. ValueError: an option out of its range, an optimizer
            whose parameters are all frozen.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        every: int | None = None,
        *,
        scaler: Any = None,
        clip_norm: float | None = None,
        nonfinite: str = "raise",
        reduction: str = "mean",
    ) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is no torch optimizer")
        if needs_closure(optimizer):
            raise TypeError(f"{type(optimizer).__name__} evaluates the loss itself, in a closure: accumulate there")
        if every is not None:
            check_count("every", every)
        if clip_norm is not None and not 0 < clip_norm < math.inf:
            raise ValueError(f"clip_norm must be a finite number above 0, got {clip_norm!r}")
        for name, value, known in (("nonfinite", nonfinite, NONFINITE), ("reduction", reduction, ("mean", "sum"))):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")
        self.optimizer, self.every, self.scaler, self.clip_norm = optimizer, every, scaler, clip_norm
        self.nonfinite, self.reduction = nonfinite, reduction
        if not any(p.requires_grad for p in self._params()):
            raise ValueError("every parameter of the optimizer is frozen (requires_grad=False): nothing to train")
        instead = "counts weigh within one process; divide each loss by the micro-batches, and step after the last"
        refuse_use(self._params(), "Accumulator", instead)
        self.steps = self.skipped = self.pending = 0
        self.seen, self.loss = 0.0, math.nan
        self._total = self._reference = 0.0
        self._begun = False

    def __repr__(self) -> str:
        name = type(self.optimizer).__name__
        return f"Accumulator({name}, every={self.every}): {self.steps} steps, {self.pending} micro-batches pending"

    @property
    def closes(self) -> bool:
        """The next micro-batch ends the window: only then need DistributedDataParallel exchange gradients."""
        return self.every is not None and self.pending + 1 >= self.every

    def backward(self, loss: torch.Tensor, count: Any) -> bool:
        """Add a micro-batch; after ``every`` of them, step.

        Args:
            loss: one number, the mean (or the sum) over ``count`` samples or tokens.
            count: how many; 0, as where all tokens are masked, adds nothing whatever the loss is.
        Returns:
            Whether the parameters were stepped.
        Raises:
            TypeError: a loss that is no tensor, a count that is no number. ValueError: a loss that is no scalar or
                has no graph, a count below 0. NonFiniteGradient: if asked for. Nothing was added.
        """
        weight = _count(count)
        loss = checked(loss)
        if not self.pending:
            self.optimizer.zero_grad(set_to_none=True)
            self.seen = self._total = self._reference = 0.0
        self._begun = True
        if weight and self._add(loss, weight):
            self.seen += weight
            self._total += float(loss.detach()) * (weight if self.reduction == "mean" else 1.0)
        self.pending += 1
        return self.step() if self.every is not None and self.pending >= self.every else False

    def step(self) -> bool:
        """End the window, full or not. Returns whether the parameters were stepped; False if it holds nothing.

        Raises:
            ValueError: no micro-batch was ever seen, or the loss reaches no parameter. NonFiniteGradient: if asked
                for; the window is dropped, and no parameter has changed.
        """
        if not self._begun:
            raise ValueError("no micro-batch was seen: the loader is empty")
        pending, self.pending = self.pending, 0
        if not pending or not self.seen:
            return False
        self.loss = self._total / self.seen
        grads = [p.grad for p in self._params() if p.grad is not None]
        if not grads:
            raise ValueError("the loss reaches none of the optimizer's parameters: is it another model's?")
        if self.scaler is None and self.nonfinite == "raise" and not _finite(grads):
            self.optimizer.zero_grad(set_to_none=True)
            raise NonFiniteGradient("the accumulated gradient holds NaN or infinity; the window was dropped")
        _multiply(grads, self._reference / self.seen)
        stepped = self._stepped()
        self.steps += stepped
        return stepped

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.step()
        elif self.pending:
            self.pending = 0
            self.optimizer.zero_grad(set_to_none=True)

    def _params(self) -> Iterable[torch.Tensor]:
        return (p for group in self.optimizer.param_groups for p in group["params"])

    def _add(self, loss: torch.Tensor, weight: float) -> bool:
        """Backward, weighted; whether the micro-batch counts."""
        if not loss.requires_grad:
            raise ValueError("the loss depends on no parameter: was it computed under no_grad, or detached?")
        if self.nonfinite != "propagate" and not math.isfinite(float(loss.detach())):
            if self.nonfinite == "raise":
                value = float(loss.detach())
                raise NonFiniteGradient(f"the loss of micro-batch {self.pending + 1} of this window is {value}")
            self.skipped += 1
            return False
        # relative to a full window of batches like the first one, so that half precision neither over- nor underflows
        reference = self._reference or weight * (self.every or 1)
        weighted = loss * ((weight if self.reduction == "mean" else 1.0) / reference)
        if self.scaler is not None:
            weighted = self.scaler.scale(weighted)
        if self.nonfinite == "skip" and self.scaler is None:
            if not self._added_aside(weighted):
                self.skipped += 1
                return False
        else:
            weighted.backward()
        self._reference = reference
        return True

    def _added_aside(self, weighted: torch.Tensor) -> bool:
        """Backward into fresh gradients, added to the sum if they are finite."""
        params = list(self._params())
        sums = [p.grad for p in params]
        for p in params:
            p.grad = None
        fine = False
        try:
            weighted.backward()
            fine = _finite(p.grad for p in params if p.grad is not None)
        finally:
            for p, total in zip(params, sums, strict=True):
                if not fine or p.grad is None:
                    p.grad = total
                elif total is not None:
                    p.grad = total.add_(p.grad)
        return fine

    def _stepped(self) -> bool:
        before = getattr(self.optimizer, "skipped", 0)
        scale = self.scaler.get_scale() if self.scaler is not None else 1.0
        if self.clip_norm is not None:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self._params(), self.clip_norm)
        if self.scaler is None:
            self.optimizer.step()
            return getattr(self.optimizer, "skipped", 0) == before
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return getattr(self.optimizer, "skipped", 0) == before and self.scaler.get_scale() >= scale


def _count(count: Any) -> float:
    if not is_number(count):
        raise TypeError(f"count must be how many samples or tokens the loss is of, got {count!r:.60}")
    value = float(count)
    if not 0 <= value < math.inf:
        raise ValueError(f"count must be 0 or more, got {value:g}")
    return value


def _finite(grads: Iterable[torch.Tensor]) -> bool:
    values = [g.coalesce().values() if g.layout is torch.sparse_coo else g for g in grads]
    return all(bool(torch.isfinite(g).all()) for g in values)


@torch.no_grad()
def _multiply(grads: list[torch.Tensor], factor: float) -> None:
    if factor == 1.0:
        return
    for g in grads:
        g.mul_(factor)
