"""`descend race` as a command: refusals, small races, Ctrl-C."""

import itertools
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from lab_samples import FINALS, record

from descend import rules
from descend.lab.race import drive
from descend.lab.race.cli import race
from descend.lab.race.protocol.stages import Round, Stages
from descend.lab.race.race import Config
from descend.lab.race.record import load, to_json
from descend.lab.race.space import enter
from descend.lab.race.table import spark
from descend.lab.race.watch import Watch
from descend.lab.tasks import digits
from descend.lab.tasks.source import Source
from descend.lab.trials.runners.processes import Workers
from descend.lab.trials.runners.runner import RuleFailed, RuleReady, RunDone
from descend.lab.trials.train import train, warm_up
from descend.lab.trials.trial import Trial

# A process that a shell starts in the background ignores Ctrl-C; the child must not inherit that.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from descend.lab.race.cli import race; race()"
)


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(race, arguments)
    assert done.exit_code == 2, done.output
    return " ".join(done.output.split())


def test_an_unknown_rule_is_refused_with_the_nearest():
    message = refused("--rules", "adam,nestrov_rewriten")
    assert "no rule 'nestrov_rewriten'. Did you mean 'nesterov_rewritten'" in message
    assert message.endswith("`descend list` shows all.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--rules", " , "), "no rule named"),
        (("--seeds", "1"), "1 is not in the range x>=2"),
        (("--steps", "0"), "0 is not in the range x>=10"),
        (("--from", "nowhere.json"), "does not exist"),
        (("--task", "digitz"), "no task 'digitz'. Did you mean 'digits'? `descend tasks` lists them."),
        (("digits", "--task", "digits"), "one of them is enough"),
        (("--rules", "adam#x"), "after # comes a number, as in adamw#2"),
        (("--schedule", "cosin"), "'cosin' is not one of"),
        (("--delta", "0"), "0.0 is not in the range"),
        (("--seconds", "0"), "0.0 is not in the range"),
        (("--resume", "x", "--from", "y"), "one of them"),
        (("--against", "adm"), "Did you mean 'adam'"),
        (("--form", "x"), "No such option"),
    ],
)
def test_bad_usage_is_refused(arguments: tuple[str, ...], says: str):
    assert says in refused(*arguments)


def test_from_refuses_what_is_no_record_and_options_without_effect(tmp_path: Path):
    other = tmp_path / "other.json"
    other.write_text('{"format": "something"}')
    assert "not the record of a race" in refused("--from", str(other))
    assert "--from trains nothing, so --steps, --seed cannot change it" in refused(
        "--from", str(other), "--steps", "50", "--seed", "3"
    )


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert "-o" in refused("-o", str(tmp_path / "file" / "below"))


def test_from_rebuilds_tables_and_report_and_leaves_the_record(tmp_path: Path):
    source = tmp_path / "kept.json"
    source.write_text(to_json(record(FINALS)), encoding="utf-8")
    before = source.read_bytes()
    done = CliRunner().invoke(race, ["--from", str(source)])
    assert done.exit_code == 0, done.output
    assert "0.0602" in done.output
    assert (tmp_path / "race-digits.html").exists()
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.json", "race-digits.html"]


def test_quiet_says_nothing_and_json_is_nothing_but_json(tmp_path: Path):
    source = tmp_path / "kept.json"
    source.write_text(to_json(record(FINALS)), encoding="utf-8")
    assert CliRunner().invoke(race, ["--from", str(source), "-q"]).output == ""
    said = json.loads(CliRunner().invoke(race, ["--from", str(source), "--json"]).stdout)
    assert [row["rule"] for row in said["tuned"]] == ["adam", "lion", "rmsprop", "gradient_descent"]
    assert [row["standing"] for row in said["tuned"]] == ["leader", "undecided", "behind", "behind"]
    behind = said["tuned"][2]
    assert behind["relative_low"] < (0.0904 - 0.0602) / 0.0602 < behind["relative_high"]
    assert said["tuned"][2]["times_steps"] == pytest.approx(2.25, abs=0.02)
    assert said["tuned"][2]["steps_to_target"] is None
    assert set(said["search_space"]) == set(FINALS)
    assert said["tuned"][3]["diverged"] == 1
    assert said["tuned"][0]["val_loss"] == pytest.approx(0.0602)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=6000,
        env={**os.environ, **environment},
    )


