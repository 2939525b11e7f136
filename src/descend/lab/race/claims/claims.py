"""The claims, each with its test. A test gets the first of its seeds and returns what it found."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from .... import rules, schedules
from ....optimizer import Optimizer
from ...tasks.perceptron import Perceptron
from ...tasks.problem import Problem
from ..stats import usable_width
from ..table import rate
from .setup import FRESH, HOLDS, NOT_HERE, OPEN, Finding, Side, faced, lower, per_cent, problem_of, ratio, span

WIDE = range(-6, 7)  # half decades around the usual rate
EARLY = 10  # steps that are the start
SADDLE_STEPS = 5_000


@dataclass(frozen=True)
class Claim:
    """A sentence of a lecture, and its test."""

    name: str
    says: str
    test: Callable[[int], Finding]


SGD, ADAM = Side("momentum_accumulation"), Side("adam")


@cache
def fitting(task: str) -> Problem:
    """The task judged by the loss of all it trains on: for claims about how fast that falls."""
    problem = problem_of(task)
    assert isinstance(problem, Perceptron)
    return Perceptron(problem.layers, problem.train, problem.train, problem.batch)


@cache
def fitting_whole(task: str) -> Problem:
    """The same, in full batches."""
    problem = fitting(task)
    assert isinstance(problem, Perceptron)
    return Perceptron(problem.layers, problem.train, problem.train, len(problem.train[1]))


def tuned_sgd(first: int) -> Finding:
    between, numbers, rates = faced(SGD, ADAM, first)
    said = f"momentum at {rate(rates[0])} against adam at {rate(rates[1])}: validation loss {per_cent(between)}"
    answer = HOLDS if between.high < 0.02 else NOT_HERE if between.low > 0 else OPEN
    return Finding(answer, said, "log loss ratio", between, numbers)


def widths(side: Side, first: int) -> list[float]:
    """The width of the good region on each of eight seeds, in decades."""
    swept = Side(side.rule, rates=WIDE).sweep(first, seeds=8)
    found = [usable_width([r.lr for r in swept], [r.losses[k] for r in swept], within=0.25) for k in range(8)]
    return [width.decades if width else 0.0 for width in found]


def wider(first: int) -> Finding:
    mine, theirs = widths(ADAM, first), widths(SGD, first)
    between = span([a - b for a, b in zip(mine, theirs, strict=True)])
    answer = HOLDS if between.low > 0 else NOT_HERE if between.high <= 0 else OPEN
    said = (
        f"within 25 % of its best adam stays over {np.mean(mine):.2f} decades, momentum over {np.mean(theirs):.2f}: "
        f"{between.mean:+.2f} ({between.low:+.2f} to {between.high:+.2f})"
    )
    return Finding(answer, said, "decades, adam minus momentum", between, {"adam": mine, "momentum": theirs})


def higher_rates(first: int) -> Finding:
    best = {}
    for side in (Side("gradient_descent", rates=WIDE), Side("adam", rates=WIDE)):
        swept = side.sweep(first, seeds=8)
        best[side.rule] = [
            math.log10(swept[min(range(len(swept)), key=lambda k, seed=seed: swept[k].losses[seed])].lr)
            for seed in range(8)
        ]
    between = span([a - b for a, b in zip(best["gradient_descent"], best["adam"], strict=True)])
    answer = HOLDS if between.low > 0 else NOT_HERE if between.high <= 0 else OPEN
    said = f"its best rate is {between.mean:.1f} decades higher ({between.low:.1f} to {between.high:.1f}) than adam's"
    return Finding(answer, said, "decades, gradient descent minus adam", between, best)


def adagrad_stalls(first: int) -> Finding:
    sides = [Side(rule, schedule="constant", problem=fitting) for rule in ("rmsprop", "adagrad")]
    rates = [side.tuned(first, steps=60) for side in sides]
    runs = [side.fresh(lr, first) for side, lr in zip(sides, rates, strict=True)]
    # Each at the constant rate that was best for 60 steps: how far does the training loss fall in the next 540?
    ends = [[run.loss for run in some] for some in runs]
    between = span(ratio(*ends))
    said = (
        f"at the constant rates best for 60 steps ({rate(rates[0])}, {rate(rates[1])}), after 600 the training "
        f"loss of rmsprop is {per_cent(between)} against adagrad's"
    )
    return Finding(
        lower(between), said, "log ratio of training losses", between, {"rmsprop": ends[0], "adagrad": ends[1]}
    )


def bias_correction(first: int) -> Finding:
    plain, without = (Side(rule, schedule="constant", problem=fitting) for rule in ("adam", "adam_uncorrected"))
    lr = plain.tuned(first)
    early = [
        [side.run(lr, first + 100 + k, steps=EARLY).val_loss[-1] for k in range(FRESH)] for side in (without, plain)
    ]
    late = [[run.loss for run in side.fresh(lr, first)] for side in (without, plain)]
    start, end = span(ratio(*early)), span(ratio(*late))
    differs = not start.low <= 0 <= start.high
    answer = HOLDS if differs and max(-end.low, end.high) < 0.05 else NOT_HERE if not end.low <= 0 <= end.high else OPEN
    said = f"at {rate(lr)} without it: training loss {per_cent(start)} after {EARLY} steps, {per_cent(end)} after 600"
    return Finding(answer, said, "log loss ratio at the end", end, {"without": late[0], "with": late[1]})


def decay_helps(first: int) -> Finding:
    between, numbers, rates = faced(
        Side("adam", problem=fitting), Side("adam", schedule="constant", problem=fitting), first
    )
    said = f"training loss, linear to zero from {rate(rates[0])} against constant {rate(rates[1])}: {per_cent(between)}"
    return Finding(lower(between), said, "log loss ratio", between, numbers)


def leaves_saddle(rule: str, seed: int, lr: float) -> int:
    """Steps until |y| > 1 on 50 x² − y²/2, from a random place near the ridge."""
    p = [np.random.default_rng([seed, 0]).normal(0, [1.0, 1e-4])]
    optimizer = Optimizer(rules.get(rule), p, lr=lr)
    for step in range(1, SADDLE_STEPS + 1):
        optimizer.step([np.array([100 * p[0][0], -p[0][1]])])
        if abs(p[0][1]) > 1:
            return step
    return SADDLE_STEPS


def saddle(first: int) -> Finding:
    # Gradient descent may take the largest stable rate, 2/100; momentum half of the rate that would be its own.
    steps = {
        "momentum": [float(leaves_saddle("momentum_accumulation", first + k, 0.018)) for k in range(FRESH)],
        "gradient descent": [float(leaves_saddle("gradient_descent", first + k, 0.018)) for k in range(FRESH)],
    }
    between = span(ratio(steps["momentum"], steps["gradient descent"]))
    said = f"momentum leaves in {np.mean(steps['momentum']):.0f} steps, gradient descent in "
    said += f"{np.mean(steps['gradient descent']):.0f}, both at 0.018: {per_cent(between)}"
    return Finding(lower(between), said, "log ratio of steps", between, steps)


def rprop_batches(first: int) -> Finding:
    rates = range(-4, 3)
    between, numbers, _ = faced(
        Side("rprop", schedule="constant", steps=300, rates=rates, problem=fitting),
        Side("rprop", schedule="constant", steps=300, rates=rates, problem=fitting_whole),
        first,
    )
    answer = HOLDS if between.low > 0.02 else NOT_HERE if between.high < 0.02 else OPEN
    said = f"with batches of 64 instead of all images its training loss is {per_cent(between)}"
    return Finding(answer, said, "log loss ratio", between, numbers)


def nesterov(first: int) -> Finding:
    sides = [
        Side(f"{kind}_accumulation", "digits-logistic", steps=100, problem=fitting) for kind in ("nesterov", "momentum")
    ]
    between, numbers, rates = faced(sides[0], sides[1], first)
    said = f"logistic regression, training loss after 100 steps: {per_cent(between)}"
    said += f", at {rate(rates[0])} against momentum at {rate(rates[1])}"
    return Finding(lower(between), said, "log loss ratio", between, numbers)


def momentum_annealed(first: int) -> Finding:
    rising = (("momentum", schedules.linear(600, 0.5, 0.99)),)
    between, numbers, rates = faced(
        Side("momentum_accumulation", settings=rising, rates=range(-3, 4), problem=fitting),
        Side("momentum_accumulation", problem=fitting),
        first,
    )
    said = (
        f"training loss, momentum 0.5 to 0.99 at {rate(rates[0])} against 0.9 at {rate(rates[1])}: {per_cent(between)}"
    )
    return Finding(lower(between), said, "log loss ratio", between, numbers)


CLAIMS = (
    Claim("tuned-sgd", "Tuned SGD with momentum ends as low as Adam", tuned_sgd),
    Claim("wider", "Adam's region of good rates is wider than SGD's", wider),
    Claim("higher-rates", "SGD wants higher rates than Adam", higher_rates),
    Claim("adagrad-stalls", "Adagrad stalls where RMSprop goes on", adagrad_stalls),
    Claim("bias-correction", "Bias correction matters only at the start", bias_correction),
    Claim("decay", "Decaying the rate still helps Adam", decay_helps),
    Claim("saddle", "Momentum passes a saddle where SGD lingers", saddle),
    Claim("rprop-batches", "Rprop fails on mini-batches", rprop_batches),
    Claim("nesterov", "Nesterov beats momentum on a convex problem", nesterov),
    Claim("momentum-rises", "Raising momentum from 0.5 to 0.99 helps", momentum_annealed),
)
