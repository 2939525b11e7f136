"""A choice on a task of the lab, its runs being losses in closed form and its clock ours."""

import math
from types import SimpleNamespace

from descend.lab.choosing import on_task
from descend.lab.choosing.strategy import Asked
from descend.lab.trials.runners.runner import RuleFailed, RunDone
from descend.lab.trials.trial import Run, Trial

STEPS = 1600


def run_of(trial: Trial) -> Run:
    losses = [2.3, 0.1 + 4 / trial.steps + 0.2 * math.log10(trial.lr / 1e-2) ** 2]
    return Run(
        trial.rule, trial.lr, trial.seed, trial.steps, trial.schedule, losses, [], [], None, 0.1, 1.0, "none"
    )  # fmt: skip


class Notebook:
    """Short runs are done at once; longer ones take until they are ended, which they are by the clock alone."""

    def __init__(self, longest: int) -> None:
        self.longest, self.ended, self.runner = longest, False, self
        self.card = SimpleNamespace(name="endless")

    def clock(self, seconds, function):
        assert seconds == 60
        self.rings = function
        return SimpleNamespace(start=lambda: None, cancel=lambda: None)

    def find(self, trial):
        return None

    def end(self):
        self.ended = True

    def events(self, trials):
        for trial in trials:
            if trial.steps <= self.longest:
                yield RunDone(run_of(trial))
            else:
                self.rings()
                assert self.ended
                yield RuleFailed(trial.rule, "its worker process was killed")


def test_the_time_ends_a_run_that_is_on_its_way_and_no_rule_has_failed_by_that(monkeypatch):
    notebook = Notebook(STEPS // 8)
    monkeypatch.setattr(on_task, "Timer", notebook.clock)
    found = on_task.choose_on(notebook, Asked(("adamw", "lion"), STEPS, runs=30.0), 60)
    assert found.doubts[0].startswith("the time ended it")
    assert {o.rule for o in found.options} == {"adamw", "lion"}
    assert found.best.share == 1 / 8
    assert not found.dropped
