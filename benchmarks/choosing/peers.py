"""Other searches at the cost of `choose`: random, TPE, ASHA and Hyperband, as Optuna has them, on the sweep's table.

Their space is that of `choose`: 6 rules x 2 schedules x rates, the same for every task, five decades around the rate
at which a rule is expected to be best; the best of every task lies in them. They get every advantage that costs
nothing. A rate that the sweep did not reach counts as the nearest that it did, a decade from the scan's best. What
they have paid for once is free when they ask again, and a run that diverges costs the steps until it does. A search
that has settled begins anew with what it has seen, a halving at a later rung. The last run that they begin is theirs
to end. The answer is the best of their complete runs. Samplers and pruners are as their authors or Optuna's
documentation recommend. In each repetition a search sees one seed of the sweep, and all answers, that of `choose`
too, are judged by eight seeds that none has seen: the sweep's three are few, and a cell that is lucky on all of them
would decide.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import Any

from descend.lab.choosing.answer import Choice
from descend.lab.choosing.candidates import prior
from descend.lab.choosing.lattice import nearest, rate, shortened
from descend.lab.notebook import Notebook
from descend.lab.trials.trial import LOOKS, Run, Trial, look_at

from .judge import behind, choice
from .sweep import FULL_SEEDS, RULES, SCHEDULES, Sweep

AROUND = 10  # places of the lattice on each side of the expected rate
CENTRED = 4  # on each side of the best of the sweep's scan: what only who knows the answer can ask for
ANNEALED = {1: 1 / 16, 4: 1 / 4, 16: 1.0}  # rung -> share of the steps, of a halving that anneals each of its runs
IDLE = 30  # trials in a row that cost nothing: it has settled, and begins anew with what it has seen
STAGES = 6
JUDGES = list(range(200, 208))  # seeds
STARTUP = 5  # random trials before TPE; its default of 10 would leave nothing of the smaller budget


@dataclass(frozen=True)
class Cell:
    """A point of the space."""

    rule: str
    lr: float
    schedule: str


def searches(seed: int, stage: int = 0) -> dict[str, tuple[Any, Any, bool]]:
    """Name -> Optuna's sampler, its pruner, and whether rungs are annealed runs of their own.

    Args:
        stage: how often it has settled before; halving then begins at a later rung.
    """
    import optuna
    from optuna import pruners, samplers

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def tpe() -> Any:
        return samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=STARTUP)

    def halving() -> Any:
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4, min_early_stopping_rate=stage)

    return {
        "random": (samplers.RandomSampler(seed=seed), pruners.NopPruner(), False),
        "TPE": (tpe(), pruners.NopPruner(), False),
        "ASHA": (
            samplers.RandomSampler(seed=seed),
            pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4),
            False,
        ),
        "Hyperband": (tpe(), pruners.HyperbandPruner(1, LOOKS, reduction_factor=3), False),
        "ASHA, annealed": (
            samplers.RandomSampler(seed=seed),
            pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4),
            True,
        ),
    }


def rates(notebook: Notebook, centred: bool) -> dict[tuple[str, str], list[float]]:
    """(rule, schedule) -> the rates that are searched, ascending; as many for each."""
    middles = Sweep(notebook.card.steps).middles(notebook.known)
    found = {}
    for rule, schedule in product(RULES, SCHEDULES):
        last = (rule, schedule, notebook.card.steps, FULL_SEEDS[-1])
        swept = [nearest(t.lr) for t in notebook.known if (t.rule, t.schedule, t.steps, t.seed) == last]
        middle, around = (middles[rule], CENTRED) if centred else (nearest(prior(rule)), AROUND)
        places = range(middle - around, middle + around + 1)
        found[rule, schedule] = [rate(min(max(k, min(swept)), max(swept))) for k in places]
    return found


def answers(notebook: Notebook, name: str, budgets: list[float], repetition: int, centred: bool) -> list[Cell]:
    """What a search says when it has spent each of the ascending budgets, in trainings of the full length."""
    import optuna

    def begun(stage: int) -> Any:
        sampler, pruner, _ = searches(repetition + 1000 * stage, stage)[name]
        # Hyperband draws brackets by the study's name, which is random if it is not given
        return optuna.create_study(sampler=sampler, pruner=pruner, study_name=f"{name} {repetition} {stage}")

    look = _rungs if searches(0)[name][2] else _curve
    space = rates(notebook, centred)
    seed = seen(repetition)
    spent, idle, found, left = 0.0, 0, [], list(budgets)
    best: tuple[float, Cell] | None = None
    paid: dict[Cell, int] = {}
    study, stage = begun(0), 0
    while left and idle < IDLE * STAGES:
        if idle and idle % IDLE == 0:
            stage += 1
            study = begun(stage)
        before = spent
        trial = study.ask()
        rule = trial.suggest_categorical("rule", RULES)
        schedule = trial.suggest_categorical("schedule", SCHEDULES)
        at = space[rule, schedule]
        cell = Cell(rule, at[trial.suggest_int("place", 0, len(at) - 1)], schedule)
        for step, loss, cost, last in look(notebook, cell, seed):
            if step > paid.get(cell, 0):
                spent, paid[cell] = spent + cost, step
            if last:
                study.tell(trial, loss)
                best = min(best or (math.inf, cell), (loss, cell), key=lambda of: of[0])
                break
            trial.report(loss, step)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        idle = idle + 1 if spent == before else 0
        while left and spent >= left[0] - 1e-9 and best is not None:
            left.pop(0)
            found.append(best[1])
    return found + [best[1] for _ in left if best is not None]


def _curve(notebook: Notebook, cell: Cell, seed: int) -> Iterator[tuple[int, float, float, bool]]:
    """(look, loss, cost since the look before, whether it is over) of a full-length run that may be cut."""
    steps = notebook.card.steps
    run = notebook.run(Trial(cell.rule, cell.lr, seed, steps, cell.schedule))
    at = dict(zip(look_at(steps), run.val_loss, strict=False))
    for k in range(1, LOOKS + 1):
        step = round(k * steps / LOOKS)
        if run.diverged_at is not None and run.diverged_at <= step:
            yield k, math.inf, max(run.diverged_at / steps - (k - 1) / LOOKS, 0.0), True
            return
        over = k == LOOKS
        yield k, run.loss if over else at[step], 1 / LOOKS, over


def _rungs(notebook: Notebook, cell: Cell, seed: int) -> Iterator[tuple[int, float, float, bool]]:
    """The same of runs that are annealed themselves, each begun anew."""
    for rung, share in ANNEALED.items():
        run: Run = notebook.run(Trial(cell.rule, cell.lr, seed, shortened(notebook.card.steps, share), cell.schedule))
        part = 1.0 if run.diverged_at is None else run.diverged_at / run.steps
        yield rung, run.loss, part * share, share == 1 or run.diverged_at is not None


def mean_ranks(scores: dict[str, list[float]]) -> dict[str, float]:
    """The mean place of each name over paired scores, smaller being better; equals share their places."""
    names = list(scores)
    places: dict[str, list[float]] = {name: [] for name in names}
    for row in zip(*scores.values(), strict=True):
        for name, mine in zip(names, row, strict=True):
            places[name].append(1 + sum(other < mine for other in row) + (sum(other == mine for other in row) - 1) / 2)
    return {name: fmean(of) for name, of in places.items()}


def seen(repetition: int) -> int:
    """The seed of the sweep that a search is shown."""
    return FULL_SEEDS[repetition % len(FULL_SEEDS)]


def compared(
    notebook: Notebook, budgets: list[float], repetitions: int, names: list[str], centred: bool
) -> dict[tuple[str, float], list[float]]:
    """(search, budget) -> the gap of its answer in each repetition."""
    found: dict[tuple[str, float], list[float]] = {}
    for repetition in range(repetitions):
        cells = {("choose", b): _chosen(choice(notebook, b, repetition)) for b in budgets}
        for name in names:
            cells |= {
                (name, b): cell
                for b, cell in zip(budgets, answers(notebook, name, budgets, repetition, centred), strict=True)
            }
        for key, cell in cells.items():
            found.setdefault(key, []).append(behind(notebook, cell.rule, cell.lr, cell.schedule, JUDGES))
    return found


def _chosen(found: Choice) -> Cell:
    return Cell(found.rule, rate(nearest(found.lr)), found.schedule)
