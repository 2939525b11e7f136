"""The strategy on losses that are known in closed form: what it finds, what it spends, what it says."""

import math
import random
from dataclasses import replace

import pytest

from descend.lab.choosing.answer import answer
from descend.lab.choosing.candidates import prior
from descend.lab.choosing.lattice import nearest, rate
from descend.lab.choosing.outcomes import Outcome
from descend.lab.choosing.strategy import Asked, Choosing, TooLittle
from descend.lab.trials.trial import Trial

RULES = ("adamw", "lion", "nesterov_accumulation", "muon")
T = 1600


def world(best, cost=None, noise=0.0, cliff=1.0, drift=0.0, floor=0.1):
    """Losses of runs. `best`: rule -> (extra loss, best rate); `cliff`: decades above the best where it diverges."""

    def run(trial):
        extra, at = best[trial.rule]
        away = math.log10(trial.lr / at) - drift * math.log2(T / trial.steps)
        luck = 1 + noise * random.Random(f"{trial.seed}").gauss(0, 1)
        own = 1 + 0.1 * noise * random.Random(f"{trial}").gauss(0, 1)
        loss = (floor + extra + 0.2 * away**2 + 4 / trial.steps) * luck * own
        return Outcome(trial, math.inf if away > cliff else loss, 2.3, (cost or {}).get(trial.rule, 1e-3))

    return run


def chosen(run, **asked):
    choosing = Choosing(Asked(RULES, T, **{"runs": 30.0, **asked}))
    while todo := choosing.missing():
        for trial in todo:
            choosing.take(run(trial))
    return choosing, answer(choosing, "a world", 1.0)


EASY = {"adamw": (0.0, 0.02), "lion": (0.02, 1e-3), "nesterov_accumulation": (0.05, 0.3), "muon": (0.1, 0.05)}


@pytest.mark.parametrize("winner", RULES)
def test_the_best_rule_is_chosen_near_its_best_rate(winner):
    best = {rule: (0.05 * (rule != winner), prior(rule) * 4) for rule in RULES}
    found = chosen(world(best))[1]
    assert found.rule == winner
    assert abs(math.log10(found.lr / best[winner][1])) < 0.15


@pytest.mark.parametrize("far", [1e-3, 1e3])
def test_a_best_rate_far_from_the_usual_one_is_found(far):
    best = {rule: (0.0 if rule == "lion" else 0.3, prior(rule) * far) for rule in RULES}
    found = chosen(world(best, cliff=3.0))[1]
    assert found.rule == "lion"
    assert abs(math.log10(found.lr / best["lion"][1])) < 0.3


def test_first_runs_go_on_beyond_an_end_at_which_a_rule_is_best():
    """Lion's best rate is 1.6 decades above the expected one, Muon's as far below; the others' lie in the middle."""
    best = {rule: (0.0, prior(rule) * 10 ** {"lion": 1.6, "muon": -1.6}.get(rule, 0.0)) for rule in RULES}
    choosing, run = Choosing(Asked(RULES, T, runs=30.0)), world(best, cliff=4.0)
    while choosing.spent < 5 / 16 * len(RULES) + 1.0:
        for trial in choosing.missing():
            choosing.take(run(trial))
    tried = {rule: {nearest(t.lr) - nearest(prior(rule)) for t in choosing.seen if t.rule == rule} for rule in RULES}
    assert {6, 8} <= tried["lion"]  # as far as it gets worse again
    assert {-6, -8} <= tried["muon"]
    assert not {-6, 6} & (tried["adamw"] | tried["nesterov_accumulation"])


def test_a_rule_that_diverges_at_all_first_rates_is_tried_at_lower_ones():
    best = {rule: (0.3 * (rule != "lion"), prior(rule)) for rule in RULES}
    best["lion"] = 0.0, prior("lion") * 10**-1.75
    found = chosen(world(best, cliff=0.3))[1]
    assert found.rule == "lion"
    assert abs(math.log10(found.lr / best["lion"][1])) < 0.3


