"""The protocol: the same budget for everyone, fresh seeds, edges widened for all, nothing trained twice."""

import math
import random
from collections import Counter

import pytest
from lab_samples import FINALS, best_rate, ran, record, run

from descend import rules
from descend.lab.race.asked import within
from descend.lab.race.protocol import tuning
from descend.lab.race.protocol.stages import STREAM, Stages
from descend.lab.race.protocol.tuning import Rate, choose
from descend.lab.race.race import Config
from descend.lab.race.results import results
from descend.lab.race.space import DEFAULT_RULES, USUAL, enter
from descend.lab.trials.trial import RAMP, Run, Trial, look_at, tail

ENTRIES = {name: enter(rules.all()[name]) for name in DEFAULT_RULES}


def bowl(trial: Trial, best: float) -> float:
    return 0.1 * (1 + math.log10(trial.lr / best) ** 2)


def raced(seeds: int = 8, off: dict[str, int] | None = None, **losses: float) -> tuple[Config, dict[Trial, Run]]:
    """A race in which each rule's losses are `losses[rule]` times a bowl around its best rate, and seeds differ."""
    off = off or {}
    config = Config(tuple(losses), seeds=seeds)
    best = {name: best_rate(ENTRIES[name], off.get(name, 0)) for name in losses}

    def loss_of(trial: Trial) -> float:
        noise = random.Random(f"{trial.rule} {trial.seed}").gauss(0, 0.01)
        return losses[trial.rule] * bowl(trial, best[trial.rule]) * (1 + noise)

    return config, ran(config, [ENTRIES[name] for name in losses], loss_of)


def tuning_rates(config: Config, runs: dict[Trial, Run], rule: str) -> list[float]:
    mine = [t for t in runs if t.rule == rule and t.seed in config.tuning_seeds and t.schedule != RAMP]
    return sorted({t.lr for t in mine})


def test_every_rule_gets_the_same_number_of_trials_on_the_same_number_of_seeds():
    config, runs = raced(adam=1.0, lion=2.0, off={"lion": 1})
    count = Counter(t.rule for t in runs if t.seed in config.tuning_seeds)
    assert count["adam"] == count["lion"] == 1 + 7 * 2 + 3 * 6 + 2 * 8
    assert len(tuning_rates(config, runs, "adam")) == 9


def test_an_optimum_on_the_edge_widens_the_grid_of_all_rules():
    config, runs = raced(adam=1.0, lion=1.0, off={"lion": 4})
    assert len(tuning_rates(config, runs, "adam")) == len(tuning_rates(config, runs, "lion")) == 11
    assert max(tuning_rates(config, runs, "lion")) > best_rate(ENTRIES["lion"], 4)
    far, runs = raced(adam=1.0, off={"adam": 99})
    assert len(tuning_rates(far, runs, "adam")) == 7 + 3 * 2 + 3, "it is not widened for ever"


def test_an_edge_that_stays_is_marked():
    found = results(record(FINALS, off=12))
    assert {line.edge for line in found.tuned} == {"high"}
    assert {line.edge for line in results(record(FINALS)).tuned} == {""}


def test_the_seeds_that_tune_never_decide():
    for seed in (0, 7, 100):
        config = Config(("adam",), seed=seed, seeds=800)
        assert not set(config.tuning_seeds) & set(config.final_seeds)
        assert len(set(config.final_seeds)) == 800
        after = Config(("adam",), seed=seed + 1, seeds=800)
        assert max(config.final_seeds) < min(after.tuning_seeds)


def test_nothing_is_trained_twice_and_every_stage_depends_on_finished_ones_alone():
    """Whatever part of a round is there when a race is killed, the rest of it is what comes next."""
    config, runs = raced(seeds=20, adam=1.0, lion=1.01, rmsprop=1.5)
    entries = [ENTRIES[name] for name in config.rules]
    order = list(runs)
    for cut in range(0, len(order), 7):
        some = {trial: runs[trial] for trial in order[:cut]}
        while (todo := Stages(config, entries, some, {}).next()) is not None:
            assert not set(todo.trials) & set(some)
            assert len(set(todo.trials)) == len(todo.trials)
            some.update({trial: runs[trial] for trial in todo.trials})
        assert some.keys() == runs.keys()


def test_a_rule_that_is_decided_gets_no_more_seeds():
    config, runs = raced(seeds=80, adam=1.0, lion=1.004, rmsprop=1.6)
    seeds = Counter(t.rule for t in runs if t.seed in config.final_seeds and t.steps == 600)
    stages = Stages(config, [ENTRIES[name] for name in config.rules], runs, {})
    assert stages.next() is None
    assert stages.standings is not None
    said = {row.name: row.standing for row in stages.standings.rows}
    assert said["rmsprop"] == "behind"
    assert said["adam"] in ("leader", "equal")
    assert said["lion"] in ("leader", "equal")
    assert seeds["rmsprop"] < seeds["adam"]


