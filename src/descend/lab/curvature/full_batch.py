"""Hessian-free, Newton-CG and L-BFGS on the whole of the digits autoencoder, beside tuned Adam for equal seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ...torch import LBFGS, Adam, HessianFree, NewtonCG
from ..tasks.torch_digits import Batches
from .digits import autoencoder

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
METHODS = ("hessian_free", "newton_cg", "l_bfgs")


class Task:
    """The autoencoder of the table of K-FAC, in float64, on all training images at once."""

    def __init__(self, seed: int) -> None:
        self.model, self.x = autoencoder(seed).double(), Batches(seed, 128).x.double()

    def loss(self) -> tuple[Tensor, Tensor]:
        """The mean loss, and the logits of which it is a convex function."""
        logits: Tensor = self.model(self.x)
        return binary_cross_entropy_with_logits(logits, self.x), logits


def stepper(model: nn.Module, method: str, loss: Callable[[], tuple[Tensor, Tensor]]) -> Callable[[], Any]:
    """A step of a method of ``METHODS``."""
    if method == "hessian_free":
        free = HessianFree(model.parameters(), tol=0.0)
        return lambda: free.step(loss)
    if method == "newton_cg":
        newton = NewtonCG(model.parameters(), tol=0.0)
        return lambda: newton.step(lambda: loss()[0])
    opt = LBFGS(model.parameters(), line_search_fn="strong_wolfe", max_iter=5, tolerance_change=0.0)

    def closure() -> Tensor:
        opt.zero_grad()
        value = loss()[0]
        value.backward()
        return value

    return lambda: opt.step(closure)


def adam(task: Task, lr: float, seconds: float) -> tuple[float, int]:
    """The loss at the end, and the steps; the rate falls along a cosine of the seconds gone."""
    opt = Adam(task.model.parameters(), lr)
    began, steps = time.process_time(), 0
    while (gone := (time.process_time() - began) / seconds) < 1:
        opt.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * gone))
        opt.zero_grad()
        task.loss()[0].backward()
        opt.step()
        steps += 1
    return float(task.loss()[0].detach()), steps


def run(seconds: float, seed: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Adam at the best of its rates, each of which has the seconds, and every method once.

    Returns:
        One row per method: the loss over all training images, and the steps.
    """
    tried = {lr: adam(Task(seed), lr, seconds) for lr in RATES}
    best = min(tried, key=lambda lr: tried[lr][0])
    say("Adam " + ", ".join(f"lr {lr:g}: {loss:.4f}" for lr, (loss, _) in tried.items()))
    rows = [{"method": f"adam, lr {best:g}", "loss": tried[best][0], "steps": tried[best][1]}]
    for method in METHODS:
        task = Task(seed)
        step = stepper(task.model, method, task.loss)
        began, steps = time.process_time(), 0
        while time.process_time() - began < seconds:
            step()
            steps += 1
        rows.append({"method": method, "loss": float(task.loss()[0].detach()), "steps": steps})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| method | loss | steps |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {row['method']} | {row['loss']:.4f} | {row['steps']:,} |" for row in rows)])
