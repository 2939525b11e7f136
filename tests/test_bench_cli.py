"""``descend bench`` as a command: what it prints, writes and returns. Nothing is measured here."""

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from descend.bench import cli, plan, plot, report
from descend.bench.accuracy import Distance
from descend.bench.cli import INTERRUPTED, bench
from descend.bench.measures import Bar, of_bits, of_cells, of_start
from descend.bench.peers import FUSED, UNFUSED
from descend.bench.plan import Job
from descend.bench.report import Report, line_of, row
from descend.bench.speed import Bench, Cell, Peer
from descend.bench.tail import TAIL, gradient_norm
from descend.bench.timing import Clock

SVG = "{http://www.w3.org/2000/svg}"


def cell(rule: str = "adamw", workload: str = "20M", share: float | None = 0.95, **peers: float) -> Cell:
    """A cell with torch's forms so many times slower."""
    made = Cell(workload, rule, 1, 20_000_000, "numba", 9, 0.6, 0.02, 28.0, 46.7, 0.57, share, 0.01, 1)
    made.peers = [Peer(name.replace("_", " ", 1), 0.6 * x, 0.03, x, 9) for name, x in peers.items()]
    return made


def bars(*cells: Cell, at_20m: tuple[str, ...] = ("adamw",)) -> dict[str, Bar]:
    return {bar.claim: bar for bar in of_cells({(c.workload, c.rule): c for c in cells}, at_20m)}


# ---------------------------------------------------------------- bars


def test_a_bar_is_met_missed_or_neither():
    assert Bar("", 1.0, 0.97).met is True
    assert Bar("", 0.96, 0.97).met is False
    assert Bar("", None, 0.97).met is None
    assert Bar("", 2.0, 0.97, whole=False).met is None
    assert Bar("", 1.4, 1.5, at_least=False).met is True
    assert Bar("", 1.6, 1.5, at_least=False).met is False


def test_the_share_is_that_of_the_worst_rule():
    found = bars(cell("adamw", share=0.99), cell("lion", share=0.85), at_20m=("adamw", "lion"))
    bar = found["every elementwise rule, 20M: share of the streaming limit"]
    assert (bar.value, bar.met, bar.note) == (pytest.approx(85), False, "the least: lion")
    assert found["every rule, 20M: share of the streaming limit"].met is True


def test_a_claim_about_rules_that_were_not_measured_is_not_met():
    bar = bars(cell("adamw", share=0.99), at_20m=("adamw", "lion"))[
        "every elementwise rule, 20M: share of the streaming limit"
    ]
    assert (bar.met, bar.note) == (None, "the least: adamw; 1 of 2 measured")


def test_a_rule_with_a_norm_is_no_elementwise_rule():
    found = bars(cell("adamw", share=0.99), cell("lamb", share=0.82), at_20m=("adamw", "lamb"))
    assert found["every elementwise rule, 20M: share of the streaming limit"].met is True
    assert found["every rule, 20M: share of the streaming limit"].value == pytest.approx(82)


def test_the_four_and_the_seven():
    four = [cell(name, torch_loop=3.0, torch_fused=x) for name, x in zip(FUSED, (1.0, 0.98, 1.2, 1.1), strict=True)]
    seven = [cell(name, torch_loop=2.0**k, torch_foreach=2.0**k * 1.5) for k, name in enumerate(UNFUSED)]
    found = bars(*four, *seven)
    assert found["the four rules torch fuses, 20M: against torch fused"].value == 0.98
    mean = found["the seven torch does not fuse, 20M: mean against its best"]
    assert (mean.value, mean.met) == (pytest.approx(8.0), True)
    assert found["RMSprop, 20M: against torch's best form"].value == 1.0
    assert found["the same seven, 1000 x 1000"].value is None


