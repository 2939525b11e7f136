"""One training on the digits with one rule, one learning rate and one seed; also how long a step took."""

import math
from statistics import median
from time import perf_counter, perf_counter_ns

import numpy as np

from ... import rules
from ...optimizer import Optimizer
from ..tasks import digits
from .race import Config, Run, look_at


def warm_up(rule: str) -> float:
    """Compile the kernels of a rule on the shapes of the task; the seconds it took."""
    begin = perf_counter()
    params = digits.init(0)
    optimizer = Optimizer(rules.get(rule), params, engine="auto")
    for _ in range(2):
        optimizer.step([np.zeros_like(p) for p in params])
    return perf_counter() - begin


def train(rule: str, lr: float, seed: int, config: Config) -> Run:
    """Train for `config.steps` steps at a constant `lr`; stops at the first loss that is not finite.

    A diverged run is an answer, not an error: it comes back with the step at which it happened.
    """
    data = digits.load()
    params = digits.init(seed)
    optimizer = Optimizer(rules.get(rule), params, engine="auto", lr=lr)
    looks = set(look_at(config.steps))
    val_loss, val_accuracy, train_loss = [], [], []
    since: list[float] = []
    step_ns, train_ns = [], []
    diverged_at = None

    def look() -> bool:
        loss, accuracy = digits.evaluate(params, data.val_x, data.val_y)
        val_loss.append(_short(loss))
        val_accuracy.append(_short(accuracy))
        train_loss.append(_short(sum(since) / len(since)) if since else math.nan)
        since.clear()
        return math.isfinite(loss)

    # A learning rate far too large overflows float32 on its way to infinity; that is what is measured here.
    with np.errstate(all="ignore"):
        look()
        for step, rows in enumerate(digits.batches(seed, config.steps, config.batch, len(data.train_y)), 1):
            begin = perf_counter_ns()
            loss, grads = digits.loss_and_grads(optimizer.gradient_point(), data.train_x[rows], data.train_y[rows])
            before_step = perf_counter_ns()
            optimizer.step(grads)
            end = perf_counter_ns()
            step_ns.append(end - before_step)
            train_ns.append(end - begin)
            since.append(loss)
            if step == 1:
                train_loss[0] = _short(loss)
            if not math.isfinite(loss) or (step in looks and not look()):
                diverged_at = step
                break
    return Run(
        rule,
        lr,
        seed,
        val_loss,
        val_accuracy,
        train_loss,
        diverged_at,
        _short(median(step_ns) / 1e6),
        _short(median(train_ns) / 1e6),
        optimizer.engine,
    )


def _short(x: float) -> float:
    """Six significant digits: what is shown is computed from exactly what is recorded."""
    return float(f"{x:.6g}")
