"""What has been trained, one JSON line each: nothing is trained twice, and a study that was stopped goes on."""

import json
import math
from dataclasses import asdict
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from descend.lab.race.protocol.tuning import EXTENSIONS, WIDER, Choice, Rate, centre, grid, rounded, side_of
from descend.lab.race.protocol.tuning import choose as lowest
from descend.lab.tasks.source import Source
from descend.lab.trials import train as lab
from descend.lab.trials.trial import RAMP, Trial

from . import fresh
from .recipes import RECIPES
from .training import Ran, train

TUNING = (1000, 1001)  # seeds on which AdamW is tuned
SEEDS = tuple(range(12))  # on which it and the recipes are compared, pairwise: the first so many of them
RAMP_STEPS, USUAL = 200, 1e-3


class Study:
    """The trainings of a study.

    Args:
        path: of the file that keeps them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Any] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                key, value = json.loads(line)
                self.known[key] = value

    def _keep(self, key: str, value: Any) -> Any:
        self.known[key] = value
        with self.path.open("a") as file:
            file.write(json.dumps([key, value]) + "\n")
        return value

    def ran(self, task: str, recipe: str, seed: int, steps: int) -> Ran:
        """What came of a recipe on a task."""
        key = f"{task}/{recipe}/{seed}/{steps}"
        found = self.known.get(key)
        if found is None:
            found = self._keep(key, asdict(train(problem(task), RECIPES[recipe], seed, steps)))
        return Ran(**found)

    def loss(self, task: str, recipe: str, seeds: tuple[int, ...], steps: int) -> float:
        """Mean over seeds; of logarithms where the task's card says so; infinite where one diverged."""
        return middle([self.ran(task, recipe, seed, steps).loss for seed in seeds], card(task).log)

    # -------------------------------------------------------------- tuned AdamW, as a race tunes it

    def _run(self, task: str, lr: float, seed: int, schedule: str, steps: int) -> Any:
        key = f"{task}/tuning {lr:g} {schedule}/{seed}/{steps}"
        if key not in self.known:
            run = lab.train(Trial("adamw", lr, seed, steps, schedule), problem(task))
            self._keep(key, run.train_loss if schedule == RAMP else [run.val_loss[0], run.loss])
        return self.known[key]

    def tuned(self, task: str) -> Choice:
        """AdamW's rate: the lowest of a parabola through five, half a decade apart, around where its range test turns.

        Where the best of them is the first or the last, two more are tried, at most three times, as in a race.
        """
        steps = card(task).steps

        class Ramp:
            train_loss = self._run(task, 1.0, TUNING[0], RAMP, RAMP_STEPS)

        Ramp.steps = RAMP_STEPS  # type: ignore[attr-defined]
        low = centre(Ramp, USUAL) - 2  # type: ignore[arg-type]
        high = low + 4
        for _ in range(EXTENSIONS + 1):
            rates = [
                Rate(lr, tuple(self._run(task, lr, seed, "linear", steps)[1] for seed in TUNING))
                for lr in grid(low, high)
            ]
            side = side_of(rates)
            low, high = low - WIDER * (side < 0), high + WIDER * (side > 0)
        return lowest(rates)

    def adamw(self, task: str, seeds: tuple[int, ...], steps: int) -> float:
        """The mean loss of AdamW at its tuned rate, annealed to so many steps."""
        lr = rounded(self.tuned(task).lr)
        return middle([self._run(task, lr, seed, "linear", steps)[1] for seed in seeds], card(task).log)

    def reference(self, task: str, seeds: tuple[int, ...]) -> tuple[float, float]:
        """Tuned AdamW's mean loss on these seeds, and the mean loss before any step."""
        lr, steps = rounded(self.tuned(task).lr), card(task).steps
        start = fmean(self._run(task, lr, seed, "linear", steps)[0] for seed in seeds)
        return self.adamw(task, seeds, steps), start


def middle(losses: list[float], log: bool) -> float:
    """The mean, or the geometric mean."""
    if not all(map(math.isfinite, losses)):
        return math.inf
    return math.exp(fmean(map(math.log, losses))) if log else fmean(losses)


@cache
def card(task: str) -> Any:
    return fresh.TASKS.get(task) or Source(task).card()


@cache
def problem(task: str) -> Any:
    return fresh.problem(task) if task in fresh.TASKS else Source(task).problem()
