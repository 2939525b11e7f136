"""Steps of training with a learning rate of one's choice for each, from where the model stands."""

import contextlib
import inspect
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from ..loop.feed import Feed
from ..loop.loss import Loss, check_first_gradients, check_first_loss
from ..loop.threads import small
from ..optim.group import Group
from .arguments import lead

RETRIES = 64  # of a closure's gradient that overflows; a scale of 65,536 is halved to 1 by 16
Mixed = torch.dtype | Callable[[], contextlib.AbstractContextManager[Any]] | None


class Trial:
    """One training loop, driven from outside.

    Args:
        model, optimizer: as the user's loop has them; they are changed, and it is the caller who puts them back.
        loss: of a batch.
        feed: the training batches.
        modules: whose gradients are collected: the model, a loss with parameters.
        bases: the lr of each group; the first that is not 0 is what every lr here means, the others keep their ratio
            to it.
        accumulate: batches per step; their losses are averaged.
        autocast: None, the dtype of an autocast, or a function that makes the context of the forward pass.
        scaler: a GradScaler or None.
        closure: whether the optimizer re-evaluates the loss itself (L-BFGS, SAM).
        deadline: a time of `time.perf_counter()` after which no step begins.
    """

    def __init__(
        self,
        model: Any,
        optimizer: torch.optim.Optimizer,
        loss: Loss,
        feed: Feed,
        bases: list[float],
        *,
        modules: list[torch.nn.Module],
        accumulate: int = 1,
        autocast: Mixed = None,
        scaler: Any = None,
        closure: bool = False,
        deadline: float = float("inf"),
    ) -> None:
        self.model, self.optimizer, self.loss, self.feed, self.bases = model, optimizer, loss, feed, bases
        self.modules = modules
        self.accumulate, self.autocast, self.scaler, self.closure = accumulate, autocast, scaler, closure
        self.deadline = deadline
        self.params = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        # a gradient that the user's loop has collected anywhere in the model must not be added to
        self.every = [*self.params, *(p for module in modules for p in module.parameters())]
        self.evaluations = 0
        self.late = False
        self._looked = False

    def steps(self, lrs: Iterable[float]) -> Iterator[float]:
        """Train with these rates; gives the loss of each step's batches, before the step where that is known.

        Whoever stops asking stops the training. It also ends, early, at the deadline.
        """
        self._begin()
        for lr in lrs:
            if time.perf_counter() > self.deadline:
                self.late = True
                return
            self._set(float(lr))
            batches = [next(self.feed) for _ in range(self.accumulate)]
            if self.closure:
                yield self._closed_step(batches)
                continue
            value = self._gradients(batches)
            yield value
            if self.scaler is None:
                self.optimizer.step()
            else:
                self.scaler.step(self.optimizer)
                self.scaler.update()

    def evaluate(self, feed: Feed, batches: int) -> float:
        """Mean loss over the first batches of another loader, in eval mode, at the point that ships."""
        modes = [(module, module.training) for root in self.modules for module in root.modules()]
        total, count = 0.0, 0
        with contextlib.ExitStack() as stack, torch.no_grad():
            stack.enter_context(_shipped(self.optimizer))
            for module, _ in modes:
                module.training = False
            try:
                for batch in feed.some(batches):
                    with self._mixed():
                        total, count = total + float(self.loss(batch)), count + 1
            finally:
                for module, training in modes:
                    module.training = training
        if not count:
            raise ValueError(f"the {feed.name} is empty: it gave no batch")
        return total / count

    def _begin(self) -> None:
        if isinstance(self.model, torch.nn.Module) and not self.model.training:
            self.model.train()  # a model that trains already keeps the modes of its parts
        set_mode(self.optimizer, "train")
        for group in self.optimizer.param_groups:
            if isinstance(group, Group):
                group.forget("lr")
        if "_plan" in vars(self.optimizer):  # the plan of the user's steps counts them, and is kept for them
            self.optimizer._plan = None  # type: ignore[attr-defined]

    def _set(self, lr: float) -> None:
        first = lead(self.bases)
        for group, base in zip(self.optimizer.param_groups, self.bases, strict=True):
            scaled = lr * (base / first)
            held = group["lr"]
            group["lr"] = torch.full_like(held, scaled) if isinstance(held, torch.Tensor) else scaled

    def _gradients(self, batches: list[Any]) -> float:
        for p in self.every:
            p.grad = None
        value = 0.0
        if not self._looked and small(self.every, batches[0]):
            torch.set_num_threads(1)  # whoever made the trial puts it back: see ``threads.kept``
        for batch in batches:
            with torch.enable_grad():
                with self._mixed():
                    loss = self.loss(batch) / len(batches)
                if not self._looked:
                    check_first_loss(loss)
                (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            value += float(loss.detach())
            self.evaluations += 1
        if not self._looked:
            check_first_gradients(self.params)
            self._looked = True
        return value

    def _closed_step(self, batches: list[Any]) -> float:
        seen: list[float] = []

        def closure() -> Any:
            seen.append(self._gradients(batches))
            if self.scaler is not None:
                self._unscale(batches, seen[-1])
            return torch.tensor(seen[-1])

        self.optimizer.step(closure)
        return seen[0]

    def _unscale(self, batches: list[Any], loss: float) -> None:
        """The gradients as the loss has them; those that the scale made overflow are taken again with a smaller one.

        An ordinary step is skipped then. Here the optimizer is in the midst of its own, and waits for a gradient.
        What does not become finite at a scale of 1 is handed over as it is, and the next loss ends the trial.
        """
        for _ in range(RETRIES):
            scale = self.scaler.get_scale()
            self.scaler.unscale_(self.optimizer)
            self.scaler.update()
            overflown = self.scaler.get_scale() < scale  # the documented way to ask
            if not overflown or scale <= 1 or not math.isfinite(loss):
                return
            self._gradients(batches)

    def _mixed(self) -> contextlib.AbstractContextManager[Any]:
        if self.autocast is None:
            return contextlib.nullcontext()
        if isinstance(self.autocast, torch.dtype):
            return torch.autocast(self.params[0].device.type, dtype=self.autocast)
        return self.autocast()


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether `step` must be given a closure: it has no default, or the class is torch's L-BFGS."""
    if isinstance(optimizer, torch.optim.LBFGS):
        return True
    parameter = inspect.signature(type(optimizer).step).parameters.get("closure")
    return (
        parameter is not None
        and parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    )


def set_mode(optimizer: Any, name: str) -> None:
    """The published Schedule-Free optimizers have train() and eval(); torch's have neither."""
    if callable(switch := getattr(optimizer, name, None)):
        switch()


@contextlib.contextmanager
def _shipped(optimizer: Any) -> Iterator[None]:
    if hasattr(optimizer, "shipped"):
        with optimizer.shipped():
            yield
        return
    set_mode(optimizer, "eval")
    try:
        yield
    finally:
        set_mode(optimizer, "train")
