"""How far the map depends on luck (benchmarks.diagnosis): what a cell is asked, and the intervals."""

import pytest
from click.testing import CliRunner

from benchmarks import diagnosis
from descend import rules
from descend.lab.diagnosis.problem import PROBLEMS
from descend.lab.diagnosis.running import cell


@pytest.mark.parametrize(
    ("rule", "problem", "alike"),
    [
        ("adam", "stiffening", True),  # the seed draws signs alone, and the rule is odd in every coordinate
        ("gradient_descent", "very long valley", True),  # unsolved at every rate
        ("sign_sgd", "white noise", False),
    ],
)
def test_a_cell_into_which_the_seed_does_not_enter_is_found(rule, problem, alike):
    found = diagnosis.luck(rule, problem, range(4))
    assert (found.agree, found.alike) == (1.0, alike)
    if alike:
        assert cell(rules.get(rule), PROBLEMS[problem], 7).errors == cell(rules.get(rule), PROBLEMS[problem], 0).errors


def test_the_verdicts_are_those_of_whole_cells(monkeypatch):
    """Stopping at the first rate that solves a problem changes no verdict: one seed in three solves it."""

    def error_of(rule, problem, lr, seed):
        return 0.01 + 0.001 * lr if seed % 3 == 0 else 0.5 + seed / 100

    monkeypatch.setattr(diagnosis, "error_of", error_of)
    found = diagnosis.luck("adam", "white noise", range(9))
    assert found.agree == pytest.approx(6 / 9)
    assert not found.alike


def test_the_interval_of_a_share_is_wilsons():
    assert diagnosis.wilson(18, 20) == pytest.approx((0.699, 0.972), abs=1e-3)
    assert diagnosis.wilson(20, 20)[1] == pytest.approx(1.0)
    low, high = diagnosis.bootstrap([1.0] * 95 + [0.5] * 5)
    assert low < 0.975 < high


def test_a_sample_is_asked_and_reported():
    asked = ["--rules", "sign_sgd,rprop", "--problems", "stiffening,burst", "--cells", "3", "--seeds", "3"]
    result = CliRunner().invoke(diagnosis.main, [*asked, "--processes", "1"])
    assert result.exit_code == 0, result.output
    assert "3 of 4 cells" in result.stdout
    assert "cells with one verdict on every seed: 1.0000 [0.43" in result.stdout
