"""A task of the lab trained by an optimizer of `descend.torch`, as a user's loop would: named parameters, steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import nn

from descend.lab.tasks.perceptron import Perceptron
from descend.lab.tasks.torch_module import TorchModule
from descend.lab.trials.trial import look_at, tail

Recipe = Callable[[nn.Module, int], Any]


@dataclass(frozen=True)
class Ran:
    """Validation loss before any step, and as a run of the lab is judged: its looks in the last tenth; or infinite."""

    start: float
    loss: float


class Arrays(nn.Module):
    """The arrays of a task that is written in NumPy as parameters over the same memory, oriented as torch's layers."""

    def __init__(self, arrays: list[np.ndarray], turned: bool) -> None:
        super().__init__()
        self.turned = turned
        for k, array in enumerate(arrays):
            kind = "bias" if array.ndim == 1 and len(arrays) > 1 else "weight"
            self.register_parameter(f"{kind}{k}" if kind == "weight" else f"layer{k}_bias", nn.Parameter(self(array)))

    def forward(self, array: np.ndarray) -> torch.Tensor:
        made = torch.from_numpy(array)
        return made.T if self.turned and array.ndim == 2 else made


def train(problem: Any, recipe: Recipe, seed: int, steps: int) -> Ran:
    """Train; the first loss that is not finite ends it."""
    arrays = problem.init(seed)
    if isinstance(problem, TorchModule):
        problem._put(arrays)
        model: nn.Module = problem.module
        params = problem.params
    else:
        model = Arrays(arrays, isinstance(problem, Perceptron))
        params = list(model.parameters())
    optimizer = recipe(model, steps)
    looks, losses = set(look_at(steps)), []

    def look() -> bool:
        with optimizer.shipped():
            losses.append(problem.validate(arrays)[0])
        return math.isfinite(losses[-1])

    with np.errstate(all="ignore"):
        look()
        for step, batch in enumerate(problem.batches(seed, steps), 1):
            loss, grads = problem.loss_and_grads(arrays, batch)
            if isinstance(model, Arrays):
                for p, g in zip(params, grads, strict=True):
                    p.grad = model(g)
            optimizer.step()
            if not math.isfinite(loss) or (step in looks and not look()):
                return Ran(losses[0], math.inf)
    return Ran(losses[0], fmean(losses[-tail(steps) :]))
