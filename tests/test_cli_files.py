"""What commands write and show: refused before the run, never replaced in silence, and what is hidden is said."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from lab_samples import FINALS, record

from descend.cli import VERBS, descend
from descend.draw import files
from descend.lab.race.live import table
from descend.lab.race.record import to_json
from descend.lab.race.results import results
from descend.lab.race.table import TUNED

OPTIONS = {  # how a file is asked for, and how its name ends
    "explain": (["explain", "adam", "--html"], ".html"),
    "lr": (["lr", "adam", "-o"], ".svg"),
    "bench": (["bench", "--json"], ".json"),
    "plot": (["bench", "--plot"], ".svg"),
    "surface": (["surface", "saddle", "-o"], ".svg"),
}


def call(*words: str, width: int = 80):
    return CliRunner().invoke(descend, words, env={"COLUMNS": str(width)})


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_h_is_help(verb: str):
    words = [verb] if verb else []
    assert call(*words, "-h").output == call(*words, "--help").output
    assert call(*words, "-h").exit_code == 0


def test_h_is_help_also_of_a_command_that_was_called_by_itself_before():
    from descend.bench.cli import bench

    CliRunner().invoke(bench, ["--help"])
    assert call("bench", "-h").output == call("bench", "--help").output


def test_help_groups_the_verbs_by_what_a_person_wants():
    text = call("--help").output
    assert text.index("Read:") < text.index("  explain") < text.index("Choose:") < text.index("  race")
    assert text.index("  race") < text.index("Build:") < text.index("  check")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere/x", "there is no folder nowhere"),
        ("file/x", "file is no folder"),
        ("folder", "it is a folder"),
        ("long" * 100, "name too long"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_run(
    option: str, name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    words, ending = OPTIONS[option]
    (tmp_path / "file").write_text("")
    (tmp_path / f"folder{ending}").mkdir()
    done = call(*words, name + ending)
    assert done.exit_code == 2, done.output
    assert says.lower() in " ".join(done.output.split()).lower()


def test_an_empty_name_and_no_permission_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert "a file needs a name" in call("explain", "adam", "--html", "").output
    monkeypatch.setattr("os.access", lambda path, mode: False)
    (tmp_path / "there").write_text("old")
    assert "no permission to replace it" in files.reason(str(tmp_path / "there"))
    assert "no permission to write in" in files.reason(str(tmp_path / "new"))
    with pytest.raises(click.BadParameter, match="no permission to write in"):
        files.ready_folder(tmp_path, "-o")
    assert (tmp_path / "there").read_text() == "old"


def test_a_named_file_is_replaced_and_that_is_said(tmp_path: Path):
    page = tmp_path / "adam.html"
    assert call("explain", "adam", "--html", str(page)).output == f"wrote {page}\n"
    page.write_text("old")
    assert call("explain", "adam", "--html", str(page)).output == f"replaced {page}\n"
    assert "<math" in page.read_text(encoding="utf-8")


def test_a_race_leaves_the_files_of_the_last_one(tmp_path: Path):
    source = tmp_path / "kept.json"
    source.write_text(to_json(record(FINALS)), encoding="utf-8")
    (tmp_path / "race-digits.html").write_text("mine")
    said = json.loads(call("race", "--from", str(source), "--json").stdout)
    assert said["files"] == [str(tmp_path / "race-digits-2.html")]
    assert (tmp_path / "race-digits.html").read_text() == "mine"
    assert files.free_stem(tmp_path, "race-digits", (".html", ".json")) == "race-digits-3"


def test_columns_that_are_dropped_are_said_and_the_rate_goes_last(tmp_path: Path):
    from io import StringIO

    from rich.console import Console

    def shown(width: int) -> str:
        sample = record(FINALS)
        console = Console(file=StringIO(), width=width)
        console.print(table(console, TUNED, results(sample).tuned, results(sample), sample))
        return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]

    assert "hidden" not in shown(100)
    assert "1 column hidden (accuracy): widen" in " ".join(shown(84).split())
    narrow = " ".join(shown(38).split())
    assert "7 columns hidden (rank, to the leader, standing, fresh seeds, steps for its loss, steps to target" in narrow
    assert "lr" in narrow.split("hidden")[0]
    assert "loss" in narrow.split("hidden")[0]
    assert "hidden" not in call("list", width=140).output
    assert "columns hidden (" in call("list", width=60).output


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--json"], ["explain", "adam"], ["check", "adamw", "--only", "shapes"], ["-h"]]
)
def test_a_reader_that_has_gone_is_no_error(words: list[str]):
    program = f"import sys; sys.argv = ['descend', *{words}]; from descend.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() in (0, 1)
    process.stderr.close()
