"""`descend surface` on tasks and scripts: the losses of the task itself, planes that hold what they say, manners."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from descend.cli import descend
from descend.lab.surface.landscape import on_task
from descend.lab.surface.landscape.losses import Until, grid
from descend.lab.surface.landscape.planes import normalised
from descend.lab.tasks.source import Source, source_at
from descend.lab.tasks.task import TaskError
from descend.rules.names import find_rule

SCRIPT = """
import torch

def model():
    return torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.BatchNorm1d(6), torch.nn.Tanh(), torch.nn.Dropout(0.5),
                               torch.nn.Linear(6, 1))

def loss(model, batch):
    x, y = batch
    return torch.nn.functional.mse_loss(model(x), y)

def batches(seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(4):
        x = torch.randn(16, 3, generator=generator)
        yield x, x[:, :1] * x[:, 1:2]
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    return file


def call(*words: str):
    return CliRunner().invoke(descend, ["surface", *words], env={"COLUMNS": "100"})


def trained(source: Source, rules: str = "adamw,sgd,muon", rates=None, **how):
    return on_task.train(source.problem(), source.card(), [find_rule(r) for r in rules.split(",")], rates, **how)


def test_the_loss_of_the_digits_is_that_of_the_tasks_own_arithmetic():
    source = Source("digits")
    problem = source.problem()
    found = trained(source, "adamw", {"adamw": 0.01}, steps=20)
    trail = found.trails["adamw"]
    rows = [x for x, _ in problem.batches(0, 14)], [y for _, y in problem.batches(0, 14)]
    batch = tuple(map(np.concatenate, rows))
    assert len(batch[1]) == 896 == len({image.tobytes() for image in batch[0]})  # of 899 images, each once
    for k in (0, 20):
        parts = [p.numpy() for p in found.loss.parts(trail.points[k])]
        assert found.loss(trail.points[k]) == pytest.approx(problem.loss_and_grads(parts, batch)[0], rel=1e-6)
    assert found.loss(trail.points[20]) < 0.5 * found.loss(trail.points[0])


def test_products_with_the_hessian_are_differences_of_the_tasks_own_gradients():
    """Two-sided, in float64, of the perceptron whose gradients are written by hand."""
    source = Source("digits")
    problem = source.problem()
    problem.dtype = "float64"
    loss = on_task.OfTask(problem, source.card(), seed=3)
    loss.data = [(loss.data[0][0].double(), loss.data[0][1])]
    at = torch.cat([p.reshape(-1) for p in loss.like])
    along = torch.randn(len(at), generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def gradient(vector: torch.Tensor) -> torch.Tensor:
        _, grads = loss.gradient([p.numpy() for p in loss.parts(vector)])
        return torch.cat([torch.from_numpy(g).reshape(-1) for g in grads])

    step = 1e-7  # so short that hardly a unit changes sides
    slope = (gradient(at + step * along) - gradient(at - step * along)) / (2 * step)
    found = loss.curved(at)(along)
    assert float((found - slope).norm() / slope.norm()) < 1e-5


def test_each_rule_has_the_best_of_its_rates_and_all_begin_at_one_point():
    found = trained(Source("digits"), "adamw,sgd", steps=40)
    first = [trail.points[0] for trail in found.trails.values()]
    assert torch.equal(*first)
    for name, lr in found.rates.items():
        assert lr is not None
        best = found.loss(found.trails[name].points[-1])
        for other in (lr / 10**0.5, lr * 10**0.5):
            again = trained(Source("digits"), name, {name: float(f"{other:.1g}")}, steps=40)
            assert again.diverged or again.loss(again.trails[name].points[-1]) >= best


def test_the_plane_of_trainings_holds_what_numpy_says():
    found = trained(Source("digits"), "adamw,sgd", {"adamw": 0.01, "sgd": 0.3, "gradient_descent": 0.3}, steps=30)
    plane = on_task.through(found, n=5)
    every = np.concatenate([torch.stack(trail.points).double().numpy() for trail in found.trails.values()])
    shares = np.linalg.svd(every - every.mean(0), compute_uv=False) ** 2
    assert plane.explained == pytest.approx((shares / shares.sum())[:2].tolist(), rel=1e-6)
    assert plane.paths[0].losses[-1] == found.loss(found.trails["adamw"].points[-1])
    assert plane.paths[1].steps.tolist() == list(range(31))
    assert plane.paths[0].name == "adamw, lr 0.01"


def test_directions_have_columns_as_long_as_those_of_the_tasks_matrices():
    found = trained(Source("digits"), "adamw", {"adamw": 0.01}, steps=5)
    parts = [torch.ones(64, 8), torch.ones(8)]
    parts[0][:, 3] = 2.0
    found.loss.like = parts
    drawn = [torch.randn(p.shape) for p in found.loss.turned(parts)]
    weight, bias = found.loss.turned(normalised(found.loss.turned(parts), drawn))
    assert torch.allclose(weight.norm(dim=0), parts[0].norm(dim=0))
    assert weight.shape == (64, 8)
    assert float(bias.norm()) == pytest.approx(8**0.5)


def test_around_the_lowest_end_the_middle_is_that_end():
    found = trained(Source("digits"), "adamw,sgd", {"adamw": 0.01, "gradient_descent": 1e-4}, steps=30)
    plane = on_task.around(found, n=3)
    assert plane.losses[1, 1] == pytest.approx(found.loss(found.trails["adamw"].points[-1]), rel=1e-6)
    assert "the end of adamw" in plane.along


def test_a_full_batch_is_the_mean_of_what_the_loss_is_of():
    found = trained(Source("digits"), "sgd", {"gradient_descent": 0.2}, steps=1, full_batch=True)
    first, second = found.trails["gradient_descent"].points
    moving = first.clone().requires_grad_()
    ((_, loss),) = found.loss.terms(found.loss.parts(moving))
    loss.backward()
    assert moving.grad is not None
    assert torch.allclose(second, first - 0.2 * moving.grad, atol=1e-7)


def test_what_explodes_ends_there_and_says_so():
    found = trained(Source("digits"), "sgd", {"gradient_descent": 1e4}, steps=30)
    assert found.diverged["gradient_descent"] < 5
    (name,) = found.named()
    assert name == f"gradient_descent, lr 10000, diverged at step {found.diverged['gradient_descent']}"


def test_a_script_with_dropout_and_batch_statistics_has_one_loss_at_one_point(script: Path):
    found = trained(source_at(script), "adam", {"adam": 0.01}, steps=8)
    end = found.trails["adam"].points[-1]
    assert found.loss(end) == found.loss(end)
    other = trained(source_at(script), "adam,sgd", {"adam": 0.01, "gradient_descent": 0.5}, steps=8)
    assert other.loss(end) == found.loss(end)  # whatever was trained last
    assert np.isfinite(on_task.sharp(found).paths[0].values).all()


@pytest.mark.parametrize("task", ["zipf-memory", "quadratic", "factorisation"])
def test_tasks_that_bring_their_gradients_have_a_plane_and_no_sharpness(task: str):
    found = trained(Source(task), "adamw", {"adamw": 0.01}, steps=6)
    assert np.isfinite(on_task.through(found, n=3).losses).all()
    with pytest.raises(TaskError, match="differentiates twice"):
        on_task.sharp(found)


# ------------------------------------------------------------------ time


class Few(Until):
    """Over after so many questions."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self.left = questions

    def over(self, done: float | None = None, most: float = 1) -> bool:
        self.left -= done is not None
        return self.left < 0


def test_a_plane_cut_short_is_right_where_it_was_computed_and_straight_between():
    """Of a plane that is linear the rest is right, too."""
    a, b, axes = np.linspace(-1, 1, 51), np.linspace(0, 1, 41), torch.eye(2, dtype=torch.float64)

    def loss(at: torch.Tensor) -> float:
        return float(3 * at[0] - at[1] + 2)

    at = torch.zeros(2, dtype=torch.float64)
    whole, all_of_them = grid(loss, at, axes, a, b, Until())
    assert all_of_them == 51 * 41
    assert np.allclose(whole, 3 * a - b[:, None] + 2)
    cut, computed = grid(loss, at, axes, a, b, Few(200))
    assert 100 < computed <= 200
    assert np.allclose(cut, whole)
    bent, _ = grid(lambda at: float(at[0] ** 2), at, axes, a, b, Few(200))
    assert 0 < np.abs(bent - a**2).max() < 0.1
    assert grid(loss, at, axes, a, b, Few(0))[1] == 20  # the coarsest are always there


def test_seconds_that_are_too_few_still_give_a_picture(tmp_path: Path):
    file = tmp_path / "x.json"
    done = call("digits", "--rules", "adamw,lion", "--seconds", "0.2", "-o", str(file))
    assert done.exit_code == 0, done.output
    told = json.loads(file.read_text())
    assert told["computed"] < 51 * 51
    assert "the others are drawn between them" in " ".join(done.output.split())


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(tmp_path: Path):
    file = tmp_path / "x.svg"
    words = ["surface", "digits", "--rules", "adamw", "--lr", "0.01", "--grid", "301", "-o", str(file)]
    process = subprocess.Popen(
        [sys.executable, "-m", "descend", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("place"):
            break
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "places were computed" in " ".join(out.split())
    assert file.stat().st_size > 1000


# ------------------------------------------------------------------ the command


@pytest.mark.slow
def test_all_views_are_written_as_all_files(tmp_path: Path, script: Path):
    common = (str(script), "--rules", "adamw,sgd", "--steps", "6", "--grid", "7")
    for ending in ("svg", "png", "html", "gif", "json"):
        done = call(*common, "-o", str(tmp_path / f"x.{ending}"))
        assert done.exit_code == 0, done.output
        assert (tmp_path / f"x.{ending}").stat().st_size > 1000
    page = (tmp_path / "x.html").read_text()
    assert "How far the plane misleads" in page
    assert "<script" not in page
    assert "NaN" not in page
    for view in ("--around", "--sharpness"):
        done = call(*common, view, "-o", str(tmp_path / f"{view}.html"))
        assert done.exit_code == 0, done.output
        assert len((tmp_path / f"{view}.html").read_bytes()) < 700_000


def test_it_prints_how_far_the_plane_misleads_and_how_much_it_holds():
    done = call("digits", "--rules", "adamw", "--lr", "0.01", "--steps", "8", "--grid", "3")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "of the movement" in said
    assert "path at step loss there on the plane error of range" in said
    assert len([line for line in done.output.splitlines() if line.startswith("adamw")]) >= 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["digitz"], "Did you mean 'digits'"),
        (["digits", "--ball"], "--ball: only for a surface over the plane, which digits is not"),
        (["digits", "--start", "1,1"], "--start: only for a surface over the plane"),
        (["saddle", "--sharpness", "--grid", "9"], "--sharpness, --grid: only for a task or a training script"),
        (["digits", "--sharpness", "--around"], "--around and --sharpness exclude each other"),
        (["digits", "--sharpness", "-o", "x.gif"], "no animation"),
        (["digits", "--lr", "adam=1", "--rules", "lion"], "adam does not run"),
        (["digits", "--lr", "fast"], "a number, or RULE=NUMBER"),
        (["quadratic", "--sharpness", "--steps", "3", "--rules", "adamw", "--lr", "0.1"], "differentiates twice"),
    ],
)
def test_bad_usage_exits_2(words: list[str], says: str):
    done = call(*words)
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())


def test_a_rate_for_each_rule_is_one_on_a_surface_too():
    done = call("saddle", "-q", "--rules", "gradient_descent,rmsprop", "--lr", "sgd=0.1,rmsprop=0.03")
    assert [line.split()[:2] for line in done.output.splitlines()[-2:]] == [
        ["gradient_descent", "0.1"],
        ["rmsprop", "0.03"],
    ]


def test_a_script_that_does_not_train_is_said(tmp_path: Path):
    file = tmp_path / "half.py"
    file.write_text("def model(): ...\n")
    assert "half.py has no function loss and no batches" in " ".join(call(str(file)).output.split())
