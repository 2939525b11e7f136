"""A choice on a task of the lab, its runs being losses in closed form and its clock ours."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from descend.lab.choosing import on_task
from descend.lab.choosing.strategy import Asked, Choosing
from descend.lab.trials.runners.runner import RuleFailed, RuleReady, RunDone
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
    assert found.best.share <= 1 / 8
    assert not found.dropped


def test_time_that_ends_among_runs_of_the_full_length_is_no_doubt(monkeypatch):
    """Where the budget is in seconds it is the clock that ends a choice, however much it has seen."""
    notebook = Notebook(STEPS)
    monkeypatch.setattr(on_task, "Timer", notebook.clock)
    count = iter(range(10**6))
    take = Choosing.take

    def taken(self, outcome):
        take(self, outcome)
        if next(count) == 40:
            notebook.rings()

    monkeypatch.setattr(Choosing, "take", taken)
    found = on_task.choose_on(notebook, Asked(("adamw", "lion"), STEPS, runs=300.0), 60)
    assert found.best.share == 1
    assert found.spent < 100
    assert not any("the time ended it" in doubt for doubt in found.doubts)


class Busy:
    """Two workers on a machine that is busy: runs take four times what their steps usually do, beginning takes long."""

    processes = 2

    def __init__(self, begins: float, slower: float = 4.0) -> None:
        self.now, self.begins, self.slower, self.ended = 0.0, begins, slower, False
        self.card, self.runner, self.ready = SimpleNamespace(name="busy"), self, set()
        self.free = [begins, begins]  # when a worker has time

    def clock(self, seconds, function):
        self.end_at, self.rings = seconds, function
        return SimpleNamespace(start=lambda: None, cancel=lambda: None)

    def find(self, trial):
        return None

    def end(self):
        self.ended = True

    def _at(self, when):
        if when > self.end_at and not self.ended:
            self.now = self.end_at
            self.rings()
        self.now = max(self.now, min(when, self.end_at))

    def events(self, trials):
        self.free = [max(at, self.now) for at in self.free]
        for trial in trials:
            worker = self.free.index(min(self.free))
            if trial.rule not in self.ready:
                self.ready.add(trial.rule)
                self._at(self.free[worker])
                yield RuleReady(trial.rule, 0.3)
            self.free[worker] += self.slower * trial.steps * 1e-3
            self._at(self.free[worker])
            if self.ended:
                yield RuleFailed(trial.rule, "its worker process was killed")
                return
            yield RunDone(replace(run_of(trial), train_step_ms=1.0))


def test_on_a_busy_machine_the_time_is_spent_on_the_rules_that_it_is_enough_for(monkeypatch):
    """All rules at their first rates would take 60 s; 25 are left when the first runs are done."""
    notebook = Busy(16.0)
    monkeypatch.setattr(on_task, "Timer", notebook.clock)
    monkeypatch.setattr(on_task, "perf_counter", lambda: notebook.now)
    six = ("adamw", "nadamw", "nesterov_accumulation", "lion", "muon", "adamw+cautious")
    found = on_task.choose_on(notebook, Asked(six, 64_000, seconds=2 * 45.0), 45.0)
    tried = {rule: {o.trial.lr for o in found.outcomes if o.trial.rule == rule} for rule in six}
    assert [rule for rule, rates in tried.items() if len(rates) >= 5] == ["adamw", "nadamw"]
    assert not any(tried[rule] for rule in six[2:])
    assert found.confidence == "low"
    assert "not tried" in found.dropped["adamw+cautious"]
    assert "the time ended it" not in found.doubts[0]


def test_with_time_enough_every_rule_has_all_its_rates(monkeypatch):
    notebook = Busy(1.0, slower=1.0)
    monkeypatch.setattr(on_task, "Timer", notebook.clock)
    monkeypatch.setattr(on_task, "perf_counter", lambda: notebook.now)
    found = on_task.choose_on(notebook, Asked(("adamw", "lion"), STEPS, seconds=2 * 60.0), 60.0)
    assert {o.rule for o in found.options} == {"adamw", "lion"}
    assert found.best.share == 1.0


def test_where_every_rule_fails_it_is_said_why(monkeypatch):
    notebook = Busy(1.0)
    monkeypatch.setattr(on_task, "Timer", notebook.clock)
    monkeypatch.setattr(on_task, "perf_counter", lambda: notebook.now)
    notebook.events = lambda trials: (RuleFailed(trial.rule, f"{trial.rule} broke") for trial in trials)
    with pytest.raises(RuntimeError, match="every rule has stopped with an error: adamw broke; lion broke"):
        on_task.choose_on(notebook, Asked(("adamw", "lion"), STEPS, seconds=10.0), 5.0, lambda *_: None)
