"""Differential equations by a net of two tanh layers: tuned Adam beside methods with curvature, at equal seconds."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from descend.search.minimizing import minimize
from descend.torch import Adam, NaturalGradient

from .equations import Equation, Jets, burgers, poisson

EQUATIONS: tuple[Callable[[int], Equation], ...] = (poisson, burgers)
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
WIDTH = 20
SEARCHES = ("l_bfgs", "bfgs", "ssbroyden")


class Outcome(NamedTuple):
    """How a method did: its relative error, the loss, the steps it took, and the seconds it used."""

    error: float
    loss: float
    steps: int
    seconds: float


def adam(equation: Equation, net: Jets, seconds: float, lr: float) -> Outcome:
    """Adam on all points, its rate annealed along a cosine of the seconds gone."""
    opt = Adam(net.parameters(), lr=lr)
    began, steps = time.process_time(), 0
    while (gone := (time.process_time() - began) / seconds) < 1:
        opt.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * gone))
        opt.zero_grad()
        equation.loss(net).backward()
        opt.step()
        steps += 1
    return _outcome(equation, net, steps, began)


def natural_gradient(equation: Equation, net: Jets, seconds: float) -> Outcome:
    opt = NaturalGradient(net)
    began, steps = time.process_time(), 0
    while time.process_time() - began < seconds:
        opt.step(equation.terms)
        steps += 1
    return _outcome(equation, net, steps, began)


def search(equation: Equation, net: Jets, seconds: float, method: str) -> Outcome:
    """A method of ``minimize`` on the vector of all parameters."""
    shapes = {name: p.shape for name, p in net.named_parameters()}

    def of(vector: torch.Tensor) -> Callable[..., Any]:
        parts = vector.split([math.prod(shape) for shape in shapes.values()])
        params = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return lambda x: functional_call(net, params, (x,))

    began = time.process_time()

    def watch(_: Any) -> None:
        if time.process_time() - began > seconds:
            raise StopIteration

    start = parameters_to_vector(net.parameters()).detach()
    found = minimize(lambda v: equation.loss(of(v)), start, method, callback=watch, budget=10**9, tol=0.0)
    vector_to_parameters(found.x, net.parameters())
    return _outcome(equation, net, found.nit, began)


def _outcome(equation: Equation, net: Jets, steps: int, began: float) -> Outcome:
    seconds = time.process_time() - began
    with torch.no_grad():
        return Outcome(equation.error(net), float(equation.loss(net)), steps, seconds)


def run(seconds: float, seeds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Every method on every equation and seed, one seed after the other so that all see the same machine.

    Adam's rate is the one of ``RATES`` with the smallest *error* on the first seed, which no other method is given.

    Args:
        seconds: of processor time for each run, on one thread.

    Returns:
        One row per equation and method: medians over seeds, and ``ratio``, the error over Adam's of the same seed.
    """
    rows = []
    for make in EQUATIONS:
        tried = {lr: adam(*_begin(make, 0), seconds, lr) for lr in RATES}
        best = min(tried, key=lambda lr: tried[lr].error)
        say(f"{make.__name__}: Adam " + ", ".join(f"lr {lr:g}: {one.error:.1e}" for lr, one in tried.items()))
        runs: dict[str, list[Outcome]] = {}
        for seed in range(seeds):
            runs.setdefault(f"adam, lr {best:g}", []).append(
                tried[best] if seed == 0 else adam(*_begin(make, seed), seconds, best)
            )
            for method in SEARCHES:
                runs.setdefault(method, []).append(search(*_begin(make, seed), seconds, method))
            runs.setdefault("natural gradient", []).append(natural_gradient(*_begin(make, seed), seconds))
            say(f"  seed {seed}: " + ", ".join(f"{name} {one[-1].error:.1e}" for name, one in runs.items()))
        baseline = next(iter(runs.values()))
        for name, outcomes in runs.items():
            medians = {key: statistics.median(getattr(one, key) for one in outcomes) for key in Outcome._fields}
            ratios = [one.error / other.error for one, other in zip(outcomes, baseline, strict=True)]
            rows.append({"equation": make.__name__, "method": name, **medians, "ratio": statistics.median(ratios),
                         "worst": max(ratios)})  # fmt: skip
    return rows


def _begin(make: Callable[[int], Equation], seed: int) -> tuple[Equation, Jets]:
    return make(seed), Jets(2, WIDTH, seed)


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| equation | method | error | its share of Adam's | worst seed | loss | steps | seconds |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        lines.append(
            f"| {row['equation']} | {row['method']} | {row['error']:.1e} | {_share(row['ratio'])} | "
            f"{_share(row['worst'])} | {row['loss']:.1e} | {row['steps']:,.0f} | {row['seconds']:.1f} |"
        )
    return "\n".join(lines)


def _share(ratio: float) -> str:
    return f"1/{1 / ratio:.0f}" if ratio < 0.1 else f"{ratio:.2f}"