def test_runs_are_paired_by_seed_and_a_stream_has_seeds_of_its_own():
    config = Config(("adam", "adam#2"), seeds=8)
    entries = [enter(rules.adam), enter(rules.adam, 2)]
    runs = ran(config, entries, lambda trial: bowl(trial, 1e-3) * (1 + 0.01 * random.Random(trial.seed).random()))
    mine, other = ({t.seed for t in runs if t.rule == rule} for rule in config.rules)
    assert other == {seed + STREAM for seed in mine}


def test_the_leader_is_priced_on_shorter_budgets():
    sample = record({"adam": FINALS["adam"], "rmsprop": FINALS["rmsprop"]})
    found = results(sample)
    # The samples' loss falls with the root of the steps: half as much again takes 2.25 times the steps.
    assert found.times_steps["rmsprop"] == pytest.approx((0.0904 / 0.0602) ** 2, rel=1e-2)
    assert found.times_steps["adam"] == 1
    assert {run.steps for run in sample.runs if run.steps < 60} == {43, 30, 21, 15}


def test_of_equals_the_smaller_learning_rate_wins_and_divergence_never():
    equal = [Rate(lr, (0.3, 0.3)) for lr in (1e-3, 1e-2, 1e-1)]
    assert choose([Rate(1e-4, (0.1, math.inf)), *equal]).lr == 1e-3
    lost = [Rate(lr, (math.inf,)) for lr in (1e-3, 1e-2)]
    assert choose(lost).edge == "low"


@pytest.mark.parametrize("best", [0.8, 1.0, 1.25])
def test_the_tuned_rate_is_the_lowest_point_of_a_parabola(best: float):
    rates = [Rate(lr, (math.exp(math.log10(lr / best) ** 2 * 0.5),)) for lr in tuning.near(1.0)]
    assert choose(rates).lr == pytest.approx(best, rel=1e-2)


def test_a_cliff_does_not_pull_the_rate_down():
    rates = [Rate(lr, (x,)) for lr, x in zip(tuning.near(1.0), (1.2, 1.1, 1.0, 8.0, math.inf), strict=True)]
    assert 0.5 <= choose(rates).lr <= 1.8


def test_a_range_test_that_turns_centres_the_grid_below_the_turn():
    losses = [2.4] * 100 + [2.4 - 0.02 * k for k in range(60)] + [9.0] * 40  # the lowest at step 159 of 200
    ramp = run(Trial("adam", 1.0, 0, 200, RAMP), 1.0)
    turned = Run(**{**vars(ramp), "train_loss": losses})
    assert 10 ** (tuning.centre(turned, 1e-9) / 2) == pytest.approx(1e-6 * 1e8 ** (159 / 200) / 4, rel=0.8)
    flat = Run(**{**vars(ramp), "train_loss": [2.4] * 200})
    assert tuning.centre(flat, 1e-3) == -6


def test_the_usual_rates_name_rules_that_exist():
    assert set(USUAL) <= set(rules.all())
    assert len(DEFAULT_RULES) == 8


def test_state_is_counted_in_bytes():
    sizes = {name: enter(rules.all()[name]).state_bytes for name in ("gradient_descent", "lion", "adam")}
    assert sizes == {"gradient_descent": 0, "lion": 4, "adam": 8}


def test_a_run_is_judged_by_the_looks_of_its_last_tenth():
    assert look_at(600)[0] == 0
    assert look_at(600)[-1] == 600
    assert [at for at in look_at(600) if at >= 540] == look_at(600)[-tail(600) :]
    assert tail(600) >= 6
    for steps in (10, 47, 1000):
        assert look_at(steps)[-1] == steps
        assert 1 <= tail(steps) <= len(look_at(steps))


def test_the_least_a_race_takes_is_what_it_runs_before_its_first_verdict():
    config, runs = raced(seeds=8, adam=1.0, lion=2.0, off={"adam": 1, "lion": 1})
    first = [t for t in runs if t.steps in (600, tuning.RAMP_STEPS)]
    assert len(first) == config.least_runs


def test_a_time_that_is_too_short_makes_the_race_quick():
    config = Config(("adam", "lion"))
    quick = config.quick(keep_seeds=False)
    assert (quick.side, quick.seeds, quick.least_runs < 0.6 * config.least_runs) == (2, 12, True)
    assert within(config, 1e3, 0.1, 2) == (config, "")
    assert within(config, quick.least_runs * 0.1 / 2 + 0.1, 0.1, 2)[0] == quick
    same, said = within(config, 1.0, 0.1, 2)
    assert same == quick
    assert "may end before there is a verdict" in said
