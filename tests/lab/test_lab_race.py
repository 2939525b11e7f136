"""The protocol: the same budget for everyone, fresh seeds, edges marked, nothing trained twice."""

import math

import pytest
from lab_samples import run

from descend import rules
from descend.lab.race.race import Config, RuleDone, RunDone, choose, lane, look_at, most_runs
from descend.lab.race.space import DEFAULT_RULES, TRIALS, USUAL, enter, grid

CONFIG = Config(("adam",))
ADAM = enter(rules.all()["adam"])


def trained(best: float) -> list[tuple[float, int]]:
    """Learning rate and seed of all trainings of a lane in which `best` is the best learning rate."""
    events = list(lane(ADAM, CONFIG, lambda rule, lr, seed: run(rule, lr, seed, 0.1 + abs(math.log(lr / best)))))
    assert isinstance(events[-1], RuleDone)
    return [(event.run.lr, event.run.seed) for event in events if isinstance(event, RunDone)]


def test_a_lane_tunes_on_one_seed_and_races_on_others():
    jobs = trained(best=1e-2)
    fresh = range(100, 105)
    assert jobs[:TRIALS] == [(lr, 0) for lr in ADAM.grid]
    assert jobs[TRIALS:] == [(1e-2, seed) for seed in fresh] + [(1e-3, seed) for seed in fresh]
    assert len(jobs) == most_runs(CONFIG, [ADAM])


def test_a_default_that_is_the_best_is_not_trained_twice():
    assert trained(best=1e-3)[TRIALS:] == [(1e-3, seed) for seed in range(100, 105)]


def test_the_seeds_that_tune_never_decide():
    for seed in (0, 7, 100):
        config = Config(("adam",), seed=seed, seeds=50)
        assert seed not in config.final_seeds
        assert len(set(config.final_seeds)) == 50


@pytest.mark.parametrize(("best_at", "edge"), [(0, "low"), (1, ""), (5, ""), (6, "high")])
def test_the_end_of_the_grid_is_marked(best_at: int, edge: str):
    choice = choose([run("adam", lr, 0, 1 + abs(k - best_at)) for k, lr in enumerate(ADAM.grid)])
    assert (choice.lr, choice.edge) == (ADAM.grid[best_at], edge)


def test_of_equals_the_smaller_learning_rate_wins_and_divergence_never():
    equal = [run("adam", lr, 0, 0.3) for lr in ADAM.grid[1:]]
    assert choose([run("adam", ADAM.grid[0], 0, 0.1, diverged_at=20), *equal]).lr == ADAM.grid[1]
    lost = [run("adam", lr, 0, 0.1, diverged_at=20) for lr in ADAM.grid]
    assert choose(lost) == choose(lost[:1] + lost[1:])
    assert choose(lost).edge == "low"


def test_every_rule_has_the_same_layout_of_seven():
    for name in DEFAULT_RULES:
        entry = enter(rules.all()[name])
        assert len(entry.grid) == 7
        assert entry.usual_lr == USUAL[name].lr
        steps = [math.log10(b / a) for a, b in zip(entry.grid, entry.grid[1:], strict=False)]
        assert steps == pytest.approx([0.5] * 6, abs=1e-3)
        assert math.log10(entry.grid[0] / entry.usual_lr) == pytest.approx(-1)
        assert "lr" not in entry.settings


def test_the_usual_rates_name_rules_that_exist():
    assert set(USUAL) <= set(rules.all())
    assert len(DEFAULT_RULES) == 8


def test_a_rule_that_is_not_in_the_table_is_centred_on_its_default():
    entry = enter(rules.all()["rmsprop_centered"])
    assert list(entry.grid) == grid(entry.default_lr)


def test_state_is_counted_in_bytes():
    sizes = {name: enter(rules.all()[name]).state_bytes for name in ("gradient_descent", "lion", "adam")}
    assert sizes == {"gradient_descent": 0, "lion": 4, "adam": 8}


def test_the_last_step_is_always_looked_at():
    assert look_at(600) == list(range(0, 601, 20))
    assert look_at(10) == list(range(11))
    assert look_at(47)[-1] == 47
