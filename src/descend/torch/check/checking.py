"""Checks before a long run: the gradient is right, one batch can be learned, the first loss is that of a guess."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...core.settings import check_count
from ...core.shown import Shown
from ...draw import terminal
from ..loop.batch import check_batch, on_device, tensors
from ..loop.loss import objective
from ..loop.untouched import hold, hold_randomness, untouched
from .gradient_check import check_gradients
from .gradient_report import Checked, GradientReport, TensorChecked
from .overfit import Overfit, overfit_one_batch

__all__ = [
    "Checked", "GradientReport", "InitialLoss", "Overfit", "TensorChecked", "check_gradients", "initial_loss",
    "overfit_one_batch",
]  # fmt: skip

NEAR = 0.2  # of log(classes): torch's own initialisations of MLPs, ResNets and transformers lie within


@dataclass(frozen=True)
class InitialLoss(Shown):
    """The loss of an untrained classifier beside that of a guess. ``loss``, ``expected``: nats.

    ``counts``: what the loss may have been summed over: rows, or labels.
    """

    loss: float
    classes: int
    counts: tuple[int, ...] = ()

    @property
    def expected(self) -> float:
        """-log(1 / classes): all classes equally likely."""
        return math.log(self.classes)

    @property
    def ok(self) -> bool:
        """Within a fifth of what is expected."""
        return abs(self.loss - self.expected) <= NEAR * self.expected

    @property
    def sentence(self) -> str:
        """The verdict, and what to look at."""
        said = f"The first loss is {self.loss:.4g}; a guess among {self.classes} classes has {self.expected:.4g}"
        if self.ok:
            return f"{said}: as it should be."
        if not math.isfinite(self.loss):
            return f"{said}: look for log(0), a division by 0, or inputs that are not finite."
        for n in self.counts:
            if n > 1 and abs(self.loss / n - self.expected) <= NEAR * self.expected:
                return f"{said}: {n} times as much. The loss is summed over {n}; divide by it."
        if self.loss > self.expected:
            return (
                f"{said}: the model is confident and wrong before training. Scale the last layer's weights down, "
                "or the inputs; and see that the labels are below the number of classes."
            )
        like = f"as of {math.exp(self.loss):.3g} classes" if self.loss > 0 else "below 0"
        return f"{said}: less, {like}. Is it trained already, do the inputs hold the labels, is it divided twice?"

    def __str__(self) -> str:
        return self.sentence

    def show(self) -> None:
        """Print the verdict."""
        terminal.show(self.sentence)


def initial_loss(
    model: nn.Module, loss_fn: Callable[..., Any] | None, batch: Any, classes: int, *, form: str | None = None
) -> InitialLoss:
    """The loss before training: near -log(1/classes), as an untrained classifier can only guess (Karpathy, CS231n).

    The model is evaluated once in training mode, and left as it was. Cross-entropy without label smoothing and
    weights is meant, and without regularisation.

    Args:
        loss_fn, batch, form: as for ``overfit_one_batch``. classes: of the labels, 2 or more.
    Raises:
        TypeError: a loader instead of a batch, a loss that is no tensor. ValueError: a loss that is no scalar, fewer
            than 2 classes, an empty batch.
    """
    check_batch(batch)
    check_count("classes", classes, 2)
    batch = on_device(model, batch)
    loss_of = objective(model, loss_fn, form)

    def body() -> float:
        model.train()
        with torch.no_grad():
            return float(loss_of(batch))

    parts = [part for part in (model, loss_fn) if isinstance(part, nn.Module)]
    memo: dict[int, Any] = {}
    thaws = [hold(vars(module), memo) for part in parts for module in part.modules()]
    value = untouched(body, *thaws, hold_randomness())
    shaped = [t for t in tensors(batch) if t.dim()]
    sizes = {len(t) for t in shaped} | {t.numel() for t in shaped if not t.is_floating_point()}
    return InitialLoss(value, classes, tuple(sorted(sizes)))
