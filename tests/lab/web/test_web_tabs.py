"""The tabs that explain: what they answer is what the library says, and what they refuse."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from served import Client

from descend import schedules
from descend.cli import descend as main
from descend.explain import facts
from descend.explain.by_hand import by_hand, shown
from descend.lab.store import Store
from descend.lab.web.tabs import matrix
from descend.rules.names import find


@pytest.fixture(scope="module")
def client():
    return Client()


def test_a_rule_is_explained_as_the_command_does(client):
    found = client.post("api/explain/about", {"rule": "adamw"}).json()["blocks"]
    assert "<math" in found
    assert facts.lines(find("adamw"))[0] in found
    assert 'href="#explain?rule=adam"' in found  # from which it grew
    assert "optax.adamw" in found
    assert {one["name"] for one in client.post("api/explain/known").json()} == set(facts.catalogue())


def test_no_style_stands_in_what_is_explained(client):
    for rule in ("muon", "soap", "clip_norm", "rprop"):
        assert " style=" not in client.post("api/explain/about", {"rule": rule}).json()["blocks"]


def test_steps_by_hand_take_the_numbers_of_the_reader(client):
    body = {"rule": "gradient_descent", "lr": 0.25, "p": 2.0, "gradient": 4.0}
    found = client.post("api/explain/steps", body).json()
    assert found["p"] == "1"
    assert "2 − 0.25·4" in found["blocks"]
    twice = client.post("api/explain/steps", {"rule": "muon", "gradient": 3, "steps": 2}).json()
    assert twice["blocks"].count("<caption>") == 2
    scaled = client.post("api/explain/steps", {"rule": "muon", "gradient": 1}).json()
    assert scaled["p"] == shown(by_hand(find("muon"))[0].p)


@pytest.mark.parametrize("rule", ["lars", "adafactor", "dog", "clip_norm", "lookahead", "clip_norm+adamw"])
@pytest.mark.parametrize("gradient", [0, -1e6, 1e-300])
def test_no_number_breaks_a_step(client, rule, gradient):
    assert client.post("api/explain/steps", {"rule": rule, "gradient": gradient, "steps": 3}).status_code == 200


@pytest.mark.parametrize(
    ("body", "made"),
    [
        ({"warmup": 100}, 0.1 * (schedules.linear_warmup(100) >> schedules.cosine(900))),
        ({"shape": "linear", "end": 0.5, "peak": 2.0}, 2.0 * schedules.linear(1000, 1.0, 0.5)),
        (
            {"shape": "wsd", "decay": 0.3, "warmup": 50, "kind": "exponential"},
            0.1 * (schedules.exponential_warmup(50) >> schedules.wsd(0, 650, 300)),
        ),
        ({"shape": "constant", "steps": 7}, 0.1 * schedules.constant()),
        ({"shape": "step", "every": 10, "factor": 0.3}, 0.1 * schedules.step_decay(10, 0.3)),
    ],
)
def test_a_schedule_is_drawn_and_its_code_makes_it(client, body, made):
    found = client.post("api/schedules/draw", body).json()
    named: dict = {}
    exec(found["code"], named)
    assert named["lr"] == made
    assert "<svg" in found["blocks"]
    assert f">{made(body.get('steps', 1000) // 2):.4g}<" in found["blocks"]


def test_a_curve_that_is_drawn_by_fewer_points_keeps_its_kinks(client):
    body = {"shape": "step", "every": 123, "factor": 0.5, "warmup": 77}
    path = re.search(r'<path class="line[^>]* d="M([^"]*)"', client.post("api/schedules/draw", body).json()["blocks"])
    assert path
    places = np.array([[float(x) for x in place.split()] for place in path[1].split("L")])
    falls = np.diff(places, axis=0)
    steepest = falls[np.argsort(-falls[:, 1])[:7]]  # SVG's y points down
    assert len(places) < 250
    assert np.all(steepest[:, 0] < 1.2)  # each drop takes one of the 1000 steps, on 900 pixels
    first = falls[: np.argmin(places[:, 1])]
    assert np.ptp(first[:, 1] / first[:, 0]) < 0.3  # the warm-up is one straight line


def test_what_the_store_holds_is_listed_and_its_reports_are_shown(client, tmp_path, monkeypatch):
    monkeypatch.setenv("DESCEND_DATA", str(tmp_path))
    assert client.post("api/runs/kept").json()["races"] == []
    assert client.post("api/runs/report").json() == {"race": None, "blocks": "", "verdict": ""}
    words = ["race", "--task", "digits", "--rules", "gradient_descent,adam", "--quick", "--steps", "10", "--seeds", "2"]
    assert CliRunner().invoke(main, [*words, "-q", "--out", str(tmp_path)]).exit_code == 0
    store = Store.open()
    empty = store.begin("digits", store.races()[0].asked, {})
    store.close()
    kept = client.post("api/runs/kept").json()
    told = json.loads(CliRunner().invoke(main, ["runs", "--json"]).output)
    assert kept["store"] == told["store"]
    for key in ("race", "state", "runs"):
        assert [one[key] for one in kept["races"]] == [one[key] for one in told["races"]]
    assert [(one["rules"], one["report"]) for one in kept["races"]] == [
        ("gradient_descent, adam", False),
        ("gradient_descent, adam", True),
    ]
    name = told["races"][1]["race"]
    found = client.post("api/runs/report", {"race": name}).json()
    assert found["race"] == name
    assert 'id="tables"' in found["blocks"]
    assert json.loads(CliRunner().invoke(main, ["runs", "--json"]).output) == told  # nothing was changed
    for hostile in (empty, name[:-1], "' OR 1=1 --", "../x", ""):
        answer = client.post("api/runs/report", {"race": hostile})
        assert (answer.status_code, "the store has no race" in answer.json()["error"]) == (400, True)


def test_without_a_name_the_newest_race_that_has_a_report_is_shown(client, tmp_path, monkeypatch):
    """A race that was ended while it was tuned is newer, and has none."""
    monkeypatch.setenv("DESCEND_DATA", str(tmp_path))
    words = ["race", "--task", "digits", "--rules", "gradient_descent,adam", "--quick", "--steps", "10", "--seeds", "2"]
    assert CliRunner().invoke(main, [*words, "-q", "--out", str(tmp_path)]).exit_code == 0
    store = Store.open()
    whole = store.races()[0]
    tuned = store.begin("digits", whole.asked, {})
    store.keep(tuned, next(run for run in store.runs(whole.id).values() if run.seed < 100))
    store.close()
    assert client.post("api/runs/report").json()["race"] == whole.id
    answer = client.post("api/runs/report", {"race": tuned})
    assert (answer.status_code, "still being tuned" in answer.json()["error"]) == (400, True)


def test_singular_values_are_those_of_the_updates(client):
    found = client.post("api/matrix/draw", {"steps": 60}).json()
    assert found["blocks"].count("<svg") == 12
    runs = {rule: matrix.walked(rule, lr, 60, 0) for rule, lr in matrix.RATES.items()}
    ranks = {rule: np.sum(run.update[-1] ** 2) / run.update[-1][0] ** 2 for rule, run in runs.items()}
    assert f"{ranks['muon']:.0f} (muon), {ranks['adamw']:.0f} (adamw)" in found["answer"]
    assert ranks["muon"] > 3 * max(ranks["adamw"], ranks["gradient_descent"])
    first = matrix.problem()
    batch = next(first.batches(0, 1))
    _, [gradient] = first.loss_and_grads(first.init(0), batch)
    ours = matrix.walked("gradient_descent", 1.0, 2, 0).update[0]
    np.testing.assert_allclose(ours, np.linalg.svd(gradient, compute_uv=False), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("rate", [1e-9, 1e5])
def test_no_rate_breaks_the_matrix(client, rate):
    body = {"steps": 20, "muon": rate, "adamw": rate, "gradient_descent": rate}
    answer = client.post("api/matrix/draw", body)
    assert answer.status_code == 200
    assert "nan" not in answer.json()["blocks"].lower()


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("explain/about", {}, "rule is missing"),
        ("explain/about", {"rule": "adm"}, "Did you mean"),
        ("explain/about", {"rule": "<script>"}, "no rule '<script>'"),
        ("explain/steps", {"rule": "adam", "lr": -1}, "lr must be a number from 0 to"),
        ("explain/steps", {"rule": "swa", "lr": 1}, "swa has no learning rate"),
        ("explain/steps", {"rule": "muon", "p": 1}, "muon steps a matrix"),
        ("explain/steps", {"rule": "adam", "steps": 11}, "steps must be a whole number from 1 to 10"),
        ("explain/steps", {"rule": "adam", "gradient": "1"}, "gradient must be a number"),
        ("matrix/draw", {"steps": 10**6}, "steps must be a whole number from 2 to 200"),
        ("matrix/draw", {"muon": -1}, "muon must be a number from 1e-09"),
        ("matrix/draw", {"lion": 1}, "'lion' is not known"),
        ("runs/report", {"race": 1}, "race must be a text"),
        ("runs/kept", {"forget": "x"}, "'forget' is not known"),
        ("schedules/draw", {"steps": 10**9}, "steps must be a whole number from 2 to 1000000"),
        ("schedules/draw", {"steps": 10, "warmup": 10}, "warmup must be less than the 10 steps"),
        ("schedules/draw", {"shape": "wsd", "steps": 10, "warmup": 9}, "warmup and decay take 11 steps of 10"),
        ("schedules/draw", {"shape": "__class__"}, "shape: no '__class__'"),
        ("schedules/draw", {"peak": 0}, "peak must be a number from 1e-12"),
        ("schedules/draw", {"code": "import os"}, "'code' is not known"),
    ],
)
def test_what_is_not_admitted_is_refused_by_name(client, path, body, says):
    answer = client.post(f"api/{path}", body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]
