"""``descend bench`` as a command: what it prints, writes and returns. Nothing is measured here."""

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from bench_samples import cell
from click.testing import CliRunner, Result
from matplotlib.figure import Figure

from descend.bench import cli, plan, plot, report
from descend.bench.accuracy import Distance
from descend.bench.cli import INTERRUPTED, bench
from descend.bench.measures import Bar, of_bits
from descend.bench.plan import Job
from descend.bench.report import Report
from descend.bench.speed import Cell, Peer
from descend.bench.waits.start import First
from descend.draw import axes
from descend.draw.svg import svg

SVG = "{http://www.w3.org/2000/svg}"


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


def noisy(found: Report) -> None:
    bad(found)
    found.cells[0].peers[0].speedup_spread = 1.5


def raises(found: Report) -> None:
    raise ValueError("out of memory")


def interrupts(found: Report) -> None:
    raise KeyboardInterrupt


def test_exit_codes(call):
    assert call(jobs=[("good", good)]).exit_code == 0
    assert call("--strict", jobs=[("good", good)]).exit_code == 0
    assert call(jobs=[("bad", bad)]).exit_code == 0
    assert call("--strict", jobs=[("bad", bad)]).exit_code == 1
    assert call("--strict", jobs=[("good", good), ("raises", raises)]).exit_code == 1
    unsure = call("--strict", jobs=[("noisy", noisy)])
    assert unsure.exit_code == 0
    assert "not measured reliably: 1 of the bars lie within the spread" in unsure.output


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
    found.start = {"adamw": First(1, [0.5])}
    found.imported = ([0.05], [])
    found.waits = [Bar("a schedule of a million steps", 0.02, 0.05, None, False, "s")]
    found.bits = of_bits([], 58, "")
    found.distances.append(Distance("Adam", torch.float64, 16, 3e-16, {}))


def test_every_kind_of_result_is_in_the_document(call):
    document = json.loads(call("--json", "-", jobs=[("all", everything)]).stdout)
    schema(document)
    met = {bar["claim"]: bar["met"] for bar in document["bars"]}
    assert met["import descend"] is True
    assert met["a schedule of a million steps"] is True
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
        (["--only", "speed,nothing"], "no part 'nothing'; there are loop, speed"),
        (["--only", "speed", "--workload", "20M"], "exclude each other"),
        (["--json", "no/such/folder/a.json"], "there is no folder no/such/folder"),
        (["--plot", "a.gif"], "must end in .svg, .png, .pdf or .html"),
        (["--rounds", "0"], "0 is not in the range"),
        (["--minutes", "0"], "not in the range"),
    ],
)
def test_bad_usage_is_refused_before_anything_is_measured(call, args: list[str], says: str):
    done = call(*args, jobs=[("stop", interrupts)])
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())


def test_a_png_needs_matplotlib_and_an_svg_does_not(call, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = call("--plot", "a.png", jobs=[("stop", interrupts)])
    assert done.exit_code == 2
    assert "pip install 'descend[plot]'" in " ".join(done.output.split())
    assert axes.refusal(Path("a.svg")) == axes.refusal(Path("a.html")) == ""


# ---------------------------------------------------------------- picture


def test_the_picture(call, tmp_path: Path):
    file = tmp_path / "roof.svg"
    assert call("--plot", str(file), jobs=[("good", good), ("bad", bad)]).exit_code == 0
    root = ET.parse(file).getroot()
    parts = [one for one in root.iter(f"{SVG}path") if one.find(f"{SVG}title") is not None]
    kinds = [one.get("class") for one in parts]
    assert kinds.count("mark s0") == 4
    assert kinds.count("hollow s1") == 3  # torch's best form twice, optax once
    limits = [one for one in root.iter(f"{SVG}path") if one.get("class") == "line ink" and one.get("clip-path")]
    assert len(limits) == 3
    titles = {one.text for one in root.iter(f"{SVG}title")}
    assert "adamw: 0.6 ns, 95 % of the limit" in titles
    assert "adamw, torch fused: 0.72 ns, 1.20 times ours" in titles


def test_the_line_is_where_the_limit_is():
    """A rule at 100 % of the limit stands on the line; a slower one above it."""
    at_limit, slow = cell("adamw", share=1.0), cell("lion", share=0.5)
    at_limit.ns_per_param = at_limit.limit_ns = slow.limit_ns = 0.56
    slow.ns_per_param = 1.12
    root = ET.fromstring(svg(plot.panel([at_limit, slow])))
    line = next(one for one in root.iter(f"{SVG}path") if one.get("class") == "line ink")
    points = [tuple(map(float, pair.split())) for pair in line.get("d", "")[1:].split("L")]
    heights = {}
    for one in root.iter(f"{SVG}path"):
        title = one.find(f"{SVG}title")
        if one.get("class") == "mark s0" and title is not None:
            x, y = map(float, one.get("transform", "")[10:-1].split())
            heights[(title.text or "").split(":")[0]] = (x, y)
    middle = sum(x for x, _ in heights.values()) / 2
    on_line = min(points, key=lambda point: abs(point[0] - middle))[1]
    assert heights["adamw"][1] == pytest.approx(on_line, abs=2)
    assert heights["lion"][1] < on_line - 20


def test_a_page_has_the_numbers(tmp_path: Path):
    file = tmp_path / "roof.html"
    plot.write(file, [cell(torch_fused=1.2), cell("muon", share=None)], {"versions": {"torch": "2"}})
    text = file.read_text()
    assert "<td class=right>1.20 × fused</td>" in text
    assert text.count("<tr>") == 3


def test_a_png_and_axes(tmp_path: Path):
    file, cells = tmp_path / "roof.png", [cell(torch_fused=1.2), cell(workload="600k")]
    plot.write(file, cells, {"versions": {"torch": "2"}})
    assert file.read_bytes().startswith(b"\x89PNG")
    found = report.Report(cells=cells)
    ax = Figure().add_subplot()
    assert found.plot(ax) is ax
    assert ax.get_title("left") == "20M: one tensor, 20,000,000 parameters"
    assert found.plot(Figure().add_subplot(), "600k").get_title("left").startswith("600k: ")
    with pytest.raises(ValueError, match="workload '7B': nothing measured there; measured are 20M, 600k"):
        found.plot(ax, "7B")
    with pytest.raises(ValueError, match="measured are none at all"):
        report.Report().plot(ax)
