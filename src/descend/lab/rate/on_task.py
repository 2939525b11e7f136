"""The range test of `find_lr` on a task of the lab, or on what somebody brings."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from ...torch import learning_rate
from ..tasks.problem import Problem
from ..tasks.source import Source
from ..tasks.torch_module import TorchModule

APART = 7919  # a prime: no two readings of any two seeds meet
READ = 1_000_003  # the seeds of races and choices end long before


class _Loss(torch.autograd.Function):
    """A problem's loss of a batch, with the problem's own gradients."""

    @staticmethod
    def forward(ctx: Any, problem: Problem, batch: Any, *params: torch.Tensor) -> torch.Tensor:
        with np.errstate(all="ignore"):  # a rate far too large overflows on its way to infinity
            loss, ctx.grads = problem.loss_and_grads([p.detach().numpy() for p in params], batch)
        return torch.tensor(loss, dtype=params[0].dtype)

    @staticmethod
    def backward(ctx: Any, *above: torch.Tensor) -> tuple[Any, ...]:
        return None, None, *(above[0] * torch.from_numpy(g) for g in ctx.grads)


class Arrays(torch.nn.Module):
    """A problem of arrays as a module: called with a batch, it gives the loss."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__()
        self.problem = problem
        self.arrays = torch.nn.ParameterList(torch.from_numpy(array.copy()) for array in problem.init(seed))

    def forward(self, batch: Any) -> torch.Tensor:
        found = _Loss.apply(self.problem, batch, *self.arrays)
        assert isinstance(found, torch.Tensor)
        return found


class Batches:
    """The batches of a problem, `steps` a reading; each reading in an order of its own, which the seed fixes."""

    def __init__(self, problem: Problem, seed: int, steps: int) -> None:
        self.problem, self.seed, self.steps = problem, seed, steps
        self.readings = 0

    def __iter__(self) -> Iterator[Any]:
        self.readings += 1
        yield from self.problem.batches(READ + self.seed + APART * self.readings, self.steps)


def find_on(
    source: Source,
    rule: str,
    seed: int = 0,
    *,
    steps: int = 300,
    repeats: int = 3,
    seconds: float | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> learning_rate.LRFinding:
    """A learning rate for a rule on a task; the arguments are those of `find_lr`, `seed` that of weights and order.

    Raises:
        TaskError: the task cannot be trained on. ValueError, TypeError, RuntimeError: as `find_lr`.
    """
    problem = source.problem()
    if isinstance(problem, TorchModule):
        problem.init(seed)
        model, loss = problem.module, problem.loss
    else:
        model, loss = Arrays(problem, seed), lambda model, batch: model(batch)
    return learning_rate.find_lr(
        model, rule, loss, Batches(problem, seed, steps), form="model, batch",
        steps=steps, repeats=repeats, seconds=seconds, progress=progress,
    )  # fmt: skip
