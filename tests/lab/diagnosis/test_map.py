"""The map: its problems have the answers they claim, its verdicts are known where theory knows them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.random import default_rng

from descend import rules
from descend.cli import descend
from descend.lab.diagnosis.atlas import Atlas, drawn
from descend.lab.diagnosis.problem import PROBLEMS, STEPS
from descend.lab.diagnosis.running import RATES, cell, error_of

EXACT = [p for p in PROBLEMS.values() if p.group in ("curvature", "shape", "units")]


def test_there_are_enough_of_them_and_each_says_what_it_shows():
    assert len(PROBLEMS) >= 40
    assert all(len(p.shows) > 20 and p.shows.endswith(".") for p in PROBLEMS.values())
    assert len({p.group for p in PROBLEMS.values()}) >= 6


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda p: p.name)
def test_the_error_is_one_where_it_begins_and_a_seed_gives_one_world(problem):
    one, two = problem.world(default_rng(3)), problem.world(default_rng(3))
    assert np.array_equal(one.start, two.start)
    for t in (1, 2, STEPS // 2, STEPS):
        assert np.array_equal(one.gradient(one.start, t), two.gradient(two.start, t))
    assert one.error(one.start) == pytest.approx(1.0, rel=0.15)
    assert 0 < problem.within < 0.5


@pytest.mark.parametrize("problem", EXACT, ids=lambda p: p.name)
def test_the_gradient_is_that_of_the_error(problem):
    """Central differences; the error is the loss over that of the start, so the ratio to the gradient is one number."""
    world = problem.world(default_rng(5))
    x = world.start + 0.01 * np.abs(world.start).max() * default_rng(6).standard_normal(world.start.shape)
    slope, h = world.gradient(x, 1), 1e-6 * max(1.0, np.abs(x).max())
    numeric = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        there, back = x.copy(), x.copy()
        step = min(h, 1e-3 * abs(x[at])) or h
        there[at] += step
        back[at] -= step
        numeric[at] = (world.error(there) - world.error(back)) / (2 * step)
    cosine = np.sum(slope * numeric) / np.sqrt(np.sum(slope**2) * np.sum(numeric**2))
    assert cosine == pytest.approx(1.0, abs=1e-4)


def solves(rule, problem):
    return cell(rules.get(rule), PROBLEMS[problem]).solved


@pytest.mark.parametrize(
    ("rule", "problem", "does"),
    [
        ("gradient_descent", "round bowl", True),
        ("gradient_descent", "very long valley", False),  # 200 steps against a condition of 10,000
        ("adam", "very long valley", True),  # along the axes: a rate per coordinate
        ("gradient_descent", "tiny gradients", False),  # its step is the gradient, and no rate here is 1e6
        ("adam", "tiny gradients", True),
        ("momentum_accumulation", "spikes of either sign", False),
        ("gradient_descent", "spikes of either sign", False),  # no rate is one after the last of them
        ("sign_sgd", "spikes of either sign", True),  # a step is bounded
        ("rprop", "turned signs", False),  # the lecture: Rprop fails on mini-batches
        ("rprop", "very long valley", True),
        ("adagrad", "false start", False),  # it never forgets
        ("lion", "signs alone", True),
        ("sign_sgd", "signs alone", True),
        ("rprop", "late by ten", False),
    ],
)
def test_what_theory_knows(rule, problem, does):
    assert solves(rule, problem) is does


def test_a_rate_too_large_for_gradient_descent_is_too_large():
    """Stable below 2 for the first curvature of the round bowl, which is one."""
    rule, bowl = rules.get("gradient_descent"), PROBLEMS["round bowl"]
    assert error_of(rule, bowl, 1.0, 0) < 1e-6
    assert error_of(rule, bowl, 100.0, 0) > 1


def test_a_cell_counts_decades_and_a_seed_repeats_it():
    one, two = (cell(rules.get("adam"), PROBLEMS["white noise"], seed=4) for _ in range(2))
    assert one == two
    assert one.width == 0.5 * sum(e <= 0.1 for e in one.errors)
    assert len(one.errors) == len(RATES) == 13


def test_a_rule_that_needs_more_is_named_and_the_others_go_on():
    def find(name):
        if name == "broken":
            raise RuntimeError("it needs a curvature")
        return rules.get(name)

    made = Atlas(["broken", "sign_sgd"])
    for found in drawn(made.rules, 0, find, 1):
        made.take(found)
    assert made.refused == {"broken": "RuntimeError: it needs a curvature"}
    assert made.asked == ["sign_sgd"]
    assert "it needs a curvature" in str(made)
    assert "sign_sgd" in made.to_html()


OWN = '''
from descend import rule, zeros

@rule
def backwards(p, g, *, lr=0.1):
    """Backwards: uphill."""
    p = p + lr * g
    return p
'''


def test_a_rule_of_yours_joins(tmp_path):
    (tmp_path / "my_rules.py").write_text(OWN)
    call = ["map", str(tmp_path / "my_rules.py"), "--rules", "sign_sgd", "--processes", "1"]
    result = CliRunner().invoke(descend, [*call, "--json", "-o", str(tmp_path / "map.html")])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    mine = [c for c in found["cells"] if c["rule"] == "backwards"]
    assert len(mine) == len(PROBLEMS)
    assert not any(c["solved"] for c in mine if c["problem"] == "round bowl")
    assert "backwards" in (tmp_path / "map.html").read_text()


@pytest.mark.parametrize(
    ("args", "says"),
    [(("--rules", "adamm"), "adam"), (("missing.py",), "missing.py"), (("-o", "x.svg"), ".html"),
     (("--json", "-q"), "exclude")],
)  # fmt: skip
def test_bad_usage_is_named(args, says):
    result = CliRunner().invoke(descend, ["map", *args])
    assert result.exit_code == 2
    assert says in result.output


def test_a_rule_of_yours_that_takes_a_name_or_cannot_run_is_said(tmp_path):
    (tmp_path / "mine.py").write_text(OWN.replace("backwards", "sign_sgd").replace("p = p + lr * g", "raise KeyError"))
    call = ["map", str(tmp_path / "mine.py"), "--rules", "sign_sgd,gradient_descent", "--processes", "1", "-q"]
    result = CliRunner().invoke(descend, call)
    assert result.exit_code == 1
    assert result.stdout.startswith("gradient_descent ")
    assert "sign_sgd is the rule of" in result.stderr
    assert "KeyError" in result.stderr
