"""Hessian-free, Newton-CG and L-BFGS on the digits autoencoder beside tuned Adam, at equal gradient equivalents.

A gradient equivalent is the work of the loss of all training images and its gradient. Work is the multiplications of
matrices that torch's own ``FlopCounterMode`` sees: forward a third, a Gauss–Newton product four thirds, and whatever
else a method asks for. Elementwise work and the method's own vectors are not in it; the seconds stand beside it.
"""

from __future__ import annotations

import copy
import functools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.flop_counter import FlopCounterMode

from descend.lab.tasks.torch_digits import Batches
from descend.torch import LBFGS, Adam, HessianFree, NewtonCG

from .digits import autoencoder

Trial = dict[str, float]

RATES: tuple[Trial, ...] = tuple({"lr": lr} for lr in (3e-3, 5e-3, 1e-2, 2e-2, 3e-2))
DAMPINGS: tuple[Trial, ...] = tuple({"damping": damping} for damping in (1e-3, 3e-3, 1e-2, 3e-2, 0.1))
TRIALS: dict[str, tuple[Trial, ...]] = {  # method -> what is tried on the first seed; the best is run on all
    "adam, all images": RATES,
    "adam, batches of 128": RATES,
    "hessian_free": DAMPINGS,
    "hessian_free, curvature of an eighth": DAMPINGS,
    "hessian_free, an eighth, preconditioned": DAMPINGS,
    "newton_cg": ({},),
    "l_bfgs": ({},),
}


class Outcome(NamedTuple):
    """How a run ended: mean loss over all training images, steps, gradient equivalents, seconds of the processor."""

    loss: float
    steps: int
    work: float
    seconds: float


