"""Every endpoint: what it answers, what it refuses, and a few hundred requests that are nearly right."""

import json
import threading

import numpy as np
import pytest
from served import Client

from benchmarks.web import fuzz
from benchmarks.web.speed import script_bytes
from descend.lab.surface import SURFACES, own, run
from descend.lab.web.tab import Lab
from descend.lab.web.tabs import tabs

VALLEY = {"surface": "valley", "start": [-8, 2.6], "steps": 40}


@pytest.fixture(scope="module")
def client():
    return Client()


def unpacked(raw: bytes) -> tuple[dict, np.ndarray]:
    length = int(np.frombuffer(raw, "<u4", 1)[0])
    return json.loads(raw[4 : 4 + length]), np.frombuffer(raw, "<f4", offset=4 + length)


def test_the_examples_of_every_endpoint_are_answered(client):
    for tab in tabs():
        for endpoint in tab.endpoints:
            for example in endpoint.examples:
                if endpoint.path != "start":  # these train; the browser's tests do
                    answer = client.post(f"api/{tab.name}/{endpoint.path}", example)
                    assert answer.status_code == 200, (tab.name, endpoint.path, answer.text[:300])


def test_paths_are_those_of_the_library(client):
    rules = [{"rule": "adam", "lr": 0.3}, {"rule": "gradient_descent", "lr": 0.9}]
    head, floats = unpacked(client.post("api/surfaces/paths", {**VALLEY, "rules": rules}).content)
    ours = run("valley", ["adam"], (-8, 2.6), lr=0.3, steps=40, engine="numpy")[0]
    assert [one["rule"] for one in head["paths"]] == ["adam", "gradient_descent"]
    assert (head["paths"][0]["m"], head["paths"][0]["v"], head["paths"][0]["sign"]) == ("m", "v", -1.0)
    np.testing.assert_array_equal(floats[:82].reshape(41, 2), ours.points.astype("<f4"))
    np.testing.assert_array_equal(floats[82:123], (ours.heights - SURFACES["valley"].lowest).astype("<f4"))
    np.testing.assert_array_equal(floats[123:203].reshape(40, 2), ours.slopes.astype("<f4"))
    np.testing.assert_array_equal(floats[283:365].reshape(41, 2), ours.state["m"].astype("<f4"))


def test_a_rule_without_a_rate_and_one_for_matrices_walk_too(client):
    body = {**VALLEY, "rules": [{"rule": "muon", "lr": 0.1}, {"rule": "dog"}]}
    head, _ = unpacked(client.post("api/surfaces/paths", body).content)
    assert head["paths"][0]["stepped_as"] != ""


def test_a_path_that_leaves_says_where_and_when(client):
    body = {**VALLEY, "rules": [{"rule": "gradient_descent", "lr": 5.0}]}
    head, floats = unpacked(client.post("api/surfaces/paths", body).content)
    path = head["paths"][0]
    assert path["left"] == 1
    assert path["diverged"] is not None
    assert path["exit"][1] == pytest.approx(-4)
    assert np.isfinite(floats).all()


