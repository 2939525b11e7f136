"""BBOB's tables: what is read off a run, on runs that are known, and one function of the suite."""

import json
import math

import pytest
from click.testing import CliRunner

from benchmarks.search import bbob, own_time


def run(hits, budget=100):
    return {"solver": "x", "dimension": 5, "budget": budget, "hits": hits, "seconds": 1.0, "evaluations": 1000}


FULL = [5] * 50 + [50]  # all targets, the last one after 50 evaluations


def test_the_numbers_of_known_runs():
    one = run({"1": [FULL, FULL], "2": [FULL, [5]]})
    assert bbob.pairs(one, 100) == pytest.approx((3 * 51 + 1) / (4 * 51))
    assert bbob.pairs(one, 9) == pytest.approx((3 * 50 + 1) / (4 * 51))
    assert bbob.complete(one, 100) == [1]
    assert bbob.complete(one, 9) == []
    assert bbob.ert(one, 1, 100) == 50
    assert bbob.ert(one, 2, 100) == 50 + 500
    assert bbob.ert(one, 2, 9) == math.inf
    late = math.log(500 / 50) / math.log(100)
    assert bbob.area(one, 100) == pytest.approx((3 * (50 + late) + 1) / (4 * 51))


def test_the_report_compares_with_pycma():
    ours = run({"1": [FULL], "2": [[5]]})
    theirs = run({"1": [[5] * 50 + [100]], "2": [FULL]}) | {"solver": "pycma"}
    line = bbob.report([ours, theirs], 100, theirs).splitlines()[4]
    assert "| 1 of 2 | 0.500 (1 f) | inf (f2) |" in line


def test_the_table_of_each_function():
    ours = run({"1": [FULL, FULL], "2": [[5], FULL], "3": [[5], []]})
    lines = bbob.ert_table([ours], 100).splitlines()
    assert lines[2:] == ["| 1 | 10 |", "| 2 | 110 (1 of 2) |", "| 3 | – |"]


def test_a_counted_problem_notes_targets_and_ends():
    values = iter([1000.0, 50.0, 50.0, 1e-9])
    f = bbob.Counted(lambda x: next(values), 0.0, 10)
    for _ in range(3):
        f(None)
    assert len(f.hits) == 2  # 1e2 and 63
    assert set(f.hits) == {2}
    with pytest.raises(bbob.Spent):
        f(None)
    assert f.hits[-1] == 4
    assert len(f.hits) == len(bbob.TARGETS)
    spent = bbob.Counted(lambda x: 1.0, 0.0, 1)
    spent(None)
    with pytest.raises(bbob.Spent):
        spent(None)


@pytest.mark.parametrize("solver", ["cma_es", "auto", "l_shade", "pso"])
def test_the_sphere_of_the_suite_is_solved(solver, tmp_path):
    pytest.importorskip("cocoex")
    file = tmp_path / "runs.json"
    options = ["--solver", solver, "--instances", "2", "--function", "1", "--budget", "2000", "--json", str(file)]
    shown = CliRunner().invoke(bbob.main, options, catch_exceptions=False)
    assert f"| {solver} | 1.000 |" in shown.output
    (saved,) = json.loads(file.read_text())
    assert [len(h) for h in saved["hits"]["1"]] == [51, 51]


def test_an_unknown_solver_is_refused():
    assert "choose from cma_es" in CliRunner().invoke(bbob.main, ["--solver", "cmaes"]).output


def test_the_table_of_own_times_has_a_column_for_each(monkeypatch):
    run = own_time.ours(own_time.CMAES, own_time.sphere, sigma0=1)
    monkeypatch.setattr(own_time, "TABLES", {"one": ((3,), 100, {"a": run, "b": run})})
    shown = CliRunner().invoke(own_time.main, ["--rounds", "1"], catch_exceptions=False).output
    assert "| D | a | b |" in shown
    assert "(1.0)" in shown
