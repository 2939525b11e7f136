"""Made-up races for the tests of the lab: exact numbers, no training, no clock."""

import math
from collections.abc import Mapping

from descend import rules
from descend.lab.race.race import Config, Run, look_at
from descend.lab.race.record import Record
from descend.lab.race.space import enter

STEPS = 60


def run(rule: str, lr: float, seed: int, loss: float, diverged_at: int | None = None) -> Run:
    """A training whose validation loss falls from 2.4 to `loss`, or that diverges on the way."""
    looks = look_at(STEPS)
    curve = [2.4 * (loss / 2.4) ** (at / STEPS) for at in looks]
    if diverged_at is not None:
        curve = [*curve[: sum(at < diverged_at for at in looks)], math.nan]
    accuracy = [min(0.999, 0.1 + 0.9 * (1 - x / 2.4)) if math.isfinite(x) else 0.1 for x in curve]
    return Run(rule, lr, seed, curve, accuracy, curve, diverged_at, 0.0123, 0.0765, "llvm")


def record(
    finals: Mapping[str, list[float]], best_at: int = 3, default_loss: float = 0.9, partial: bool = False
) -> Record:
    """A race with these final losses per rule; trial number `best_at` of each grid is the best one.

    An infinite loss is a diverged run. The default learning rate does equally badly for everyone.
    """
    config = Config(tuple(finals), steps=STEPS, seeds=len(next(iter(finals.values()))))
    entries = [enter(rules.all()[name]) for name in finals]
    sample = Record(config, entries, {"python": "3.11.7", "cpu": "a <fast> one", "processes": 2})
    for entry in entries:
        for k, lr in enumerate(entry.grid):
            sample.runs.append(run(entry.rule, lr, config.seed, 0.2 * 1.5 ** abs(k - best_at)))
        for seed, loss in zip(config.final_seeds, finals[entry.rule], strict=True):
            lost = {} if math.isfinite(loss) else {"loss": 5.0, "diverged_at": 30}
            sample.runs.append(run(entry.rule, entry.grid[best_at], seed, **{"loss": loss, **lost}))
            if entry.default_lr != entry.grid[best_at]:
                sample.runs.append(run(entry.rule, entry.default_lr, seed, default_loss + 0.001 * seed))
        sample.compile_s[entry.rule] = 0.25
    sample.finish(12.5, partial)
    return sample


FINALS = {
    "adam": [0.061, 0.058, 0.063, 0.060, 0.059],
    "lion": [0.062, 0.057, 0.064, 0.060, 0.061],
    "rmsprop": [0.091, 0.088, 0.094, 0.090, 0.089],
    "gradient_descent": [0.131, math.inf, 0.135, 0.130, 0.129],
}
