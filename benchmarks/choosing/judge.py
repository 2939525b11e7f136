"""`choose` beside the exhaustive sweep: what its answer comes to at full length, what it cost, and whether it knew."""

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from descend.lab.choosing.answer import Choice, answer
from descend.lab.choosing.lattice import nearest, rate
from descend.lab.choosing.on_task import outcome
from descend.lab.choosing.strategy import Asked, Choosing
from descend.lab.notebook import Notebook
from descend.lab.trials.trial import Run, Trial

from .sweep import FULL_SEEDS, RULES

AGREE = 1.5  # two rates that differ by no more are the same


@dataclass(frozen=True)
class Judged:
    """One answer, its rate as it was said; `loss` and `gap` are of the nearest rate of the sweep.

    `gap`: the loss above the sweep's best, as a part of what the best has gained since the start.
    """

    task: str
    runs: float
    seed: int
    rule: str
    lr: float
    schedule: str
    loss: float
    best: float
    gap: float
    covered: bool  # whether the loss lies in the interval that was stated
    spent: float
    confidence: str


def best_of_sweep(notebook: Notebook) -> tuple[float, float, Trial]:
    """The lowest mean loss at full length, the loss at the start, and a trial that has it.

    Raises:
        ValueError: the task has not been swept.
    """
    full: dict[tuple[str, float, str], list[Run]] = {}
    for trial, run in notebook.known.items():
        if trial.steps == notebook.card.steps and trial.seed in FULL_SEEDS:
            full.setdefault((trial.rule, trial.lr, trial.schedule), []).append(run)
    means = {key: fmean(r.loss for r in runs) for key, runs in full.items() if len(runs) == len(FULL_SEEDS)}
    if not means:
        raise ValueError(f"{notebook.card.name} has not been swept")
    rule, lr, schedule = min(means, key=lambda key: means[key])
    start = fmean(run.val_loss[0] for run in full[rule, lr, schedule])
    return means[rule, lr, schedule], start, Trial(rule, lr, FULL_SEEDS[0], notebook.card.steps, schedule)


def choice(notebook: Notebook, runs: float, seed: int) -> Choice:
    """What `choose` says for a budget in trainings, in equal steps; its seeds are never those of the sweep's ends."""
    choosing = Choosing(Asked(RULES, notebook.card.steps, runs=runs, seed=seed + 1, by_seconds=False))
    while todo := choosing.missing():
        for trial in todo:
            choosing.take(outcome(notebook.run(trial)))
    return answer(choosing, notebook.card.name, 0.0)


def mean_loss(notebook: Notebook, rule: str, lr: float, schedule: str, seeds: list[int] = FULL_SEEDS) -> float:
    """At full length, over seeds of the sweep."""
    ends = [notebook.run(Trial(rule, lr, seed, notebook.card.steps, schedule)).loss for seed in seeds]
    return fmean(ends) if all(map(math.isfinite, ends)) else math.inf


def behind(notebook: Notebook, rule: str, lr: float, schedule: str, seeds: list[int] = FULL_SEEDS) -> float:
    """The gap of an answer: its loss above that of the sweep's best, as a part of what the best has gained."""
    best, start, at = best_of_sweep(notebook)
    there = mean_loss(notebook, at.rule, at.lr, at.schedule, seeds)
    return (mean_loss(notebook, rule, lr, schedule, seeds) - there) / (start - best)


def judged(notebook: Notebook, runs: float, seed: int) -> Judged:
    """An answer, trained at full length on the seeds of the sweep, at the nearest rate of the lattice."""
    found = choice(notebook, runs, seed)
    lr = rate(nearest(found.lr))
    loss, gap = (of(notebook, found.rule, lr, found.schedule) for of in (mean_loss, behind))
    low, high = found.interval
    return Judged(
        notebook.card.name, runs, seed, found.rule, found.lr, found.schedule, loss, best_of_sweep(notebook)[0], gap,
        low <= loss <= high, found.spent, found.confidence,
    )  # fmt: skip


def summary(of: list[Judged]) -> str:
    """One budget: how many answers are near the best, how many intervals held, how often choices agree."""
    pairs = [(a, b) for a, b in combinations(of, 2) if a.task == b.task]
    same = [max(a.lr, b.lr) / min(a.lr, b.lr) for a, b in pairs if a.rule == b.rule]
    near, held = sum(j.gap <= 0.02 for j in of), sum(j.covered for j in of)
    close = sum(x <= AGREE for x in same)
    return (
        f"{of[0].runs:g} trainings: gap <= 2 % {near} of {len(of)}, interval holds {held} of {len(of)}; of "
        f"{len(pairs)} pairs {len(same)} have the same rule, of these {close} rates within {AGREE:g}"
    )
