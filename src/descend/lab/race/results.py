"""What a record says: the two tables of a race, line by line, computed from its runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import fmean, median

from .race import Run, choose
from .record import Record
from .stats import Standing, Width, standings, usable_width


@dataclass(frozen=True)
class Line:
    """One rule in one table. `edge` is `"low"` or `"high"` where the tuned lr sits at an end of its grid."""

    rule: str
    lr: float
    edge: str
    standing: Standing
    runs: list[Run]  # on the fresh seeds, by seed

    @property
    def accuracy(self) -> float:
        """Mean final validation accuracy of the runs that did not diverge, 0..1; 0 if all did."""
        return fmean([run.accuracy for run in self.runs if run.diverged_at is None] or [0.0])


@dataclass(frozen=True)
class Results:
    """Both tables by rank, and what belongs to a rule whatever its learning rate."""

    tuned: list[Line]
    default: list[Line]
    unfinished: list[str]
    widths: dict[str, Width | None]
    diverged: dict[str, int]
    step_ms: dict[str, float]
    train_step_ms: dict[str, float]
    engine: dict[str, str]

    def line(self, rule: str) -> Line | None:
        """The rule's line in the tuned table."""
        return next((line for line in self.tuned if line.rule == rule), None)

    def default_line(self, rule: str) -> Line | None:
        return next((line for line in self.default if line.rule == rule), None)


def results(record: Record) -> Results:
    """Both tables of a record; rules without all their runs are in neither, but in `unfinished`."""
    tuned: dict[str, tuple[float, str, list[Run]]] = {}
    default: dict[str, tuple[float, str, list[Run]]] = {}
    widths = {}
    for entry in record.entries:
        trials = record.tuning(entry.rule)
        if not trials:
            continue
        choice = choose(trials)
        widths[entry.rule] = usable_width([run.lr for run in trials], [run.loss for run in trials])
        if runs := record.final(entry.rule, choice.lr):
            tuned[entry.rule] = (choice.lr, choice.edge, runs)
        if runs := record.final(entry.rule, entry.default_lr):
            default[entry.rule] = (entry.default_lr, "", runs)
    per_rule = {e.rule: [run for run in record.runs if run.rule == e.rule] for e in record.entries}
    ran = {rule: runs for rule, runs in per_rule.items() if runs}
    return Results(
        _lines(tuned),
        _lines(default),
        [
            entry.rule
            for entry in record.entries
            if entry.rule not in record.failed and (entry.rule not in tuned or entry.rule not in default)
        ],
        widths,
        {rule: sum(run.diverged_at is not None for run in runs) for rule, runs in ran.items()},
        {rule: median(run.step_ms for run in runs) for rule, runs in ran.items()},
        {rule: median(run.train_step_ms for run in runs) for rule, runs in ran.items()},
        {rule: runs[0].engine for rule, runs in ran.items()},
    )


def _lines(table: dict[str, tuple[float, str, list[Run]]]) -> list[Line]:
    ranked = standings({rule: [run.loss for run in runs] for rule, (_, _, runs) in table.items()})
    return [Line(s.name, table[s.name][0], table[s.name][1], s, table[s.name][2]) for s in ranked]


@dataclass(frozen=True)
class Curve:
    """Mean, lowest and highest validation loss of some runs at each look; ends at the first divergence."""

    at: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]
    cut: bool


def mean_curve(looks: Sequence[int], runs: Sequence[Run]) -> Curve:
    """The curve of a line of a table."""
    # A run cut short by a divergence cuts the mean short: a mean of the survivors would jump.
    columns = list(zip(*(takewhile(math.isfinite, run.val_loss) for run in runs), strict=False))
    return Curve(
        list(looks[: len(columns)]),
        [fmean(column) for column in columns],
        [min(column) for column in columns],
        [max(column) for column in columns],
        cut=any(run.diverged_at is not None for run in runs),
    )
