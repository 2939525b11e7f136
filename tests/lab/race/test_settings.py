"""`--tune`: the other settings, searched by Optuna with the same number of trials for every rule."""

import importlib.util
import math
import random
from collections import Counter
from dataclasses import replace

import pytest
from click.testing import CliRunner
from lab_samples import best_rate, ran, record

from descend import rules
from descend.lab.race.cli import race
from descend.lab.race.protocol import settings
from descend.lab.race.protocol.settings import COMPLEMENT, LOG, ranges
from descend.lab.race.protocol.stages import Stages
from descend.lab.race.race import Config
from descend.lab.race.record import from_json, to_json
from descend.lab.race.results import results
from descend.lab.race.space import enter
from descend.lab.race.verdict import summary, verdict
from descend.lab.trials.trial import Trial

NAMES = ("adamw", "lion", "gradient_descent")
HERE = importlib.util.find_spec("optuna") is not None
needs_optuna = pytest.mark.skipif(not HERE, reason="Optuna is not installed")


def test_what_is_searched_lies_around_the_defaults():
    found = ranges({"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "steps": 5})
    assert found == {
        "beta1": (0.1, 0.99, COMPLEMENT),
        "beta2": (0.99, 0.9999, COMPLEMENT),
        "eps": (1e-10, 1e-4, LOG),
        "weight_decay": (1e-5, 0.3, LOG),
    }
    for rule in rules.all().values():
        for name, (low, high, _) in ranges(dict(rule.settings)).items():
            value = rule.settings[name]
            assert 0 < low < high
            assert low <= value <= high or name == "weight_decay"
    assert enter(rules.adamw).space == {}
    assert set(enter(rules.adamw, tune=True).space) == {"beta1", "beta2", "eps", "weight_decay"}


def test_without_optuna_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optuna" else found(name))
    done = CliRunner().invoke(race, ["--tune"])
    assert done.exit_code == 2
    assert "--tune needs Optuna: pip install 'descend[tune]'" in " ".join(done.output.split())


ENTRIES = [enter(rules.get(name), tune=True) for name in NAMES]
BEST = {entry.rule: best_rate(entry) for entry in ENTRIES}


def loss_of(trial: Trial) -> float:
    """Lowest for a first beta of 0.5."""
    given = dict(trial.settings)
    beta = given.get("beta1", 0.9)
    off = math.log10((1 - beta) / 0.5) ** 2 if trial.rule != "gradient_descent" else 0.0
    noise = random.Random(f"{trial.rule} {trial.seed}").gauss(0, 0.01)
    return 0.1 * (1 + math.log10(trial.lr / BEST[trial.rule]) ** 2 + 2 * off) * (1 + noise)


@needs_optuna
def test_every_rule_gets_the_same_trials_and_a_better_beta_is_found():
    config = Config(NAMES, seeds=8, tune=16, pairs=False)
    runs = ran(config, ENTRIES, loss_of)
    searched = Counter(t.rule for t in runs if t.seed in config.tuning_seeds and t.settings)
    assert searched == {"adamw": 16 * 2 + 3 * 6, "lion": 16 * 2 + 3 * 6}
    plain = ran(replace(config, tune=0), ENTRIES, loss_of)
    rates = {t.lr for t in runs.keys() - plain.keys() if t.rule == "gradient_descent" and t.seed in config.tuning_seeds}
    assert len(rates) >= 16 - 2, "it has no settings, and gets other rates; one of them may have been tried before"
    stages = Stages(config, ENTRIES, runs, {})
    assert stages.next() is None
    for rule in ("adamw", "lion"):
        found = dict(stages.tuned[rule].choice.settings)
        assert found["beta1"] < 0.85
        assert all(0 < value < 1 for value in found.values())
    assert stages.tuned["gradient_descent"].choice.settings == ()
    final = {t.settings for t in runs if t.rule == "adamw" and t.seed in config.final_seeds}
    assert final == {stages.tuned["adamw"].choice.settings, ()}, "the tuned and the untuned ones"


@needs_optuna
def test_a_killed_search_asks_for_the_same_trials():
    config = Config(NAMES[:2], seeds=8, tune=8, pairs=False)
    entries = ENTRIES[:2]
    runs = ran(config, entries, loss_of)
    order = list(runs)
    for cut in range(len(order) // 3, len(order), 29):
        settings.ask.cache_clear()
        some = {trial: runs[trial] for trial in order[:cut]}
        while (todo := Stages(config, entries, some, {}).next()) is not None:
            some.update({trial: runs[trial] for trial in todo.trials})
        assert some.keys() == runs.keys()


@needs_optuna
def test_the_search_space_and_what_was_found_are_in_the_record():
    sample = record({"adamw": [0.1, 0.11] * 4, "lion": [0.1, 0.11] * 4})
    sample.config, sample.entries = Config(NAMES[:2], seeds=8, tune=8), ENTRIES[:2]
    sample.runs = list(ran(sample.config, sample.entries, loss_of).values())
    again = from_json(to_json(sample))
    found = results(again)
    rows = summary(again, found)
    assert rows["search_space"]["adamw"]["searched"]["beta1"] == {"low": 0.1, "high": 0.99, "how": COMPLEMENT}
    told = {row["rule"]: row["settings"] for row in rows["tuned"]}
    assert told["adamw"]["beta1"] < 0.9
    assert any(sentence.startswith("Tuned settings: ") and "beta1=" in sentence for sentence in verdict(again, found))
    assert "searched beta1 0.1 to 0.99" in str(again)