def test_a_small_race_writes_both_files_and_plain_lines(tmp_path: Path):
    done = run(
        "--rules",
        "adam,lion",
        "--steps",
        "30",
        "--seeds",
        "2",
        "-o",
        str(tmp_path),
        FORCE_COLOR="1",
        NO_COLOR="1",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "tuned: adam " in done.stdout
    assert "\x1b[3" not in done.stdout, "a colour, despite NO_COLOR"
    sample = load(tmp_path / "race-digits.json")
    assert not sample.partial
    assert (sample.config.rules, sample.config.steps, sample.config.seeds) == (("adam", "lion"), 30, 2)
    assert {run.seed for run in sample.runs} == {*range(8), 100, 101}
    assert {run.engine for run in sample.runs} == {"llvm"}
    assert sample.stages().next() is None
    page = (tmp_path / "race-digits.html").read_text(encoding="utf-8")
    assert "partial" not in page.split("</style>")[1]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C differently")
def test_ctrl_c_keeps_what_is_finished(tmp_path: Path):
    command = [sys.executable, "-u", "-c", PROGRAM, "--rules", "gradient_descent,adam"]
    command += ["--steps", "100", "--seeds", "9000", "-o", str(tmp_path)]  # long: the rest must not be over first
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    while "12 seeds: " not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert err == ""
    assert "partial: stopped before the end" in out
    assert "Go on: descend race --resume digits-" in out
    sample = load(tmp_path / "race-digits.json")
    assert sample.partial
    assert sample.stages().standings is not None
    assert "Partial: stopped before" in (tmp_path / "race-digits.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("events", [1, 12, 80])  # in the range test, on the grid, in the final
def test_seconds_end_a_race_with_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: int):
    clock = itertools.count()  # a second per event
    monkeypatch.setattr(drive, "perf_counter", lambda: float(next(clock)))
    words = ["--rules", "gradient_descent,adam", "--steps", "100", "--seeds", "9000", "--seconds", str(events)]
    done = CliRunner().invoke(race, [*words, "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    if events == 1 and "partial" not in said:  # what happened first was no run
        assert "stopped before a run was finished; go on: descend race --resume digits-" in said
        return
    assert "partial: stopped before the end" in said
    assert "Go on: descend race --resume digits-" in said


def events_of(trials: list[Trial], processes: int = 1) -> list:
    with Workers(Source("digits"), processes) as workers:
        return list(workers.run(trials))


def test_one_rule_that_fails_does_not_end_the_race():
    trials = [Trial("no_such_rule", 1e-3, 0, 10), Trial("lion", 1e-3, 0, 10), Trial("lion", -1.0, 0, 10)]
    events = events_of([*trials, Trial("lion", 1e-3, 1, 10), Trial("adamw", 1e-3, 0, 10)])
    failed = {event.rule: event.reason for event in events if isinstance(event, RuleFailed)}
    assert failed["no_such_rule"].startswith("UnknownRule: no rule 'no_such_rule'")
    assert "lr" in failed["lion"]
    done = [event.run.trial for event in events if isinstance(event, RunDone)]
    assert Trial("adamw", 1e-3, 0, 10) in done
    assert Trial("lion", 1e-3, 1, 10) not in done


def test_a_worker_that_is_killed_costs_one_rule_alone():
    trials = [Trial("adam", 1e-3, 0, 2000), Trial("lion", 1e-3, 0, 10), Trial("adamw", 1e-3, 0, 10)]
    with Workers(Source("digits"), 1) as workers:
        events = workers.run(trials)
        seen = [next(events)]
        assert isinstance(seen[0], RuleReady)
        (worker,) = multiprocessing.active_children()
        worker.kill()
        seen += events
    assert RuleFailed("adam", "its worker process was killed") in seen
    assert {event.run.rule for event in seen if isinstance(event, RunDone)} == {"lion", "adamw"}


def test_two_workers_share_and_every_run_comes_once():
    trials = [Trial(rule, 1e-3, seed, 10) for rule in ("adam", "lion", "adamw") for seed in range(7)]
    done = [event.run.trial for event in events_of(trials, 2) if isinstance(event, RunDone)]
    assert sorted(done) == sorted(trials)


def test_a_failed_rule_is_named_in_tables_json_and_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sample = record({"adam": FINALS["adam"], "rmsprop": FINALS["rmsprop"]})
    made = {one.trial: one for one in sample.runs}

    def made_up(self: Workers, trials: list[Trial]):
        if any(trial.rule == "lion" for trial in trials):
            yield RuleFailed("lion", "ValueError: <it> does not work")
        for trial in trials:
            if trial.rule != "lion":
                yield RunDone(made[trial])

    monkeypatch.setattr(Workers, "run", made_up)
    words = ["--rules", "adam,lion,rmsprop", "--steps", "60", "--seeds", "5", "-o", str(tmp_path)]
    done = CliRunner().invoke(race, words)
    assert done.exit_code == 1, done.output
    assert "lion failed and is not judged: ValueError: <it> does not work" in " ".join(done.stdout.split())
    assert "lion: failed, ValueError" in done.stdout
    assert re.search(r"^ +lion +–.* failed", done.stdout, re.MULTILINE)
    assert "Use adam at 3.2e-3 (validation loss 0.0602); rmsprop is behind" in " ".join(done.stdout.split())
    assert "Partial" not in done.stdout
    page = (tmp_path / "race-digits.html").read_text(encoding="utf-8")
    assert "<b>lion</b> failed and is not judged: ValueError: &lt;it&gt; does not work" in page
    kept = load(tmp_path / "race-digits.json")
    assert kept.failed == {"lion": "ValueError: <it> does not work"}
    said = json.loads(CliRunner().invoke(race, ["--from", str(tmp_path / "race-digits.json"), "--json"]).stdout)
    assert said["failed"] == kept.failed
    assert [row["rule"] for row in said["tuned"]] == ["adam", "rmsprop"]


@pytest.mark.parametrize("name", [name for name, rule in rules.all().items() if rule.vectors] + ["clip_norm+adamw"])
def test_rules_for_matrices_and_chains_race(name: str):
    problem = digits.problem()
    warm_up(name, problem)
    assert len(train(Trial(name, 1e-3, 0, 10), problem).val_loss) == 11


def test_importing_the_command_loads_nothing_slow():
    program = "import sys, descend.lab.race.cli; print(sorted({'numpy', 'sklearn', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_time_left_follows_the_pace():
    now = [0.0]
    config = Config(("adam", "lion"), steps=60, seeds=20)
    watch = Watch(config, clock=lambda: now[0])
    assert watch.left is None
    trials = [Trial(rule, 1e-3, seed, 60) for rule in config.rules for seed in range(10)]
    watch.take(Round("tuning", trials))
    made = {one.trial: one for one in record({"adam": [0.1] * 5}).runs}
    for one in list(made.values())[:8]:
        now[0] += 0.5
        watch.take(RunDone(one))
    assert watch.left == pytest.approx(12 * 0.5)
    assert watch.summary() == "tuning 8/20 · 4.0 s · about 6.0 s left"
    stages = Stages(config, [enter(rules.adam)], {}, {})
    assert stages.standings is None
    first = [Trial(rule, 1e-3, seed, 60) for rule in config.rules for seed in config.final_seeds[:8]]
    standings = record({"adam": FINALS["adam"], "lion": FINALS["lion"]}).stages().standings
    watch.take(Round("look 2", first), standings)
    assert watch.left == pytest.approx((16 + 2 * 12) * 0.5), "at most all seeds of all that go on"
    assert watch.summary() == "look 2 0/16 · 4.0 s · at most 20 s left"
    assert watch.decided() == "0 of 1 decided"


def test_a_spark_falls():
    bars = spark([2.4, 1.0, 0.3, 0.1, 0.06], 2.4, 0.06)
    assert len(bars) == 10
    assert (bars[0], bars[-1]) == ("█", "▁")
    assert list(bars) == sorted(bars, reverse=True)
