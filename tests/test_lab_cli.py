"""`descend race` as a command: refusals, small races, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from lab_samples import FINALS, record

from descend.lab.cli import race
from descend.lab.race import Config
from descend.lab.record import load, to_json
from descend.lab.space import enter
from descend.lab.table import spark
from descend.lab.watch import Watch
from descend.lab.workers import WorkerError, run_race

# A process that a shell starts in the background ignores Ctrl-C; the child must not inherit that.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from descend.lab.cli import race; race()"
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
        timeout=100,
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
    assert {run.engine for run in sample.runs} == {"numba"}
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
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert "Partial: stopped before" in out
    sample = load(tmp_path / "race-digits.json")
    assert sample.partial
    assert len(sample.runs) >= 7 + 2 + 2
    assert "Partial: stopped before" in (tmp_path / "race-digits.html").read_text(encoding="utf-8")


def test_an_error_in_a_worker_arrives_with_its_rule():
    entry = enter(__import__("descend").rules.adam)
    broken = type(entry)(**{**entry.__dict__, "rule": "no_such_rule"})
    with pytest.raises(WorkerError, match="worker process on no_such_rule failed"):
        list(run_race(Config(("no_such_rule",), steps=10), [broken], 1))


def test_importing_the_command_loads_nothing_slow():
    program = "import sys, descend.lab.cli; print(sorted({'numpy', 'sklearn', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_time_left_follows_the_pace():
    from descend.lab.race import RuleDone, RuleStarted, RunDone

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