def test_small_tensors_the_tail_and_the_norm():
    found = bars(
        cell(workload="1000x1000", torch_fused=9.0, torch_loop=8.0),
        cell(workload="100000x16", torch_fused=19.0),
        cell(workload="mlp", torch_fused=3.0),
        cell("adamw, new gradients", workload="mlp", torch_fused=2.25),
        cell(TAIL.name, torch_a=1.5, torch_b=1.4),
        cell(gradient_norm.name, share=0.7),
    )
    met = {claim: (bar.value, bar.met) for claim, bar in found.items()}
    assert met["AdamW, 1000 x 1000: against torch fused"] == (9.0, True)
    assert met["AdamW, 100000 x 16: against torch fused"] == (19.0, False)
    assert met["AdamW, four-tensor MLP: against torch fused"] == (3.0, True)
    assert found["AdamW, four-tensor MLP: against torch fused"].note == "with new gradients every step 2.25 x"
    assert met["clip + AdamW + EMA, 20M: against torch's best"] == (1.4, True)
    assert met["global norm of all gradients, 20M: share of the read limit"] == (pytest.approx(70), True)
    assert found["clip + AdamW + EMA, 20M: against torch's best"].aim == pytest.approx(52 / 28)


def test_optax_is_a_mean_over_the_rules_both_have():
    found = bars(cell("adamw", optax=1.0), cell("lion", optax=4.0), at_20m=("adamw", "lion", "signum"))
    bar = found["the rules optax has, 20M: mean against optax under jit"]
    assert (bar.value, bar.met) == (pytest.approx(2.0), True)


def test_start_and_bits():
    per_kernel, whole = of_start({"adamw": (1.2, 1), "clip": (3.2, 2)})
    assert (per_kernel.value, per_kernel.met, per_kernel.note) == (1.6, False, "clip")
    assert (whole.value, whole.met) == (1.2, True)
    assert of_bits([], 58, "").met is True
    assert of_bits(["lion"], 58, "").met is False
    assert of_bits([], 3, "", whole=False).met is None


# ---------------------------------------------------------------- lines


def test_a_row():
    made = cell(torch_loop=3.0, torch_fused=1.25, optax=1.8)
    assert row(made) == (
        "adamw                          0.600    2      28   46.7    95.0    1  fused          1.25x  optax 1.80x"
    )
    assert len(report.HEAD.split("torch best")[0]) == row(made).index("fused")
    bare = cell(share=None)
    bare.bytes_per_param = bare.gb_per_s = None
    bare.spread = math.nan
    assert row(bare) == "adamw                          0.600"


@pytest.mark.parametrize(
    ("bar", "starts", "has"),
    [
        (Bar("a", 95.25, 90.0, 97.0, unit="%", note="the least: lion"), "met", "95.2 %    >= 90.0 %   97.0 %  the le"),
        (Bar("a", 1.0, 2.0), "MISSED", "1.00 x    >= 2.00 x"),
        (Bar("a", None, 2.0), "-- ", ">= 2.00 x"),
        (Bar("a", 3.0, 2.0, whole=False), "part", "3.00 x"),
        (Bar("a", 2.1e-7, 5e-7, at_least=False, unit=""), "met", "2.1e-07   <= 5.0e-07"),
        (Bar("a", 0, 0, at_least=False, unit=""), "met", "0         <= 0"),
    ],
)
def test_a_line_of_the_bars(bar: Bar, starts: str, has: str):
    assert line_of(bar).startswith(starts)
    assert has in line_of(bar)


# ---------------------------------------------------------------- plan


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
    assert {job.section for job in quick} == {"speed", "tail", "small", "start", "bits", "models"}


# ---------------------------------------------------------------- command


@pytest.fixture
def call(monkeypatch):
    """The command with jobs of a test in place of the real ones."""

    def run(*args: str, jobs: Any = ()) -> Result:
        made = lambda bench, found, *rest: [Job("speed", name, 1.0, lambda until, f=f: f(found)) for name, f in jobs]  # noqa: E731
        monkeypatch.setattr(plan, "jobs", made)
        return CliRunner().invoke(bench, args)

    return run


def good(found: Report) -> None:
    found.add(cell(torch_fused=1.2, torch_loop=9.0, optax=2.0))
    found.add(cell("lion", share=0.91))
    found.add(cell("muon", "resnet18", share=None))


def bad(found: Report) -> None:
    found.add(cell(workload="mlp", torch_fused=1.1))


def interrupts(found: Report) -> None:
    raise KeyboardInterrupt


