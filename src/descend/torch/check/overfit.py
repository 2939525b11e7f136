"""One batch must be learned by heart: what cannot do that cannot learn at all."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...core.settings import check_count
from ...draw import terminal
from ...draw.braille import braille
from ...draw.chart import Chart, curve
from ...draw.pictured import Pictured
from ..learning_rate.trial import needs_closure, set_mode
from ..loop.batch import check_batch, on_device
from ..loop.loss import check_first_gradients, check_first_loss, objective
from ..loop.untouched import hold_modules, hold_randomness, untouched
from ..sharded.refusals import refuse_use

LEARNED = 0.01  # of the first loss
_DROPS = (nn.modules.dropout._DropoutNd,)


@dataclass(frozen=True)
class Overfit(Pictured):
    """What ``overfit_one_batch`` saw.

    Attributes:
        losses: before each step, and after the last. target: what the loss had to reach.
        unmoved: trained parameters whose gradient was 0 or None in every step.
        forgotten: parameters of the model that require a gradient and are not in the optimizer.
        dropout: modules that drop at random while training.
    """

    size = (560, 160)

    losses: tuple[float, ...]
    target: float
    unmoved: tuple[str, ...]
    forgotten: tuple[str, ...]
    dropout: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """The loss reached the target."""
        return self.losses[-1] <= self.target

    @property
    def sentence(self) -> str:
        """The verdict, and what to look at."""
        first, last, steps = self.losses[0], self.losses[-1], len(self.losses) - 1
        if self.ok:
            said = f"One batch is learned: {first:.4g} to {last:.4g} in {steps} steps."
        elif not math.isfinite(last):
            said = f"The loss is {last} after {steps} steps: lower the learning rate."
        elif min(self.losses) > 0.99 * first + 0.01 * self.target:
            said = f"The loss does not fall: {first:.4g}, then {last:.4g} after {steps} steps. Raise or lower the lr "
            said += "tenfold; if it stays, the labels do not reach the loss or the gradient is cut (check_gradients)."
        else:
            said = f"The loss falls from {first:.4g} to {last:.4g} in {steps} steps, not to {self.target:.3g}: take "
            said += "more steps, another lr, or less regularisation."
            said += f" Dropout is on in {_some(self.dropout)}." if self.dropout else ""
        if self.unmoved:
            said += f" No gradient ever reaches {_some(self.unmoved)}."
        if self.forgotten:
            said += f" Not in the optimizer: {_some(self.forgotten)}."
        return said

    def __str__(self) -> str:
        return self.sentence

    def chart(self) -> Chart:
        """The loss by step."""
        return curve(range(len(self.losses)), self.losses, "loss by step", "step", self._log)

    def draw(self) -> str:
        """The loss by step in braille signs."""
        return braille(range(len(self.losses)), self.losses, width=48, height=8, log_y=self._log)

    @property
    def _log(self) -> bool:
        return min((loss for loss in self.losses if math.isfinite(loss)), default=0.0) > 0

    def show(self) -> None:
        """Print the curve and the verdict."""
        terminal.show(self.draw(), self.sentence)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def overfit_one_batch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_fn: Callable[..., Any] | None,
    batch: Any,
    steps: int = 200,
    *,
    target: float | None = None,
    form: str | None = None,
) -> Overfit:
    """Train on one batch until the loss is next to nothing: a model that cannot do this cannot learn at all.

    Everything is as it was afterwards, bit for bit, also after an exception: model, optimizer, random generators.
    The model is trained in training mode. Leave regularisation out, as the loss may have a floor with it.

    Args:
        loss_fn: ``(output, target)`` for a batch that is a pair; ``(model, batch)`` for any batch; None if the model
            returns its loss.
        steps: at most so many.
        target: loss to reach; by default a hundredth of the first.
        form: ``"model, batch"`` or ``"output, target"``, what ``loss_fn`` takes; None: its parameters' names say it.
    Raises:
        TypeError: a loader instead of a batch, a loss that is no tensor. ValueError: a loss that is no scalar, not
            finite at the start, or hangs on no parameter of the optimizer; every parameter frozen; a first loss of 0
            or less without a ``target``.
    """
    check_batch(batch)
    check_count("steps", steps)
    trained = {id(p): p for group in optimizer.param_groups for p in group["params"] if p.requires_grad}
    if not trained:
        raise ValueError("every parameter of the optimizer is frozen (requires_grad=False): nothing to train")
    instead = "each process sees another loss and would end elsewhere; do this before the model is sharded"
    refuse_use(trained.values(), "overfit_one_batch", instead)
    trial = _OneBatch(model, optimizer, objective(model, loss_fn, form), on_device(model, batch), trained)
    modules = [part for part in (model, loss_fn) if isinstance(part, nn.Module)]
    return untouched(lambda: trial.run(steps, target), hold_modules(modules, optimizer), hold_randomness())


class _OneBatch:
    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss_of: Callable[[Any], torch.Tensor],
        batch: Any,
        trained: dict[int, torch.Tensor],
    ) -> None:
        self.model, self.optimizer, self.loss_of, self.batch, self.trained = model, optimizer, loss_of, batch, trained
        self.reached: set[int] = set()
        self.begun = False

    def run(self, steps: int, target: float | None) -> Overfit:
        named = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self.model.train()
        for p in (*named.values(), *self.trained.values()):
            p.grad = None
        losses, goal = self._losses(steps, target)
        return Overfit(
            tuple(losses),
            goal,
            unmoved=tuple(n for n, p in named.items() if id(p) in self.trained and id(p) not in self.reached),
            forgotten=tuple(n for n, p in named.items() if id(p) not in self.trained),
            dropout=tuple(n for n, m in self.model.named_modules() if isinstance(m, _DROPS) and m.p > 0),
        )

    def _losses(self, steps: int, target: float | None) -> tuple[list[float], float]:
        set_mode(self.optimizer, "train")
        closed = needs_closure(self.optimizer)
        losses: list[float] = []
        goal = math.nan if target is None else float(target)
        for _ in range(steps):
            if closed:
                seen: list[float] = []
                self.optimizer.step(lambda seen=seen: self._gradients(seen))  # type: ignore[arg-type,misc]
                losses.append(seen[0])
            else:
                self._gradients(losses)
            goal = _goal(losses[0]) if math.isnan(goal) else goal
            if not math.isfinite(losses[-1]) or losses[-1] <= goal:
                return losses, goal
            if not closed:
                self.optimizer.step()
        with torch.no_grad():
            losses.append(float(self.loss_of(self.batch)))
        return losses, goal

    def _gradients(self, losses: list[float]) -> torch.Tensor:
        self.optimizer.zero_grad()
        with torch.enable_grad():
            loss = self.loss_of(self.batch)
            if not self.begun:
                check_first_loss(loss)
            loss.backward()
        if not self.begun:
            check_first_gradients(list(self.trained.values()))  # type: ignore[arg-type]
            self.begun = True
        losses.append(float(loss.detach()))
        for i, p in self.trained.items():
            if i not in self.reached and p.grad is not None and bool((p.grad.detach() != 0).any()):
                self.reached.add(i)
        return loss.detach()


def _goal(first: float) -> float:
    if first <= 0:
        raise ValueError(f"the first loss is {first:.4g}, of which no hundredth can be reached: give target=")
    return LEARNED * first