def test_a_function_of_yours_can_be_walked_on():
    lab = Lab()
    bowl = own(lambda x, y: x * x + y * y, name="bowl")
    lab.surfaces["bowl"] = bowl
    client = Client(lab)
    assert "bowl" in {one["name"] for one in client.post("api/surfaces/known").json()["surfaces"]}
    body = {"surface": "bowl", "rules": [{"rule": "adam", "lr": 0.5}]}
    assert unpacked(client.post("api/surfaces/paths", body).content)[0]["paths"][0]["steps"] == bowl.steps


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("surfaces/paths", {}, "surface is missing"),
        ("surfaces/paths", {**VALLEY, "rules": []}, "rules must be a list of 1 to 12, got []"),
        ("surfaces/paths", {**VALLEY, "rules": [{"rule": "adm"}]}, "no rule 'adm'. Did you mean"),
        ("surfaces/paths", {**VALLEY, "rules": [{"rule": "adam", "lr": -1}]}, "rules[0].lr must be a number from 0 to"),
        ("surfaces/paths", {**VALLEY, "rules": [{"rule": "adam", "rate": 1}]}, "rules[0].'rate' is not known"),
        ("surfaces/paths", {**VALLEY, "steps": 10**6, "rules": [{"rule": "adam"}]}, "steps must be a whole number"),
        ("surfaces/paths", {**VALLEY, "start": [1], "rules": [{"rule": "adam"}]}, "start must be two finite numbers"),
        ("surfaces/ground", {"surface": "sadle"}, "surface: no 'sadle'. Did you mean 'saddle'?"),
        ("surfaces/tune", {**VALLEY, "steps": 2000, "rules": [{"rule": "adam"}] * 3}, "rules × steps must be at most"),
        ("race/start", {"task": "/etc/passwd", "rules": ["adam"]}, "task: no '/etc/passwd'."),
        ("race/start", {"task": "digits", "rules": ["adam"], "seconds": 10**6}, "seconds must be a number from 1 to"),
        ("race/start", {"task": "digits", "rules": ["nobody"]}, "no rule 'nobody'"),
        ("rate/start", {"rule": "adam", "steps": 10**6}, "steps must be a whole number from 10 to 1000"),
        ("rate/start", {"rule": "nobody"}, "no rule 'nobody'"),
        ("jobs/nothing/stop", {}, "there is no such job"),
    ],
)
def test_what_is_not_admitted_is_refused_by_name(client, path, body, says):
    answer = client.post(f"api/{path}", body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_a_job_tells_what_has_changed_and_one_of_a_kind_runs_at_a_time():
    lab = Lab()
    client = Client(lab)

    def work(job):
        job.tell(progress="half")
        assert job.asked_to_stop.wait(10)

    job = lab.jobs.begin("race", work)
    assert "a race is running already" in client.post("api/race/start", {"rules": ["adam"]}).json()["error"]
    assert client.post(f"api/jobs/{job.id}/stop").json() == {"stopping": True}
    with client.http.stream("GET", f"/a-key-of-the-tests/api/jobs/{job.id}/events") as events:
        text = "".join(events.iter_text())
    told = [json.loads(line[6:]) for line in text.splitlines() if line.startswith('data: {"')]
    assert told[0]["progress"] == "half"
    assert told[-1]["state"] == "stopped"
    assert text.endswith("event: end\ndata: {}\n\n")
    assert client.get("api/jobs/nothing/events").status_code == 400


def test_work_that_fails_says_so_and_the_server_goes_on():
    lab = Lab()
    job = lab.jobs.begin("race", lambda job: 1 / 0)
    job.join(5)
    assert job.news(0)[1] == {"state": "failed", "error": "ZeroDivisionError: division by zero"}
    lab.jobs.begin("race", lambda job: None)


def test_stopping_all_waits_for_nobody_for_long():
    lab, heard = Lab(), threading.Event()
    job = lab.jobs.begin("deaf", lambda job: heard.wait(60))
    lab.jobs.end(0.05)
    assert not job.over
    heard.set()
    job.join(60)
    assert job.state == "stopped"


def test_a_few_hundred_requests_that_are_nearly_right(monkeypatch):
    monkeypatch.setattr(fuzz, "PATIENCE", 60)  # one asks for three trainings in full, and other tests run beside this
    found = fuzz.run(500, seed=1)
    assert found["wrong"] == []
    assert found["alive"]
    assert {"200", "400", "403", "404", "405", "413", "415", "421"} <= set(found["statuses"])


def test_the_fuzzer_can_fail(monkeypatch):
    from descend.lab.web.fields import Fields

    monkeypatch.setattr(Fields, "word", lambda self, name, *a, **k: {}[name])
    assert not fuzz.ok(fuzz.run(40, seed=2))


def test_the_scripts_stay_small():
    assert script_bytes() <= 300_000
