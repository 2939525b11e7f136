"""K-FAC on an autoencoder of the digits beside tuned Adam and SGD, after equal steps and after equal seconds."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from descend.lab.tasks.torch_digits import Batches
from descend.torch import KFAC, SGD, Adam

WIDTHS = (64, 64, 32, 8, 32, 64, 64)
BATCH = 128
STEPS = 600
METHODS: dict[str, tuple[float, ...]] = {  # method -> its rates
    "adam": (1e-3, 3e-3, 5e-3, 1e-2, 2e-2, 3e-2),
    "sgd, Nesterov 0.9": (0.1, 0.3, 0.5, 1.0, 2.0, 3.0),
    "kfac, empirical": (0.1, 0.3, 1.0, 3.0),
    "kfac, drawn": (0.1, 0.3, 1.0, 3.0),
    "kfac, quadratic": (0.1, 0.3, 1.0, 3.0),
}
KRONECKER = {"damping": 1e-2, "factor_update_steps": 2, "inv_update_steps": 10}


class Outcome(NamedTuple):
    """How a run ended: the mean loss over all training images, the steps taken and the seconds used."""

    loss: float
    steps: int
    seconds: float


def autoencoder(seed: int) -> nn.Sequential:
    """64-64-32-8-32-64-64 with tanh; what comes out are the logits of the pixels."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(WIDTHS):
        layer = nn.Linear(a, b)
        nn.init.xavier_normal_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def train(method: str, lr: float, seed: int, seconds: float | None = None) -> Outcome:
    """One run of ``STEPS`` steps, or of some seconds of processor time; the rate falls along a cosine of the way."""
    model, batches = autoencoder(seed), Batches(seed, BATCH)
    kronecker = method.startswith("kfac")
    opt: Any = (
        KFAC(model, lr, quadratic="quadratic" in method, **KRONECKER) if kronecker
        else Adam(model.parameters(), lr) if method == "adam"
        else SGD(model.parameters(), lr, momentum=0.9, nesterov=True)
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    began, steps = time.process_time(), 0
    rows: Iterator[Any] = iter(())
    while (gone := steps / STEPS if seconds is None else (time.process_time() - began) / seconds) < 1:
        if (batch := next(rows, None)) is None:  # an epoch is over
            rows = iter(batches)
            continue
        x, _ = batch
        opt.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * gone))
        out = model(x)
        if method in ("kfac, drawn", "kfac, quadratic"):
            opt.draw(out, "bce", generator)
        opt.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(out, x).backward()
        opt.step()
        steps += 1
    gone = time.process_time() - began
    with torch.no_grad():
        loss = nn.functional.binary_cross_entropy_with_logits(model(batches.x), batches.x)
    return Outcome(float(loss), steps, gone)


def run(seeds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Every method on every seed, at the best of its rates on the first: for equal steps, and for the seconds that
    K-FAC with the empirical Fisher took on that seed, with the rate tuned again for the longer run.

    Returns:
        One row per method: medians over seeds.
    """
    tuned = {method: _best(method, rates, None) for method, rates in METHODS.items()}
    by_steps: dict[str, list[Outcome]] = {method: [] for method in METHODS}
    for seed in range(seeds):
        for method, lr in tuned.items():
            by_steps[method].append(train(method, lr, seed))
    limit = statistics.median(one.seconds for one in by_steps["kfac, empirical"])
    say(f"tuned for {STEPS} steps: {tuned}; equal seconds: {limit:.1f}")
    longer = {method: _best(method, rates, limit) for method, rates in METHODS.items()}
    say(f"tuned for the seconds: {longer}")
    by_seconds: dict[str, list[Outcome]] = {method: [] for method in METHODS}
    for seed in range(seeds):
        for method, lr in longer.items():
            by_seconds[method].append(train(method, lr, seed, limit))
    return [
        {
            "method": method, "lr": tuned[method], "lr_seconds": longer[method],
            "loss": statistics.median(one.loss for one in by_steps[method]),
            "ms": 1e3 * statistics.median(one.seconds / one.steps for one in by_steps[method]),
            "loss_seconds": statistics.median(one.loss for one in by_seconds[method]),
            "steps_seconds": statistics.median(one.steps for one in by_seconds[method]),
        }
        for method in METHODS
    ]  # fmt: skip


def _best(method: str, rates: tuple[float, ...], seconds: float | None) -> float:
    """The rate with the smallest loss at the end; one whose run fails has none."""
    ends = {lr: train(method, lr, 0, seconds).loss for lr in rates}
    return min(ends, key=lambda lr: ends[lr] if math.isfinite(ends[lr]) else math.inf)


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = [f"| method | lr | loss after {STEPS} steps | ms a step | lr | loss after equal seconds | steps |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        lines.append(
            f"| {row['method']} | {row['lr']:g} | {row['loss']:.4f} | {row['ms']:.2f} | {row['lr_seconds']:g} | "
            f"{row['loss_seconds']:.4f} | {row['steps_seconds']:,.0f} |"
        )
    return "\n".join(lines)
