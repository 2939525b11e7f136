"""The plan of ``descend bench``: jobs that share a time, and what a run consists of."""

from typing import Any

import pytest

from descend.bench import plan
from descend.bench.peers import FUSED, UNFUSED
from descend.bench.plan import Job
from descend.bench.report import Report
from descend.bench.speed import Bench
from descend.bench.timing import Clock


def clocked() -> tuple[Clock, list[float]]:
    time = [0.0]
    return Clock(lambda: time[0], lambda seconds: None), time


def test_jobs_share_the_time_that_is_left():
    clock, time = clocked()
    given = []

    def job(about: float, takes: float) -> Job:
        def run(until: float) -> None:
            given.append(until - time[0])
            time[0] += takes

        return Job("speed", f"job {about}", about, run)

    plan.run([job(30, 10), job(10, 2), job(10, 5)], Report(), 50.0, clock)
    assert given == pytest.approx([30, 20, 30])  # 30 of 50; half of what is left; at most three times `about`


def test_what_the_time_does_not_suffice_for_is_named():
    clock, time = clocked()
    found = Report()

    def slow(until: float) -> None:
        time[0] += 100.0

    plan.run([Job("speed", name, 1.0, slow) for name in ("a", "b", "c")], found, 10.0, clock)
    assert found.left_out == ["b", "c"]
    assert found.errors == {}


def test_a_job_that_fails_stops_no_other():
    clock, _ = clocked()
    said: list[str] = []
    found = Report(say=said.append)
    done = []

    def fails(until: float) -> None:
        raise ValueError("no memory\nat all")

    jobs = [Job("speed", "a", 1.0, fails), Job("speed", "b", 1.0, done.append)]
    plan.run(jobs, found, 10.0, clock)
    assert found.errors == {"a": "ValueError: no memory\nat all"}
    assert said == ["a: failed: ValueError: no memory"]
    assert len(done) == 1


def jobs_of(**options: Any) -> list[Job]:
    given = {"only": (), "chosen": (), "wanted": None, "quick": False, **options}
    return plan.jobs(Bench(), Report(), **given)


def test_a_whole_run_has_every_section_and_what_the_bars_need():
    jobs = jobs_of()
    names = {job.name for job in jobs}
    assert {job.section for job in jobs} >= set(plan.SECTIONS) - {"jax"}
    needed = {f"{rule}, {workload}" for rule in (*FUSED, *UNFUSED) for workload in ("20M", "1000x1000", "resnet18")}
    assert needed | {"adamw, 100000x16", "adamw, mlp", "global norm", "clip + AdamW + EMA"} <= names
    assert len(names) == len(jobs)


def test_parts_of_a_run():
    assert {job.section for job in jobs_of(only=("start", "bits"))} == {"start", "bits"}
    assert [job.name for job in jobs_of(chosen=("mlp",), wanted=["lion", "adam"])] == ["lion, mlp", "adam, mlp"]
    quick = jobs_of(quick=True)
    assert sum(job.about for job in quick) < 90
    assert {job.section for job in quick} == {"loop", "speed", "tail", "small", "start", "bits", "models"}
