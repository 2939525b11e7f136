"""A choice from the page: what is asked is what runs, what it tells on its way, and that stopping gives an answer."""

import threading

import pytest
from served import Client

from descend.lab.choosing import on_task
from descend.lab.choosing.candidates import DEFAULT
from descend.lab.store import Store
from descend.lab.web.tab import Lab
from descend.lab.web.tabs import choose

QUICK = {"task": "quadratic", "rules": ["adamw", "gradient_descent"], "runs": 8.0, "horizon": 64}


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv("DESCEND_DATA", str(tmp_path))


@pytest.fixture
def inline(monkeypatch):
    """One process, which needs no time to start."""
    monkeypatch.setattr(choose, "PROCESSES", 1)
    monkeypatch.setattr(choose.Notebook, "of", lambda source, store, _: choose.Notebook(source, store))


def begun(lab: Lab, body: dict) -> dict:
    """All that a choice has told when it is over."""
    answer = Client(lab).post("api/choose/start", body)
    assert answer.status_code == 200, answer.text
    job = lab.jobs.get(answer.json()["job"])
    job.join(120)
    return job.news(0)[1]


def test_what_can_be_chosen_is_told():
    found = Client().post("api/choose/known").json()
    assert found["chosen"] == list(DEFAULT)
    assert set(DEFAULT) <= set(found["rules"])
    assert found["running"] is None
    assert {"digits", "quadratic"} <= {one["name"] for one in found["tasks"]}


def test_it_answers_with_the_blocks_of_its_report_and_a_second_one_runs_nothing(inline, monkeypatch):
    monkeypatch.setattr(choose, "EVERY", 0.0)
    told, blocks = begun(Lab(), QUICK), []
    assert told["state"] == "done", told
    assert "to zero; confidence" in told["answer"]
    for sign in ("To train so", "What was tried", "choice.json.gz", "Method and limits"):
        assert sign in told["blocks"]
    assert told["progress"] == ""
    assert told["runs"] > 10
    tell = choose.Job.tell

    def listen(job, **what):
        blocks.extend([what["blocks"]] if what.get("blocks") else [])
        tell(job, **what)

    monkeypatch.setattr(choose.Job, "tell", listen)
    again = begun(Lab(), QUICK)
    assert again["answer"] == told["answer"]
    assert "runs" not in again  # every run was found in the store
    [kept] = Store.open().races()
    assert kept.runs == told["runs"]
    begun(Lab(), {**QUICK, "seed": 1})
    assert len(blocks) > 3
    assert "on its way: longer runs are to come" in blocks[1]
    assert "choice.json.gz" not in blocks[1]


def test_stopped_it_gives_the_best_answer_so_far_with_its_doubt(inline, monkeypatch):
    lab = Lab()
    looked, wait = threading.Event(), threading.Event()
    so_far = on_task.so_far

    def look(choosing, *given):
        found = so_far(choosing, *given)
        if found and not looked.is_set():
            looked.set()
            assert wait.wait(60)
        return found

    monkeypatch.setattr(choose, "so_far", look)
    monkeypatch.setattr(choose, "EVERY", 0.0)
    job = lab.jobs.get(Client(lab).post("api/choose/start", QUICK).json()["job"])
    assert looked.wait(60)
    assert Client(lab).post(f"api/jobs/{job.id}/stop").json() == {"stopping": True}
    wait.set()
    job.join(60)
    told = job.news(0)[1]
    assert told["state"] == "stopped"
    assert "Interrupted: longer runs were still to come." in told["blocks"]
    assert "to zero; confidence" in told["answer"]


def test_stopped_before_there_is_an_answer_it_has_none(inline, monkeypatch):
    lab = Lab()
    monkeypatch.setattr(choose, "choose_on", lambda *_, stopped, **__: job_stops(stopped))

    def job_stops(stopped):
        while not stopped():
            pass
        raise KeyboardInterrupt

    job = lab.jobs.get(Client(lab).post("api/choose/start", QUICK).json()["job"])
    job.stop()
    job.join(60)
    told = job.news(0)[1]
    assert (told["state"], told["blocks"], "answer" in told) == ("stopped", "", False)


def test_workers_that_are_ended_are_no_rules_that_failed():
    """In processes, as the page does it: stopping kills them in the midst of a run."""
    lab = Lab()
    body = {"task": "grokking", "rules": ["adamw"], "seconds": 600.0, "horizon": 20_000}
    job = lab.jobs.get(Client(lab).post("api/choose/start", body).json()["job"])
    while "done" not in job.news(0)[1]:
        assert not job.over
    job.stop()
    job.join(120)
    assert job.state == "stopped"


def test_what_there_is_no_answer_to_is_said_without_the_name_of_a_class(inline, monkeypatch):
    def choose_on(*_, **__):
        raise ValueError("no rule made the loss smaller")

    monkeypatch.setattr(choose, "choose_on", choose_on)
    told = begun(Lab(), QUICK)
    assert (told["state"], told["error"]) == ("failed", "no rule made the loss smaller")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "rules is missing"),
        ({**QUICK, "seconds": 5.0}, "give seconds or runs: one of them"),
        ({"rules": ["adamw"]}, "give seconds or runs: one of them"),
        ({**QUICK, "runs": 0}, "runs must be a number from 0.01 to 1000"),
        ({**QUICK, "runs": 0.5}, "the budget is 0.5 of the training that is chosen for"),
        ({**QUICK, "horizon": 8}, "horizon must be a whole number from 16"),
        ({**QUICK, "task": "../x.py"}, "task: no '../x.py'"),
        ({**QUICK, "task": "quadratik"}, "Did you mean 'quadratic'?"),
        ({**QUICK, "rules": ["adamm"]}, "no rule 'adamm'"),
        ({**QUICK, "rules": ["adam#2"]}, "by its name alone"),
        ({**QUICK, "rules": ["clip_norm"]}, "it is a modifier"),
        ({"rules": ["adamw"], "seconds": 1e9}, "seconds must be a number from 1 to 3600"),
    ],
)
def test_what_is_not_admitted_is_refused_by_name(body, says):
    answer = Client().post("api/choose/start", body)
    assert (answer.status_code, says in answer.json()["error"]) == (400, True), answer.text
