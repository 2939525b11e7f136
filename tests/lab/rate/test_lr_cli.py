"""`descend lr`: what it prints, what it refuses, and what it leaves when it is stopped."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from descend.cli import descend
from descend.draw.progress import lines
from descend.lab.rate.on_task import APART, READ, find_on
from descend.lab.tasks.source import Source
from descend.torch import find_lr

SHORT = ("--steps", "60", "--repeats", "1")


def call(*args: str, width: int = 80) -> Result:
    return CliRunner().invoke(descend, ["lr", *args], env={"COLUMNS": str(width)})


@pytest.mark.parametrize("width", [40, 100])
def test_it_prints_curve_rates_and_reason_within_the_width(width):
    result = call("adam", *SHORT, width=width)
    assert result.exit_code == 0, result.output
    lines = result.stdout.split("\n")
    assert max(map(len, lines)) <= width
    assert lines[0] == "adam on digits"
    text = " ".join(result.stdout.split())
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


SCRIPT = """
import torch
def model(): return torch.nn.Linear(2, 1)
def loss(model, batch): return (model(batch) - 1).square().mean()
def batches(seed):
    numbers = torch.Generator().manual_seed(seed)
    return [torch.randn(4, 2, generator=numbers) for _ in range(5)]
"""


@pytest.mark.parametrize("name", ["mine.py", "mine.csv", "mine.txt"])
def test_it_takes_what_a_race_takes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{k % 7},{k % 5},{'yes' if k % 7 > 3 else 'no'}\n" for k in range(120))
    texts = {"mine.py": SCRIPT, "mine.csv": f"a,b,told\n{rows}", "mine.txt": "to be or not to be, that is it. " * 90}
    (tmp_path / name).write_text(texts[name], encoding="utf-8")
    if name == "mine.csv":
        refused = call("adam", name, *SHORT)
        assert (refused.exit_code, "name the column to be told with --target" in refused.output) == (2, True)
    found = call("adam", name, *SHORT, *(["--target", "told"] if name == "mine.csv" else []))
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith("adam on mine\n")


def test_a_script_whose_loss_is_no_number_is_refused_before_the_run(tmp_path, no_run):
    path = tmp_path / "mine.py"
    path.write_text(SCRIPT.replace("- 1", "* float('nan')"), encoding="utf-8")
    result = call("adam", str(path), *SHORT)
    assert result.exit_code == 2
    assert "the loss of the first batch is nan before any step" in " ".join(result.output.split())


def test_a_task_of_arrays_has_the_curve_of_the_same_in_torch():
    ours = find_on(Source("digits-logistic"), "adam", 3, steps=40, repeats=1)
    problem = Source("digits-logistic").problem()
    w, b = (torch.from_numpy(array.copy()) for array in problem.init(3))
    model = torch.nn.Linear(64, 10)
    model.load_state_dict({"weight": w.T, "bias": b})
    batches = [tuple(map(torch.from_numpy, batch)) for batch in problem.batches(READ + 3 + APART, 40)]
    theirs = find_lr(model, "adam", torch.nn.functional.cross_entropy, batches, steps=40, repeats=1, probes=0)
    n = min(len(ours.curves[0].raw), len(theirs.curves[0].raw)) // 2  # later, rates are too large to repeat
    assert n > 10
    np.testing.assert_allclose(ours.curves[0].raw[:n], theirs.curves[0].raw[:n], rtol=1e-5)


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
        (["adm"], "Did you mean 'adam'"),
        (["clip_norm"], "no rule 'clip_norm': it is a modifier"),
        ([], "Missing argument 'RULE'"),
        (["adam", "digit"], "no task 'digit'. Did you mean 'digits'?"),
        (["adam", "nowhere.csv"], "there is no file nowhere.csv"),
        (["adam", "digits", "--target", "x"], "it names a column of a .csv file"),
        (["adam", "--steps", "3"], "3 is not in the range"),
        (["adam", "--seconds", "0"], "0.0 is not in the range"),
        (["adam", "-o", "x.gif"], "the name must end in .svg, .png, .pdf or .html"),
        (["adam", "--json", "-q"], "--json and --quiet exclude each other"),
    ],
)
def test_bad_usage_exits_2(args, says):
    result = call(*args)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())
    assert "Traceback" not in result.output


@pytest.fixture
def no_run(monkeypatch):
    monkeypatch.setattr("descend.torch.learning_rate.find_lr", lambda *_, **__: pytest.fail("it ran all the same"))


def test_a_folder_that_is_not_there_is_refused_before_the_run(no_run):
    result = call("adam", *SHORT, "-o", "/nowhere/at/all.svg")
    assert result.exit_code == 2
    assert "'/nowhere/at/all.svg': there is no folder /nowhere/at" in " ".join(result.output.split())


@pytest.mark.parametrize("exists", [False, True], ids=["the folder", "the file"])
def test_what_may_not_be_written_is_refused_before_the_run(exists, no_run, tmp_path, monkeypatch):
    path = tmp_path / "x.svg"
    if exists:
        path.touch()
    asked = []
    monkeypatch.setattr(os, "access", lambda where, mode: mode == os.R_OK or asked.append(where))
    result = call("adam", *SHORT, "-o", str(path))
    assert asked == [path if exists else tmp_path]
    assert result.exit_code == 2
    assert "no permission to" in result.output


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_picture_that_cannot_be_written_after_all_does_not_take_the_result_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr("descend.torch.LRFinding.save", full)
    result = call("adam", *SHORT, "-q", "-o", str(tmp_path / "x.svg"))
    assert result.exit_code == 1
    assert float(result.stdout) > 0
    assert result.stderr == f"Error: could not write to {tmp_path / 'x.svg'}: No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_the_output_is_one_line():
    program = [sys.executable, "-m", "descend", "lr", "adam", *SHORT, "-q"]
    with open("/dev/full", "w") as stdout:
        done = subprocess.run(program, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (1, "Error: could not write: No space left on device\n")


INTERRUPTED = """
import os, signal, sys
from descend.cli import main
from descend.torch import learning_rate as range_test
find_lr = range_test.find_lr
def interrupted(*given, **settings):
    return find_lr(*given, **{**settings, "progress": lambda *_: os.kill(os.getpid(), signal.SIGINT)})
range_test.find_lr = interrupted
sys.argv = ["descend", "lr", "adam"]
main()
"""


def test_ctrl_c_exits_130_with_one_line():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines() == ["range test of adam: loading", "interrupted; no rate was found"]


def test_in_a_pipe_it_speaks_before_torch_is_loaded():
    program = (
        "import sys; from descend.lab.rate.cli import progress\n"
        "with progress('range test of adam'): print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "range test of adam: loading\n")


def test_progress_in_lines_has_the_time_left(capsys):
    now = 0.0
    progress = lines(clock=lambda: now)
    for step in range(1, 101):
        now += 0.1
        progress(step, 200)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "step 1 of at most 200"
    assert said[1] == "step 21 of at most 200, at most 18 s left"
    assert len(said) == 5


def test_low_confidence_is_said_when_quiet_too(monkeypatch):
    monkeypatch.setattr("descend.torch.LRFinding.doubts", property(lambda found: ["low: the repeats differ by ×11"]))
    result = call("adam", *SHORT, "-q")
    assert float(result.stdout) > 0
    assert result.stderr == "low confidence: the repeats differ by ×11\n"
