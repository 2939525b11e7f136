"""`descend race` as a command: refusals, small races, Ctrl-C."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from lab_samples import FINALS, record

from descend import rules
from descend.lab.race.cli import race
from descend.lab.race.race import Config, RuleDone, RuleFailed, RuleStarted, RunDone, lane
from descend.lab.race.record import load, to_json
from descend.lab.race.space import enter
from descend.lab.race.table import spark
from descend.lab.race.train import train, warm_up
from descend.lab.race.watch import Watch
from descend.lab.race.workers import run_race

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
    assert [row["tied"] for row in said["tuned"]] == [False, True, False, False]
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
    assert "[2/2]" in done.stdout
    assert "\x1b[3" not in done.stdout, "a colour, despite NO_COLOR"
    sample = load(tmp_path / "race-digits.json")
    assert not sample.partial
    assert sample.config == Config(("adam", "lion"), steps=30, seeds=2)
    assert {run.seed for run in sample.runs} == {0, 100, 101}
    assert {run.engine for run in sample.runs} == {"llvm"}
    assert len([run for run in sample.runs if run.rule == "adam"]) in (7 + 2, 7 + 4)
    page = (tmp_path / "race-digits.html").read_text(encoding="utf-8")
    assert "partial" not in page.split("</style>")[1]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C differently")
def test_ctrl_c_keeps_what_is_finished(tmp_path: Path):
    command = [sys.executable, "-u", "-c", PROGRAM, "--rules", "gradient_descent,adam,lion"]
    command += ["--steps", "6000", "--seeds", "2", "-o", str(tmp_path)]  # long: the rest must not be over first
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("[1/3]"):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert err == ""
    assert "Partial: stopped before" in out
    sample = load(tmp_path / "race-digits.json")
    assert sample.partial
    assert len(sample.runs) >= 7 + 2 + 2
    assert "Partial: stopped before" in (tmp_path / "race-digits.html").read_text(encoding="utf-8")


def test_one_rule_that_fails_does_not_end_the_race():
    entries = [enter(rules.adam), enter(rules.lion), enter(rules.adamw)]
    entries[0] = replace(entries[0], rule="no_such_rule")
    entries[1] = replace(entries[1], grid=(1e-3, -1.0))  # fails after its first run
    events = list(run_race(Config(("no_such_rule", "lion", "adamw"), steps=10, seeds=2), entries, 1))
    failed = {event.rule: event.reason for event in events if isinstance(event, RuleFailed)}
    assert failed["no_such_rule"].startswith("UnknownRule: no rule 'no_such_rule'")
    assert "lr must not be negative" in failed["lion"]
    assert [event.rule for event in events if isinstance(event, RuleDone)] == ["adamw"]


def test_a_worker_that_is_killed_costs_its_rule_alone():
    entries = [enter(rules.adam), enter(rules.lion)]
    events = run_race(Config(("adam", "lion"), steps=10, seeds=2), entries, 1)
    seen = [next(events)]
    (worker,) = multiprocessing.active_children()
    worker.kill()
    seen += events
    assert RuleFailed("adam", "its worker process was killed") in seen
    assert RuleDone("lion") in seen


def test_a_failed_rule_is_named_in_tables_json_and_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def made_up(config: Config, entries: list, processes: int):
        yield RuleFailed("lion", "ValueError: <it> does not work")
        yield RuleStarted("adam")
        yield RuleStarted("rmsprop")
        for one in record({"adam": FINALS["adam"], "rmsprop": FINALS["rmsprop"]}).runs:
            yield RunDone(one)
        yield RuleDone("adam")
        yield RuleDone("rmsprop")

    monkeypatch.setattr("descend.lab.race.workers.run_race", made_up)
    words = ["--rules", "adam,lion,rmsprop", "--steps", "60", "-o", str(tmp_path)]
    done = CliRunner().invoke(race, words)
    assert done.exit_code == 1, done.output
    assert "lion failed and is not judged: ValueError: <it> does not work" in " ".join(done.stdout.split())
    assert "[1/3] lion: failed, ValueError" in done.stdout
    assert re.search(r"^ +lion +–.* failed", done.stdout, re.MULTILINE)
    assert "adam leads with a validation loss of 0.0602" in done.stdout
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
    config = Config((name,), steps=10, seeds=2)
    warm_up(name)
    entry = enter(rules.get(name))
    assert all(isinstance(event, RunDone | RuleDone) for event in lane(entry, config, lambda *a: train(*a, config)))


def test_importing_the_command_loads_nothing_slow():
    program = "import sys, descend.lab.race.cli; print(sorted({'numpy', 'sklearn', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_time_left_follows_the_pace():
    from descend.lab.race.race import RuleDone, RuleStarted, RunDone

    now = [0.0]
    sample = record({"adam": FINALS["adam"], "lion": FINALS["lion"]})
    watch = Watch(sample.config, sample.entries, clock=lambda: now[0])
    assert (watch.left, watch.expected) == (None, 34)
    watch.take(RuleStarted("adam"))
    assert watch.running == {"adam": "compiling its kernels"}
    for one in [run for run in sample.runs if run.rule == "adam"][:12]:
        now[0] += 0.5
        watch.take(RunDone(one))
    assert watch.running == {"adam": "at its default lr, seed 1/5"}
    assert watch.left == pytest.approx(22 * 0.5)
    watch.take(RuleDone("adam"))
    assert watch.expected == 29, "the five runs it did not need"
    assert watch.summary() == "12/29 runs · 6.0 s · about 8.5 s left"


def test_a_spark_falls():
    bars = spark([2.4, 1.0, 0.3, 0.1, 0.06], 2.4, 0.06)
    assert len(bars) == 10
    assert (bars[0], bars[-1]) == ("█", "▁")
    assert list(bars) == sorted(bars, reverse=True)
