"""`descend lr`: what it prints, what it refuses, and what it leaves when it is stopped."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner, Result

from descend.cli import descend

SHORT = ("--steps", "60", "--repeats", "1")


def call(*args: str, width: int = 80) -> Result:
    return CliRunner().invoke(descend, ["lr", *args], env={"COLUMNS": str(width)})


@pytest.mark.parametrize("width", [40, 100])
def test_it_prints_curve_rates_and_reason_within_the_width(width):
    result = call("adam", *SHORT, width=width)
    assert result.exit_code == 0, result.output
    lines = result.output.split("\n")
    assert max(map(len, lines)) <= width
    assert lines[0] == "adam on digits"
    text = " ".join(result.output.split())
    assert "widest stable" in text
    assert "confidence" in text
    assert "\x1b" not in result.output


def test_json_and_quiet_say_the_same():
    document = json.loads(call("momentum_accumulation", "digits", *SHORT, "--json").output)
    assert call("momentum_accumulation", "digits", *SHORT, "-q").output == f"{document['lr']:g}\n"
    assert set(document["suggestions"]) == {"valley", "steepest", "minimum/10", "slide"}
    assert document["evaluations"] <= 60 * 2 + 8 * 15


def test_a_seed_gives_the_same_twice_and_another_seed_another_curve():
    first, second, other = (
        json.loads(call("adam", *SHORT, "--json", "--seed", seed).output)["curves"][0]["raw"] for seed in "112"
    )
    assert first == second != other


@pytest.mark.parametrize("ending", ["svg", "png", "html"])
def test_the_picture_is_written(ending, tmp_path):
    path = tmp_path / f"x.{ending}"
    result = call("adam", *SHORT, "-o", str(path))
    assert result.exit_code == 0
    assert path.stat().st_size > 3000
    assert f"wrote {path}" in result.output.replace("\n", "")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["adm"], "Did you mean 'adam'?"),
        (["clip_norm"], "no rule 'clip_norm' with a learning rate"),
        ([], "Missing argument 'RULE'"),
        (["adam", "mnist"], "'mnist' is not 'digits'"),
        (["adam", "--steps", "3"], "3 is not in the range"),
        (["adam", "--seconds", "0"], "0.0 is not in the range"),
        (["adam", "-o", "x.pdf"], "the ending must be one of .svg, .png, .html"),
        (["adam", "--json", "-q"], "--json and --quiet exclude each other"),
    ],
)
def test_bad_usage_exits_2(args, says):
    result = call(*args)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_a_folder_that_is_not_there():
    result = call("adam", *SHORT, "-o", "/nowhere/at/all.svg")
    assert result.exit_code == 1
    assert "Could not open file" in result.output


@pytest.mark.slow
def test_ctrl_c_exits_130_with_one_line():
    program = [sys.executable, "-m", "descend", "lr", "adam", "--steps", "100000"]
    running = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(8)
    os.kill(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (130, "", "interrupted; no rate was found\n")
