"""How best rates and losses of a task's rules move with the length of a run: where `reading` has its constants from."""

import math
from dataclasses import dataclass

from descend.lab.choosing.lattice import nearest, shortened
from descend.lab.choosing.reading import Valley, valley
from descend.lab.notebook import Notebook

from .sweep import FULL_SEEDS, RULES, SHORT, SHORT_SEEDS


@dataclass(frozen=True)
class Row:
    """A rule on a task: where its valley lies and the logarithm of its best loss, at each length, the whole last."""

    rule: str
    places: tuple[float, ...]
    logs: tuple[float, ...]


def rows(notebook: Notebook) -> list[Row]:
    """The rules of which every length was swept."""
    found = []
    for rule in RULES:
        lengths = [(shortened(notebook.card.steps, share), SHORT_SEEDS[:3]) for share in SHORT]
        valleys = [_valley(notebook, rule, *length) for length in [*lengths, (notebook.card.steps, FULL_SEEDS)]]
        if all(v is not None and v.loss > 0 for v in valleys):
            there = [v for v in valleys if v is not None]
            found.append(Row(rule, tuple(v.place for v in there), tuple(math.log(v.loss) for v in there)))
    return found


def _valley(notebook: Notebook, rule: str, steps: int, seeds: list[int]) -> Valley | None:
    losses: dict[int, dict[int, float]] = {}
    for trial, run in notebook.known.items():
        if (trial.rule, trial.steps, trial.schedule) == (rule, steps, "linear") and trial.seed in seeds:
            losses.setdefault(nearest(trial.lr), {})[trial.seed] = run.loss if math.isfinite(run.loss) else math.inf
    whole = {k: [of[seed] for seed in seeds] for k, of in losses.items() if set(seeds) <= set(of)}
    return valley(whole) if whole else None