def test_nothing_is_run_from_where_a_rule_diverges():
    choosing, run, asked = Choosing(Asked(RULES, T, runs=30.0)), world(EASY, cliff=0.4), 0
    while todo := choosing.missing():
        for trial in todo:
            fell = [t.lr for t, o in choosing.seen.items() if t.rule == trial.rule and o.loss == math.inf]
            first = trial.seed == choosing.asked.first_seed and trial.steps < T / 8  # which find out where that is
            assert first or trial.lr < min(fell, default=math.inf)
            asked += len(fell) > 0
        for trial in todo:
            choosing.take(run(trial))
    assert asked > 20


@pytest.mark.parametrize("runs", [1.0, 2.5, 6.0, 30.0])
def test_the_budget_is_kept(runs):
    choosing, found = chosen(world(EASY), runs=runs)
    assert choosing.spent <= 1.1 * runs
    assert found.spent == choosing.spent


def test_a_large_budget_ends_with_all_its_rules_at_full_length():
    """A rule that wins only in long runs: short ones tell its rate, long ones that it is the best."""
    late = world({**EASY, "muon": (-0.05, 0.05)})

    def run(trial):
        seen = late(trial)
        return replace(seen, loss=seen.loss + 30 / trial.steps) if trial.rule == "muon" else seen

    choosing, found = chosen(run, runs=30.0)
    assert (found.rule, found.best.share) == ("muon", 1.0)
    assert choosing.spent <= 30 * 1.1
    assert {t.rule for t in choosing.seen if t.steps == T} >= {"adamw", "lion", "muon"}


def behind_a_plateau(trial):
    """In short runs next to nothing falls, most by one rule; long ones are won by another, at a far rate."""
    seen = world({**EASY, "muon": (-0.05, 0.5)}, cliff=3.0)(trial)
    if trial.steps > T / 4:
        return seen
    fell = 0.02 * trial.steps / T * (10 if trial.rule == "adamw" else 1)
    return replace(seen, loss=2.3 - fell + 0.01 * math.log10(trial.lr / 0.05) ** 2)


def test_a_loss_that_falls_late_leaves_no_rule_out():
    choosing, found = chosen(behind_a_plateau, runs=30.0)
    assert {t.rule for t in choosing.seen if t.steps == T} == set(RULES)
    assert found.expected < 0.15
    assert any("falls late" in doubt for doubt in found.doubts)
    assert not any("falls late" in doubt for doubt in chosen(world(EASY))[1].doubts)


def test_longer_runs_that_end_higher_are_a_doubt():
    easy = world(EASY)

    def run(trial):
        seen = easy(trial)
        return replace(seen, loss=seen.loss + 0.2 * trial.steps / T)

    assert any("ended higher in longer runs" in doubt for doubt in chosen(run, runs=30.0)[1].doubts)
    assert not any("ended higher" in doubt for doubt in chosen(easy, runs=30.0)[1].doubts)


@pytest.mark.parametrize("runs", [1.0, 10.0, 30.0])
def test_the_budget_is_spent_and_the_answer_lies_beside_a_rate_that_was_tried(runs):
    for seed in range(2):
        choosing, found = chosen(world(EASY, noise=0.05), runs=runs, seed=seed)
        tried = [4 * math.log10(t.lr) for t in choosing.seen if t.rule == found.rule]
        assert min(abs(4 * math.log10(found.lr) - k) for k in tried) <= 1.1
        assert 0.9 * runs <= choosing.spent <= 1.01 * runs


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_the_interval_holds_what_a_training_comes_to(noise):
    """Nine of ten, with some room for chance."""
    easy, held = world(EASY), 0

    def run(trial):
        seen = easy(trial)
        return replace(seen, loss=seen.loss * (1 + noise * random.Random(f"{trial}").gauss(0, 1)))

    for seed in range(20):
        found = chosen(run, runs=10.0, seed=seed)[1]
        low, high = found.interval
        held += low <= run(Trial(found.rule, found.lr, 5000 + seed, T, found.schedule)).loss <= high
    assert held >= 16


