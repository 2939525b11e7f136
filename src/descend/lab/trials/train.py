"""One training of a task with one rule, one learning rate and one seed; also how long a step took."""

import math
from statistics import median
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np

from ... import rules
from ...core.rule import Rule
from ...optimizer import Optimizer
from ..tasks.problem import NAN, Problem
from .annealing import annealed
from .trial import RAMP, Run, Trial, look_at

EXPLODED = 100.0  # a range test ends where a batch's loss is so many times the first


def rule_of(label: str) -> Rule:
    """The rule of a label: `adamw`, or `adamw#2` for its second stream of seeds."""
    return rules.get(label.partition("#")[0])


def warm_up(rule: str, problem: Problem) -> float:
    """Compile the kernels of a rule on the shapes of the task; the seconds it took."""
    begin = perf_counter()
    params = problem.init(0)
    optimizer = Optimizer(rule_of(rule), params, engine="auto")
    for _ in range(2):
        optimizer.step([np.zeros_like(p) for p in params])
    return perf_counter() - begin


def train(trial: Trial, problem: Problem, **settings: Any) -> Run:
    """Train; stops at the first loss that is not finite. `settings`, schedules too, beside those of the trial.

    A diverged run is an answer, not an error: it comes back with the step at which it happened.
    """
    params = problem.init(trial.seed)
    schedule = annealed(trial.schedule, trial.lr, trial.steps)
    optimizer = Optimizer(
        rule_of(trial.rule), params, engine="auto", lr=schedule, **{**dict(trial.settings), **settings}
    )
    ramp = trial.schedule == RAMP
    looks = set() if ramp else set(look_at(trial.steps))
    val_loss, val_accuracy, train_loss = [], [], []
    since: list[float] = []
    step_ns, train_ns = [], []
    diverged_at = None

    def look() -> bool:
        loss, accuracy = problem.validate(optimizer.shipped_point())
        val_loss.append(_short(loss))
        val_accuracy.append(_short(accuracy))
        train_loss.append(_short(sum(since) / len(since)) if since else NAN)
        since.clear()
        return math.isfinite(loss)

    # A learning rate far too large overflows float32 on its way to infinity; that is what is measured here.
    with np.errstate(all="ignore"):
        look()
        for step, batch in enumerate(problem.batches(trial.seed, trial.steps), 1):
            begin = perf_counter_ns()
            loss, grads = problem.loss_and_grads(optimizer.gradient_point(), batch)
            before_step = perf_counter_ns()
            optimizer.step(grads)
            end = perf_counter_ns()
            step_ns.append(end - before_step)
            train_ns.append(end - begin)
            since.append(loss)
            if step == 1:
                train_loss[0] = _short(loss)
            elif ramp:
                train_loss.append(_short(loss))
            if ramp:
                if not loss < EXPLODED * max(abs(train_loss[0]), 1e-12):
                    break
                continue
            if not math.isfinite(loss) or (step in looks and not look()):
                diverged_at = step
                break
    return Run(
        trial.rule,
        trial.lr,
        trial.seed,
        trial.steps,
        trial.schedule,
        val_loss,
        val_accuracy,
        train_loss,
        diverged_at,
        _short(median(step_ns) / 1e6),
        _short(median(train_ns) / 1e6),
        optimizer.engine,
        trial.settings,
    )


def _short(x: float) -> float:
    """Seven significant digits, all that float32 has: what is shown is computed from exactly what is recorded."""
    return float(f"{x:.7g}")