class Task:
    """The autoencoder of the table of K-FAC, in float64, on all training images at once."""

    def __init__(self, seed: int) -> None:
        self.batches = Batches(seed, 128)
        self.model, self.x = autoencoder(seed).double(), self.batches.x.double()

    def loss(self, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The mean loss, and the logits of which it is a convex function."""
        x = self.x if x is None else x
        logits: Tensor = self.model(x)
        return binary_cross_entropy_with_logits(logits, x), logits


def _watched(task: Task, step: Callable[[float], Any], work: float, cost: float) -> Outcome:
    began, steps = time.process_time(), 0
    while (steps + 1) * cost <= work:
        step(steps * cost / work)
        steps += 1
    seconds = time.process_time() - began
    with torch.no_grad():
        return Outcome(float(task.loss()[0]), steps, steps * cost, seconds)


@functools.cache
def _cost(method: str) -> float:
    """Of a step, in gradient equivalents."""
    step = stepper(Task(0), method, {"lr": 0.0})
    with FlopCounterMode(display=False) as counter:
        step(0.0)
    return counter.get_total_flops() / one_gradient()


@functools.cache
def one_gradient() -> int:
    """Of the loss of all images, in what FlopCounterMode counts."""
    task = Task(0)
    with FlopCounterMode(display=False) as counter:
        task.loss()[0].backward()
    return counter.get_total_flops()


def stepper(task: Task, method: str, settings: Trial) -> Callable[[float], Any]:
    """A step of a method; it is told the share of the work that is done."""
    params = list(task.model.parameters())
    if method.startswith("hessian_free"):
        exponent = 0.75 if "preconditioned" in method else 0.0
        free = HessianFree(params, tol=0.0, exponent=exponent, damping=settings["damping"])
        if "eighth" not in method:
            return lambda _: free.step(task.loss)

        def step(_: float) -> Any:
            some = task.x[torch.randperm(len(task.x), generator=task.batches.generator)[: len(task.x) // 8]]
            return free.step(task.loss, lambda: task.loss(some))

        return step
    if method == "newton_cg":
        newton = NewtonCG(params, tol=0.0)
        return lambda _: newton.step(lambda: task.loss()[0])
    if method == "l_bfgs":
        opt = LBFGS(params, line_search_fn="strong_wolfe", max_iter=5, tolerance_change=0.0)
        return lambda _: opt.step(lambda: _differentiated(opt, task.loss()[0]))
    return _adam(task, params, method, settings["lr"])


def _adam(task: Task, params: list[nn.Parameter], method: str, lr: float) -> Callable[[float], Any]:
    opt = Adam(params, lr)

    def drawn() -> Iterator[Tensor | None]:
        while True:
            yield from (x.double() for x, _ in task.batches) if "batches" in method else (None,)

    rows = drawn()

    def step(gone: float) -> None:
        opt.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * min(1.0, gone)))
        _differentiated(opt, task.loss(next(rows))[0])
        opt.step()

    return step


def _differentiated(opt: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    opt.zero_grad()
    loss.backward()
    return loss


def train(method: str, settings: Trial, seed: int, work: float) -> Outcome:
    """One run of at most ``work`` gradient equivalents; Adam's rate falls along a cosine of them.

    A step that would go beyond is taken back: what counts are the parameters before it.
    """
    task, whole = Task(seed), work * one_gradient()
    step = stepper(task, method, settings)
    if method.startswith("adam"):  # whose steps all cost the same, and are not slowed down by being watched
        return _watched(task, step, work, _cost(method))
    began, steps, spent = time.process_time(), 0, 0
    before = copy.deepcopy(task.model.state_dict())
    with FlopCounterMode(display=False) as counter:
        while True:
            step(spent / whole)
            if (done := counter.get_total_flops()) > whole:
                break
            before, steps, spent = copy.deepcopy(task.model.state_dict()), steps + 1, done
    seconds = time.process_time() - began
    task.model.load_state_dict(before)
    with torch.no_grad():
        return Outcome(float(task.loss()[0]), steps, spent / one_gradient(), seconds)


def run(work: float, seeds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Every method at the best of its settings on the first seed, on every seed.

    Returns:
        One row per method: medians over seeds, all losses, and in how many seeds it is below each of Adam's two.
    """
    runs: dict[str, list[Outcome]] = {}
    chosen: dict[str, Trial] = {}
    for method, trials in TRIALS.items():
        tried = [train(method, settings, 0, work) for settings in trials]
        losses = [one.loss if math.isfinite(one.loss) else math.inf for one in tried]
        best = losses.index(min(losses))
        chosen[method], runs[method] = trials[best], [tried[best]]
        say(f"{method}: " + ", ".join(f"{_words(s)} {loss:.4f}" for s, loss in zip(trials, losses, strict=True)))
    for seed in range(1, seeds):
        for method, settings in chosen.items():
            runs[method].append(train(method, settings, seed, work))
        say(f"seed {seed}: " + ", ".join(f"{method} {one[-1].loss:.4f}" for method, one in runs.items()))
    adams = [[one.loss for one in outcomes] for method, outcomes in runs.items() if method.startswith("adam")]
    return [
        {
            "method": method,
            "settings": _words(chosen[method]),
            "trials": len(TRIALS[method]),
            **{key: statistics.median(getattr(one, key) for one in outcomes) for key in Outcome._fields},
            "losses": [one.loss for one in outcomes],
            "below": [sum(one.loss < a for one, a in zip(outcomes, other, strict=True)) for other in adams],
        }
        for method, outcomes in runs.items()
    ]


def _words(settings: Trial) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in settings.items()) or "as it is"


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = [
        "| method | best of | loss | of the seeds | below Adam on all · in batches | steps | gradients | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = min(row["losses"]), max(row["losses"])
        counts = " · ".join(map(str, row["below"]))
        below = "" if row["method"].startswith("adam") else f"{counts} of {len(row['losses'])}"
        lines.append(
            f"| {row['method']}, {row['settings']} | {row['trials']} | {row['loss']:.4f} | {low:.4f} to {high:.4f} | "
            f"{below} | {row['steps']:,.0f} | {row['work']:,.0f} | {row['seconds']:.1f} |"
        )
    return "\n".join(lines)