def test_more_budget_means_longer_runs():
    shares = [chosen(world(EASY), runs=runs)[1].best.share for runs in (1.0, 4.0, 30.0)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def test_a_rule_with_slow_steps_gets_fewer_of_them():
    slow = {"muon": 4e-3}
    best = {**EASY, "muon": (-0.005, 0.05)}  # ahead in equal steps; with a quarter of them behind by 4/400 - 4/1600
    choosing, found = chosen(world(best, slow))
    lengths = {t.steps for t in choosing.seen if t.rule == "muon"}
    assert choosing.price("muon") == 4.0
    assert max(lengths) <= max(t.steps for t in choosing.seen if t.rule == "adamw") / 4
    assert chosen(world(best, slow), by_seconds=False)[1].rule == "muon"
    assert found.options[0].rule == "adamw"


def test_a_cheap_rule_gets_no_more_steps_than_asked_for():
    choosing, _ = chosen(world(EASY, {"lion": 1e-4}))
    assert max(t.steps for t in choosing.seen) <= T


def test_seconds_are_a_budget_once_a_step_was_timed():
    choosing, _ = chosen(world(EASY), runs=math.inf, seconds=4 * T * 1e-3)
    assert choosing.budget == pytest.approx(4.0)
    assert choosing.spent <= 4.4


def test_too_little_is_refused_by_how_much():
    with pytest.raises(TooLittle, match=r"give .* times as much"):
        Choosing(Asked(RULES, T, runs=0.01)).missing()  # before anything has run
    with pytest.raises(TooLittle, match=r"give .* times as much"):
        chosen(world(EASY), seconds=0.01 * T * 1e-3)


def test_what_would_be_enough_is_never_said_to_be_what_was_given():
    with pytest.raises(TooLittle, match=r"give 1\.1 times as much"):
        Choosing(Asked(RULES, T, runs=0.99 * 5 / 64)).missing()
    with pytest.raises(TooLittle, match=r"give 7\.9e\+10 times as much"):
        Choosing(Asked(RULES, T, runs=1e-12)).missing()


def test_a_small_budget_leaves_rules_out_and_says_so():
    _, found = chosen(world(EASY), runs=0.2)
    assert found.rule == "adamw"
    assert "not tried" in found.dropped["muon"]


def test_seconds_that_are_few_leave_rules_out_as_soon_as_a_step_is_timed():
    """The first rule tells what a step costs; the others have no run that is not followed by more."""
    choosing = Choosing(Asked(RULES, T, seconds=0.2 * T * 1e-3))
    run = world(EASY)
    choosing.take(run(choosing.missing()[0]))
    while todo := choosing.missing():
        for trial in todo:
            choosing.take(run(trial))
    assert {t.rule for t in choosing.seen} == {"adamw", "lion"}
    assert answer(choosing, "x", 1.0).rule == "adamw"


def test_time_for_no_more_than_a_few_runs_is_for_the_middle_rates_of_one_rule():
    choosing, run = Choosing(Asked(RULES, T, seconds=3.5 / 64 * T * 1e-3)), world(EASY)
    while todo := choosing.missing():
        choosing.take(run(todo[0]))
    found = answer(choosing, "x", 1.0)
    assert {(t.rule, nearest(t.lr) - nearest(prior("adamw"))) for t in choosing.seen} == {
        ("adamw", -2), ("adamw", 0), ("adamw", 2),
    }  # fmt: skip
    assert found.confidence == "low"


def test_a_clock_that_runs_faster_than_the_steps_leaves_rules_out():
    choosing, run = Choosing(Asked(RULES, T, seconds=10 * T * 1e-3)), world(EASY)
    choosing.take(run(choosing.missing()[0]))
    choosing.hurry(9.5)
    while todo := choosing.missing():
        for trial in todo:
            choosing.take(run(trial))
    assert len(choosing.seen) == 10  # two rules at five rates
    choosing.hurry(1000)
    assert choosing.spent == pytest.approx(choosing.budget, rel=0.1)  # not in a hurry it is as it was


def test_where_the_time_is_too_little_for_the_usual_lengths_runs_are_shorter():
    """About two rules at their first rates; never below the shortest that means something, nor where there is time."""
    asked = Asked(RULES, 100_000, seconds=60.0)
    assert asked.fitted(1e-3) == asked
    short = asked.fitted(0.05)
    assert short.lengths[-7:] == asked.lengths
    assert 30 < 10 * short.lengths[0] * 100_000 * 0.05 <= 60
    assert asked.fitted(10.0).lengths[0] * 100_000 >= 16
    assert Asked(RULES, 100).fitted(10.0) == Asked(RULES, 100)


def test_two_choices_with_other_seeds_agree():
    rates = [chosen(world(EASY, noise=0.05), seed=seed)[1].lr for seed in range(5)]
    assert max(rates) / min(rates) < 1.5


def test_the_rate_keeps_away_from_the_cliff():
    found = chosen(world({**EASY, "adamw": (0.0, 0.02)}, cliff=0.1))[1]
    assert found.rule == "adamw"
    assert found.lr <= 0.02 * 10**0.1 / 10**0.25


def test_a_drift_with_the_length_is_carried_on():
    """The best rate falls by 0.15 decades when runs get twice as long: what is chosen follows it to the full length."""
    found = chosen(world({rule: (extra, 0.02) for rule, (extra, _) in EASY.items()}, drift=0.15), runs=1.5)[1]
    longest = found.best.share
    at_longest = 0.02 * 10 ** (0.15 * math.log2(1 / longest))
    assert longest < 1
    assert abs(math.log10(found.lr / 0.02)) < abs(math.log10(at_longest / 0.02))


def test_a_rule_that_fails_is_out_and_named():
    choosing = Choosing(Asked(RULES, T, runs=10.0))
    run = world(EASY)
    while todo := choosing.missing():
        for trial in todo:
            choosing.fail("adamw", "RuntimeError: no") if trial.rule == "adamw" else choosing.take(run(trial))
    found = answer(choosing, "x", 1.0)
    assert found.rule == "lion"
    assert found.dropped["adamw"] == "RuntimeError: no"


def test_when_all_rules_fail_their_reasons_are_told():
    choosing = Choosing(Asked(RULES, T, seconds=10.0))
    choosing.take(world(EASY)(choosing.missing()[0]))
    for rule in RULES:
        choosing.fail(rule, f"{rule} broke")
    assert choosing.spent <= choosing.budget
    with pytest.raises(RuntimeError, match="lion broke"):
        choosing.missing()


def test_ended_early_it_answers_from_what_there_is():
    choosing, run = Choosing(Asked(RULES, T, runs=30.0)), world(EASY)
    for _ in range(2):
        for trial in choosing.missing():
            choosing.take(run(trial))
    for trial in choosing.missing()[:7]:
        choosing.take(run(trial))
    choosing.interrupt()
    found = answer(choosing, "x", 1.0)
    assert found.rule == "adamw"
    assert found.interrupted
    assert found.doubts[0].startswith("interrupted")
    assert found.confidence != "high"


def test_ended_among_long_runs_those_that_were_made_count():
    choosing, run = Choosing(Asked(RULES, T, runs=10.0)), world(EASY, cliff=9.0)
    while (todo := choosing.missing())[0].steps < T / 2:
        for trial in todo:
            choosing.take(run(trial))
    choosing.take(run(todo[0]))
    choosing.interrupt()
    found = answer(choosing, "x", 1.0)
    long = next(o for o in found.options if o.rule == todo[0].rule)
    assert (long.share, long.seen) == (todo[0].steps / T, pytest.approx(run(todo[0]).loss))


def test_everything_diverging_is_an_error_of_its_own():
    with pytest.raises(ValueError, match="every run diverged"):
        chosen(lambda trial: Outcome(trial, math.inf, 2.3, 1e-3))


def test_a_loss_that_never_moves_is_an_error_of_its_own():
    with pytest.raises(ValueError, match="no rule made the loss smaller"):
        chosen(lambda trial: Outcome(trial, 2.3, 2.3, 1e-3))


def test_equals_are_called_so():
    found = chosen(world({rule: (0.0, prior(rule)) for rule in RULES}))[1]
    assert "cannot be told apart" in found.reason


def test_losses_below_zero_are_losses_too():
    found = chosen(world(EASY, floor=-5.0))[1]
    assert found.rule == "adamw"
    assert found.interval[0] < found.expected < found.interval[1] < 0


def test_the_lattice_and_back():
    assert [nearest(rate(k)) for k in range(-30, 10)] == list(range(-30, 10))