def test_exit_codes(call):
    assert call(jobs=[("good", good)]).exit_code == 0
    assert call("--strict", jobs=[("good", good)]).exit_code == 0
    assert call(jobs=[("bad", bad)]).exit_code == 0
    assert call("--strict", jobs=[("bad", bad)]).exit_code == 1


def test_ctrl_c_keeps_what_is_finished(call, tmp_path: Path):
    done = call("--json", str(tmp_path / "run.json"), jobs=[("good", good), ("stop", interrupts), ("bad", bad)])
    assert done.exit_code == INTERRUPTED
    assert "interrupted; this is what was finished" in done.output
    assert "the four rules torch fuses" in done.output
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["interrupted"] is True
    assert [one["rule"] for one in written["cells"]] == ["adamw", "lion", "muon"]


def test_tables_and_bars_are_printed(call):
    lines = call(jobs=[("good", good), ("bad", bad)]).output.splitlines()
    heads = [line for line in lines if "float32 parameters" in line]
    assert [line.split(":")[0] for line in heads] == ["20M", "resnet18", "mlp"]
    assert any(line.startswith("MISSED  AdamW, four-tensor MLP") for line in lines)
    quiet = call("--quiet", jobs=[("good", good)]).output
    assert "float32 parameters" not in quiet
    assert "the four rules torch fuses" in quiet


def test_of_a_part_only_its_bars_are_printed(call):
    text = call("--workload", "mlp", jobs=[("bad", bad)]).output
    assert "AdamW, four-tensor MLP" in text
    assert "100000 x 16" not in text


def test_json_to_standard_output_is_nothing_else(call):
    done = call("--json", "-", jobs=[("good", good), ("bad", bad)])
    schema(json.loads(done.stdout))


def schema(document: dict[str, Any]) -> None:
    """The document as docs/bench.md describes it."""
    assert document["schema"] == "descend.bench/1"
    assert set(document) == {
        "schema", "command", "seconds", "interrupted", "load", "disturbed", "machine", "cells", "bars", "jax",
        "errors", "left_out",
    }  # fmt: skip
    assert {"cpu", "cores", "threads", "platform", "python", "huge_pages", "versions"} == set(document["machine"])
    assert document["machine"]["versions"]["torch"]
    number = (int, float, type(None))
    for one in document["cells"]:
        assert set(one) == {*Cell.__dataclass_fields__, "best"}
        for name in ("ns_per_param", "spread", "bytes_per_param", "gb_per_s", "limit_ns", "share", "share_spread"):
            assert isinstance(one[name], number)
        for peer in one["peers"]:
            assert set(peer) == set(Peer.__dataclass_fields__)
            assert isinstance(peer["rounds"], int)
    for bar in document["bars"]:
        assert set(bar) == {*Bar.__dataclass_fields__, "met"}
        assert bar["met"] in (True, False, None)
        assert isinstance(bar["value"], number)


def everything(found: Report) -> None:
    import torch

    good(found)
    found.start = {"adamw": (0.5, 1)}
    found.imported = (0.05, [])
    found.bits = of_bits([], 58, "")
    found.add_distance(Distance("Adam", torch.float64, 16, 3e-16, {}))


def test_every_kind_of_result_is_in_the_document(call):
    document = json.loads(call("--json", "-", jobs=[("all", everything)]).stdout)
    schema(document)
    met = {bar["claim"]: bar["met"] for bar in document["bars"]}
    assert met["import descend"] is True
    assert met["Adam float64: distance from torch after 300 steps"] is True
    assert met["first step in a new process, cold, per kernel"] is True


def test_no_number_is_not_a_number(call):
    def single(found: Report) -> None:
        made = cell(torch_loop=3.0)
        made.peers[0].spread = made.spread = math.nan
        found.add(made)

    document = json.loads(call("--json", "-", jobs=[("single", single)]).stdout)
    assert document["cells"][0]["spread"] is None
    assert document["cells"][0]["peers"][0]["spread"] is None


