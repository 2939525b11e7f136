"""What a record says: the two tables of a race, line by line, computed from its runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import fmean, median

from ..trials.trial import RAMP, Settings
from .protocol.pairs import Pair
from .protocol.stages import Stages
from .protocol.standing import Standing, middle, standings_of
from .protocol.tuning import Choice, Rate
from .race import Run, look_at
from .record import Record
from .stats import Width, expected_best, steps_for, usable_width

TARGET = 0.10  # above the leader's final loss: the loss that steps and seconds to target are counted to
TRIES = (1, 2, 4)  # tuning trials for which the expected best is told


@dataclass(frozen=True)
class Line:
    """One rule in one table, at the rate (and with the settings) that was chosen, or at its defaults."""

    rule: str
    choice: Choice
    standing: Standing
    runs: list[Run]  # on the fresh seeds, by seed

    @property
    def lr(self) -> float:
        return self.choice.lr

    @property
    def edge(self) -> str:
        """`"low"` or `"high"` where the tuned lr sits at an end of its grid."""
        return self.choice.edge

    @property
    def settings(self) -> Settings:
        """Tuned ones; empty where all are at their defaults."""
        return self.choice.settings

    @property
    def accuracy(self) -> float:
        """Mean final accuracy of the runs that did not diverge, 0..1; 0 if all did, NaN where there is none."""
        return fmean([run.accuracy for run in self.runs if run.diverged_at is None] or [0.0])


@dataclass(frozen=True)
class Results:
    """Both tables by rank, and what belongs to a rule whatever its learning rate."""

    tuned: list[Line]
    default: list[Line]
    unfinished: list[str]
    rates: dict[str, list[Rate]]  # all that tuning tried, ascending
    widths: dict[str, Width | None]
    expected: dict[str, list[float]]  # best loss to be expected after TRIES tuning trials
    leader: str | None
    target: float | None  # a loss
    to_target: dict[str, float]  # steps, median over the runs; infinite where it is missed
    times_steps: dict[str, float]  # how many times the leader's steps a rule needs for its own final loss
    diverged: dict[str, int]
    step_ms: dict[str, float]
    train_step_ms: dict[str, float]
    engine: dict[str, str]
    pairs: dict[tuple[str, str], Pair]  # every two rules, the first against the second

    def pair(self, rule: str, other: str) -> tuple[str, tuple[float, float, float] | None]:
        """What a rule is against another, and its relative difference as the pair was held: of the second's loss."""
        if (found := self.pairs.get((rule, other))) is not None:
            return found.standing, found.relative
        found = self.pairs[(other, rule)]
        return found.turned, found.relative

    def line(self, rule: str) -> Line | None:
        """The rule's line in the tuned table."""
        return next((line for line in self.tuned if line.rule == rule), None)

    def default_line(self, rule: str) -> Line | None:
        return next((line for line in self.default if line.rule == rule), None)

    def seconds_to_target(self, rule: str) -> float:
        return self.to_target[rule] * self.train_step_ms[rule] / 1000


def results(record: Record) -> Results:
    """Both tables of a record; rules that have not been tuned and raced yet are in neither, but in `unfinished`."""
    stages = record.stages()
    standings = stages.standings
    tuned = [
        Line(row.name, stages.tuned[row.name].choice, row, stages.finals(row.name)[: row.n])
        for row in (standings.rows if standings else ())
    ]
    rates = {rule: found.rates for rule, found in stages.tuned.items()}
    runs = {rule: [r for r in record.runs if r.rule == rule and r.schedule != RAMP] for rule in stages.rules}
    ran = {rule: mine for rule, mine in runs.items() if mine}
    leader = standings.leader if standings else None
    best = next((line for line in tuned if line.rule == leader), None)
    target = best.standing.mean + TARGET * abs(best.standing.mean) if best else None
    return Results(
        tuned,
        _default_lines(record, stages) if standings else [],
        [rule for rule in stages.rules if rule not in {line.rule for line in tuned}],
        rates,
        {rule: usable_width([r.lr for r in found], [r.loss for r in found]) for rule, found in rates.items()},
        {rule: [expected_best([r.loss for r in found], k) for k in TRIES] for rule, found in rates.items()},
        leader,
        target,
        {line.rule: steps_to(target, line.runs) for line in tuned} if target is not None else {},
        _times_steps(stages, tuned, best),
        {rule: sum(run.diverged_at is not None for run in mine) for rule, mine in ran.items()},
        {rule: median(run.step_ms for run in mine) for rule, mine in ran.items()},
        {rule: median(run.train_step_ms for run in mine) for rule, mine in ran.items()},
        {rule: mine[0].engine for rule, mine in ran.items()},
        dict(stages.pairs),
    )


def _default_lines(record: Record, stages: Stages) -> list[Line]:
    table = {entry.rule: (entry.default_lr, stages.defaults(entry)) for entry in stages.entries}
    losses = {rule: [run.loss for run in runs] for rule, (_, runs) in table.items() if runs}
    if not losses:
        return []
    config = record.config
    ranked = standings_of(losses, (config.looks[0],), config.delta, config.against, config.log)
    return [Line(row.name, Choice(table[row.name][0]), row, table[row.name][1]) for row in ranked.rows]


def steps_to(target: float, runs: Sequence[Run]) -> float:
    """Median of the first looked-at step at which a run's validation loss is at most `target`; a miss is infinite."""
    firsts = []
    for run in runs:
        hits = (step for step, loss in zip(look_at(run.steps), run.val_loss, strict=False) if loss <= target)
        firsts.append(next(hits, math.inf))
    return median(firsts) if firsts else math.inf


def _times_steps(stages: Stages, tuned: Sequence[Line], best: Line | None) -> dict[str, float]:
    """From the leader's shorter runs, each annealed to its own end: the budget over what the leader needs of it."""
    if best is None:
        return {}
    ladder = {}
    for steps in stages.ladder_steps:
        runs = [stages.runs.get(trial) for trial in stages.ladder_trials(steps)]
        if None in runs or not runs:
            return {}
        ladder[steps] = middle([run.loss for run in runs if run is not None], stages.config.log)
    steps = stages.config.steps
    ladder[steps] = best.standing.mean
    ascending = sorted(ladder)
    found = {}
    for line in tuned:
        needs = steps_for(line.standing.mean, ascending, [ladder[n] for n in ascending])
        found[line.rule] = math.inf if not needs else 1.0 if math.isinf(needs) else steps / needs
    return found


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
