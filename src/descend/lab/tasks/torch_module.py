"""A torch module as a problem: its parameters are NumPy arrays that torch computes on, so every rule fits."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from .perceptron import shuffled
from .problem import NAN, Array
from .task import TaskError


class TorchModule:
    """A model and its loss.

    Args:
        build: makes the model; torch's generator has the seed of the run.
        loss: of the model and a batch; a scalar tensor.
        batches: (seed, steps) -> what each step is trained on.
        validation: batches that are never trained on, looked at in evaluation mode.
        right: the share (0..1) of a batch that the model gets right, where that means something.
    """

    def __init__(
        self,
        build: Callable[[], torch.nn.Module],
        loss: Callable[[torch.nn.Module, Any], torch.Tensor],
        batches: Callable[[int, int], Iterable[Any]],
        validation: Iterable[Any],
        right: Callable[[torch.nn.Module, Any], float] | None = None,
    ) -> None:
        torch.set_num_threads(1)
        self.build, self.loss, self.batches, self.right = build, loss, batches, right
        self.validation = list(validation)
        self.module: torch.nn.Module = torch.nn.Identity()
        self.params: list[torch.nn.Parameter] = []

    def init(self, seed: int) -> list[Array]:
        torch.manual_seed(seed)  # this process is the lab's own; dropout draws from it, too
        self.module = self.build()
        if not isinstance(self.module, torch.nn.Module):
            raise TaskError(f"the model must be a torch.nn.Module; it is {_kind(self.module)}")
        params = [p for p in self.module.parameters() if p.requires_grad]
        if any(a is b for a, b in zip(params, self.params, strict=False)):
            raise TaskError("the model has the same parameters each time it is built: no run would begin anew")
        shapes, before = ([tuple(p.shape) for p in of] for of in (params, self.params or params))
        if shapes != before:
            raise TaskError(
                f"the model is another each time it is built: its parameters were {before}, now {shapes}"[:300]
            )
        self.params = params
        return [np.ascontiguousarray(p.detach().numpy()).copy() for p in self.params]

    def loss_and_grads(self, params: list[Array], batch: Any) -> tuple[float, list[Array]]:
        self._put(params)
        self.module.train()
        self.module.zero_grad(set_to_none=True)
        loss = self.loss(self.module, batch)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise TaskError(f"the loss must be a tensor of one number; it is {_kind(loss)}")
        if not loss.requires_grad:
            raise TaskError("the loss does not depend on the model's parameters: it has no gradient")
        loss.backward()
        grads = [np.zeros(tuple(p.shape), np.float32) if p.grad is None else p.grad.numpy() for p in self.params]
        return loss.item(), [np.ascontiguousarray(g) for g in grads]

    def validate(self, params: list[Array]) -> tuple[float, float]:
        self._put(params)
        self.module.eval()
        with torch.no_grad():
            losses = [self.loss(self.module, batch).item() for batch in self.validation]
            right = [self.right(self.module, batch) for batch in self.validation] if self.right else [NAN]
        return float(np.mean(losses)), float(np.mean(right))

    def _put(self, params: list[Array]) -> None:
        """Let the module compute on these arrays; nothing is copied."""
        for p, array in zip(self.params, params, strict=True):
            p.data = torch.from_numpy(array)


def classifier(
    build: Callable[[], torch.nn.Module], train: tuple[Any, Any], held: tuple[Any, Any], batch: int
) -> TorchModule:
    """A model that tells classes apart: tensors (inputs, classes) for training and for validation."""

    def loss(model: torch.nn.Module, some: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return cross_entropy(model(some[0]), some[1])

    def right(model: torch.nn.Module, some: tuple[torch.Tensor, torch.Tensor]) -> float:
        return (model(some[0]).argmax(dim=1) == some[1]).float().mean().item()

    def batches(seed: int, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for rows in shuffled(seed, steps, batch, len(train[1])):
            yield train[0][rows], train[1][rows]

    return TorchModule(build, loss, batches, [held], right)


def _kind(value: Any) -> str:
    """What something is, for a message."""
    return (
        f"a tensor of shape {tuple(value.shape)}"
        if isinstance(value, torch.Tensor)
        else f"of type {type(value).__name__}"
    )