def test_a_busy_machine_is_said(call, monkeypatch):
    def noisy(found: Report) -> None:
        good(found)
        found.cells[0].spread = 0.5

    monkeypatch.setattr(report, "load", lambda: 64.0)
    monkeypatch.setattr(report, "cores", lambda: 2)
    text = call(jobs=[("noisy", noisy)]).output
    assert "Quote no number of this run" in text
    assert "33 % of the rows have a spread over 10 %" in text
    monkeypatch.setattr(report, "load", lambda: 0.1)
    text = call(jobs=[("good", good)]).output
    assert "Quote no number" not in text
    assert "not a quiet machine" not in text
    assert json.loads(call("--json", "-", jobs=[("noisy", noisy)]).stdout)["load"] == 0.1


def test_the_sections_of_the_command_are_the_plans():
    assert cli.SECTIONS == plan.SECTIONS


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--workload", "7B"], "no workload '7B'; there are 20M"),
        (["--rules", "adm"], "no rule 'adm'"),
        (["--only", "nothing"], "'nothing' is not one of"),
        (["--only", "speed", "--workload", "20M"], "exclude each other"),
        (["--json", "no/such/folder/a.json"], "there is no folder no/such/folder"),
        (["--plot", "a.gif"], "must end in .svg, .html or .png"),
        (["--rounds", "0"], "0 is not in the range"),
        (["--minutes", "0"], "not in the range"),
    ],
)
def test_bad_usage_is_refused_before_anything_is_measured(call, args: list[str], says: str):
    done = call(*args, jobs=[("stop", interrupts)])
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())


def test_a_png_needs_a_program(monkeypatch):
    monkeypatch.setattr(plot.shutil, "which", lambda name: None)
    assert "rsvg-convert" in (plot.refuses(Path("a.png")) or "")
    assert plot.refuses(Path("a.svg")) is None


# ---------------------------------------------------------------- picture


def test_the_picture(call, tmp_path: Path):
    file = tmp_path / "roof.svg"
    assert call("--plot", str(file), jobs=[("good", good), ("bad", bad)]).exit_code == 0
    root = ET.parse(file).getroot()
    marks = [one.get("class") for one in root.iter(f"{SVG}path")]
    assert marks.count("ours") == 4
    assert marks.count("theirs") == 3  # torch's best form twice, optax once
    assert marks.count("limit") == 3
    titles = {one.text for one in root.iter(f"{SVG}title")}
    assert "adamw: 0.6 ns, 95 % of the limit" in titles
    assert "adamw, torch fused: 0.72 ns, 1.20 times ours" in titles


def test_the_line_is_where_the_limit_is():
    """A rule at 100 % of the limit stands on the line; a slower one above it."""
    at_limit, slow = cell("adamw", share=1.0), cell("lion", share=0.5)
    at_limit.ns_per_param = at_limit.limit_ns = slow.limit_ns = 0.56
    slow.ns_per_param = 1.12
    root = ET.fromstring(plot.picture([at_limit, slow], {"versions": {"torch": "2"}}))
    line = next(one for one in root.iter(f"{SVG}path") if one.get("class") == "limit")
    points = [tuple(map(float, pair.split())) for pair in line.get("d", "")[1:].split("L")]
    heights = {}
    for one in root.iter(f"{SVG}path"):
        if one.get("class") == "ours":
            x, y = map(float, one.get("transform", "")[10:-1].split())
            title = one.find(f"{SVG}title")
            assert title is not None
            heights[(title.text or "").split(":")[0]] = (x, y)
    middle = sum(x for x, _ in heights.values()) / 2
    on_line = min(points, key=lambda point: abs(point[0] - middle))[1]
    assert heights["adamw"][1] == pytest.approx(on_line, abs=2)
    assert heights["lion"][1] < on_line - 20


def test_a_page_has_the_numbers(tmp_path: Path):
    file = tmp_path / "roof.html"
    plot.save(file, [cell(torch_fused=1.2), cell("muon", share=None)], {"versions": {"torch": "2"}})
    text = file.read_text()
    assert "<td>1.20 × fused</td>" in text
    assert text.count("<tr>") == 3


@pytest.mark.slow
@pytest.mark.browser
def test_a_png(chromium: str, tmp_path: Path):
    file = tmp_path / "roof.png"
    plot.save(file, [cell(torch_fused=1.2)], {"versions": {"torch": "2"}})
    assert file.read_bytes().startswith(b"\x89PNG")
