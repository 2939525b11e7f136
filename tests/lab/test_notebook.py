"""Single trials through the store: trained once, found again, and never mixed with those of another task."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from descend.lab import notebook as notebooks
from descend.lab.notebook import Given, Notebook, TrialError
from descend.lab.runs import runs as command
from descend.lab.store import Store
from descend.lab.tasks.source import Source
from descend.lab.trials.runners.runner import RuleReady, RunDone
from descend.lab.trials.trial import Trial, look_at

TRIAL = Trial("adamw", 3e-3, seed=0, steps=20)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DESCEND_DATA", str(tmp_path / "data"))
    return Store.open()


def test_a_trial_is_trained_once_and_found_again():
    with Notebook.of(Source("digits")) as notebook:
        run = notebook.run(TRIAL)
        assert notebook.run(TRIAL) is run
    assert run.curve[0][0] == 0
    assert [step for step, _ in run.curve] == look_at(20)
    assert run.curve[-1][1] < run.curve[0][1]
    assert run.seconds == pytest.approx(20 * run.train_step_ms / 1000)
    again = Notebook.of(Source("digits"))
    assert again.find(TRIAL) == run
    assert again.find(replace(TRIAL, seed=1)) is None
    assert list(again.events([TRIAL])) == [], "nothing is trained"


def test_settings_belong_to_a_trial():
    with Notebook.of(Source("digits")) as notebook:
        plain = notebook.run(TRIAL)
        given = notebook.run(replace(TRIAL, settings=(("beta1", 0.5),)))
        same = notebook.run(replace(TRIAL, settings=(("beta1", 0.9), ("beta2", 0.999))))
    assert given.loss != plain.loss
    assert same.val_loss == plain.val_loss, "those are the defaults"
    found = Notebook.of(Source("digits")).known
    assert {trial.settings for trial in found} == {(), (("beta1", 0.5),), (("beta1", 0.9), ("beta2", 0.999))}
    assert len({trial.key for trial in found}) == 3


def test_many_at_once_are_those_of_one_process(store: Store):
    trials = [replace(TRIAL, seed=seed, rule=rule) for seed in range(2) for rule in ("adamw", "lion")]
    with Notebook.of(Source("digits"), processes=2) as notebook:
        done = [event.run.trial for event in notebook.events(trials) if isinstance(event, RunDone)]
        found = notebook.runs(trials)
    assert sorted(done) == sorted(trials) == sorted(found)
    alone = Notebook(Source("digits"), None).runs(trials)
    assert {t: run.val_loss for t, run in alone.items()} == {t: run.val_loss for t, run in found.items()}


def test_a_rule_that_fails_is_an_error_of_its_own():
    notebook = Notebook.of(Source("digits"))
    for _ in range(2):
        with pytest.raises(TrialError, match=r"no_such_rule (failed: UnknownRule|has failed before)"):
            notebook.run(replace(TRIAL, rule="no_such_rule"))
    assert isinstance(next(iter(notebook.events([TRIAL]))), RuleReady), "the others go on"


def test_other_data_or_other_rules_are_another_notebook(store: Store, monkeypatch: pytest.MonkeyPatch):
    source = Source("digits")
    Notebook.of(source).run(TRIAL)
    given = Given(source.problem(), replace(source.card(), sha256="other data"))
    assert Notebook(given, store).find(TRIAL) is None
    mine = Notebook(Given(source.problem(), source.card()), store)
    assert mine.find(TRIAL) is not None, "the same task, whoever brings it"
    monkeypatch.setattr(notebooks, "text_of", lambda rule: "another formula")
    assert Notebook(source, store).find(TRIAL) is None


def test_a_model_of_this_process_needs_no_source():
    class Bowl:
        def init(self, seed):
            return [np.full(3, 1.0 + seed, np.float32)]

        def batches(self, seed, steps):
            return range(steps)

        def loss_and_grads(self, params, batch):
            return float((params[0] ** 2).sum()), [2 * params[0]]

        def validate(self, params):
            return float((params[0] ** 2).sum()), float("nan")

    card = replace(Source("digits").card(), name="bowl", sha256="")
    with Notebook(Given(Bowl(), card), None) as notebook:
        run = notebook.run(Trial("gradient_descent", 0.1, 0, 20, "constant"))
    assert run.curve[0][1] == pytest.approx(3.0)
    assert run.curve[-1][1] == pytest.approx(3 * 0.8**40, rel=1e-4)


def test_it_is_listed_and_is_no_race_to_resume(store: Store):
    with Notebook.of(Source("digits")) as notebook:
        notebook.run(TRIAL)
    shown = CliRunner().invoke(command, []).output
    assert "single trials" in shown
    from descend.lab.race.cli import race

    assert "no race was left unfinished" in " ".join(CliRunner().invoke(race, ["--resume"]).output.split())
    (kept,) = store.races()
    done = CliRunner().invoke(race, ["--from", kept.id])
    assert done.exit_code == 2
    assert "the store has no race of that name" in " ".join(done.output.split())
