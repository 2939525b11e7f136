"""Made-up races for the tests of the lab: exact numbers, no training, no clock."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict

from descend import rules
from descend.lab.race.protocol.stages import Stages
from descend.lab.race.protocol.tuning import half_decade, rounded
from descend.lab.race.race import Config, Entry
from descend.lab.race.record import Record
from descend.lab.race.space import enter
from descend.lab.tasks.digits import TASK
from descend.lab.trials.trial import RAMP, Run, Trial, look_at

STEPS = 60


def run(trial: Trial, loss: float) -> Run:
    """A training that ends at this loss, or that diverges half-way where it is infinite."""
    if trial.schedule == RAMP:
        return Run(**asdict(trial), **told([2.4], [0.1], [2.4] * 10), diverged_at=None)
    looks = look_at(trial.steps)
    lost = trial.steps // 2 if not math.isfinite(loss) else None
    last = 5.0 if lost else loss
    late = 0.9 * trial.steps
    shares = [min(at / late, 1) for at in looks]
    curve = [2.4 * (last / 2.4) ** s if last > 0 else 2.4 + (last - 2.4) * s for s in shares]
    curve[-1] = last
    if lost:
        curve = [*curve[: sum(at < lost for at in looks)], math.nan]
    accuracy = [min(0.999, 0.1 + 0.9 * (1 - x / 2.4)) if math.isfinite(x) else 0.1 for x in curve]
    return Run(**asdict(trial), **told(curve, accuracy, curve), diverged_at=lost)


def told(loss: list[float], accuracy: list[float], train: list[float]) -> dict:
    fields = {"val_loss": loss, "val_accuracy": accuracy, "train_loss": train}
    return {**fields, "step_ms": 0.0123, "train_step_ms": 0.0765, "engine": "llvm"}


def ran(config: Config, entries: list[Entry], loss_of: Callable[[Trial], float], rounds: int = 99) -> dict[Trial, Run]:
    """The runs of a race whose losses a function makes up; so many rounds of it."""
    runs: dict[Trial, Run] = {}
    for _ in range(rounds):
        todo = Stages(config, entries, runs, {}).next()
        if todo is None:
            break
        runs.update({trial: run(trial, loss_of(trial)) for trial in todo.trials})
    return runs


def best_rate(entry: Entry, off: int = 0) -> float:
    """The rate that a made-up race tunes to: so many half decades above a rule's usual one."""
    return rounded(10 ** ((half_decade(entry.usual_lr) + off) / 2))


def record(
    finals: Mapping[str, list[float]], off: int = 1, default_loss: float = 0.9, partial: bool = False, rounds: int = 99
) -> Record:
    """A race with these final losses per rule; the best rate is `off` half decades above the usual one.

    An infinite loss is a diverged run. The default learning rate does equally badly for everyone.
    """
    config = Config(tuple(finals), steps=STEPS, seeds=len(next(iter(finals.values()))))
    entries = [enter(rules.all()[name]) for name in finals]
    by_rule = {entry.rule: entry for entry in entries}

    def loss_of(trial: Trial) -> float:
        entry = by_rule[trial.rule]
        if trial.seed in config.final_seeds:
            if trial.lr == entry.default_lr:
                return default_loss + 0.001 * config.final_seeds.index(trial.seed)
            return finals[trial.rule][config.final_seeds.index(trial.seed)] * (STEPS / trial.steps) ** 0.5
        return 0.2 * 1.5 ** abs(2 * math.log10(trial.lr / best_rate(entry, off)))

    told = {"python": "3.11.7", "cpu": "a <fast> one", "processes": 2}
    sample = Record(config, entries, told, asdict(TASK))
    sample.runs = list(ran(config, entries, loss_of, rounds).values())
    sample.compile_s = dict.fromkeys(finals, 0.25)
    sample.finish(12.5, partial)
    return sample


FINALS = {
    "adam": [0.061, 0.058, 0.063, 0.060, 0.059],
    "lion": [0.062, 0.057, 0.064, 0.060, 0.061],
    "rmsprop": [0.091, 0.088, 0.094, 0.090, 0.089],
    "gradient_descent": [0.131, math.inf, 0.135, 0.130, 0.129],
}
