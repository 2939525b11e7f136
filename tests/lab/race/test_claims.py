"""The claims of lectures: answers by hand, one claim for real, and what the command prints and keeps."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from descend import schedules
from descend.lab.race.claims import claims, setup
from descend.lab.race.claims.run import found, names
from descend.lab.race.claims.setup import HOLDS, NOT_HERE, OPEN, Finding, Side, lower, per_cent, ratio, span
from descend.lab.race.cli import race
from descend.lab.race.protocol.sequential import Interval


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (-0.3, -0.1, HOLDS),
        (0.05, 0.1, NOT_HERE),
        (-0.01, 0.01, NOT_HERE),
        (-0.2, 0.1, OPEN),
        (-0.019, -0.001, NOT_HERE),
    ],
)
def test_lower_needs_an_interval_that_lies_below_zero_and_matters(low: float, high: float, answer: str):
    assert lower(Interval((low + high) / 2, low, high, 20)) == answer


def test_a_ratio_is_paired_and_a_diverged_run_counts_a_hundredfold():
    assert ratio([2.0, 1.0], [1.0, 1.0]) == pytest.approx([math.log(2), 0])
    assert ratio([math.inf], [0.5]) == pytest.approx([math.log(100)])
    assert ratio([0.0], [0.0]) == [0]
    assert per_cent(Interval(math.log(0.9), math.log(0.8), math.log(1.05), 20)) == "-10.0 % (-20.0 to +5.0)"
    assert per_cent(Interval(math.log(50), math.log(3), math.log(800), 20)) == "times 50 (3 to 8e+02)"


def test_both_sides_see_the_same_seeds_and_settings_reach_the_rule(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(setup, "FRESH", 3)
    rising = (("momentum", schedules.linear(30, 0.5, 0.99)),)
    sides = [Side("momentum_accumulation", steps=30, settings=s) for s in ((), rising, (("momentum", 0.9),))]
    runs = [side.fresh(0.01, 7) for side in sides]
    assert [[run.seed for run in some] for some in runs] == [[107, 108, 109]] * 3
    assert runs[0][0].val_loss[0] == runs[1][0].val_loss[0]
    assert runs[0][0].val_loss[-1] != runs[1][0].val_loss[-1]
    assert runs[0][0].val_loss == runs[2][0].val_loss, "0.9 is the default"


def test_the_saddle_is_left_as_linear_algebra_says():
    """y grows by 1 + lr a step without momentum; the claim's answer is the same on every call."""
    y0 = np.random.default_rng([3, 0]).normal(0, [1.0, 1e-4])[1]
    expected = math.ceil(math.log(1 / abs(y0)) / math.log(1.018))
    assert claims.leaves_saddle("gradient_descent", 3, 0.018) == pytest.approx(expected, abs=1)
    name, says, finding = found(("saddle", 0))
    assert finding.answer == HOLDS
    assert (name, says) == ("saddle", "Momentum passes a saddle where SGD lingers")
    assert found(("saddle", 0))[2] == finding != found(("saddle", 1))[2]


def test_what_fits_is_judged_by_what_it_trains_on():
    problem, whole = claims.fitting("digits"), claims.fitting_whole("digits")
    params = problem.init(0)
    (batch,) = whole.batches(0, 1)
    assert whole.loss_and_grads(params, batch)[0] == pytest.approx(problem.validate(params)[0], rel=1e-5)


def test_the_command_says_and_keeps_every_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = Finding(HOLDS, "because <so>", "log loss ratio", span([-0.5, -0.4, -0.6]), {"mine": [math.inf]})
    monkeypatch.setattr("descend.lab.race.claims.run.run", lambda seed, processes: iter([("a", "A beats B", made)] * 2))
    done = CliRunner().invoke(race, ["claims", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "A beats B: HOLDS" in done.output
    assert "because <so>" in done.output
    kept = json.loads((tmp_path / "race-claims.json").read_text())
    assert kept[0]["between"]["n"] == 3
    assert kept[0]["numbers"] == {"mine": [None]}
    said = json.loads(CliRunner().invoke(race, ["claims", "--json", "-q", "-o", str(tmp_path)]).stdout)
    assert [one["answer"] for one in said["claims"]] == [HOLDS, HOLDS]
    refused = CliRunner().invoke(race, ["claims", "--steps", "50"])
    assert refused.exit_code == 2
    assert "claims are tested as they are, so --steps cannot change them" in " ".join(refused.output.split())


def test_claims_have_names_of_their_own():
    assert len(set(names())) == len(names()) == 10
