"""`descend choose`: from the command line to an answer that is kept."""

import json

import pytest
from click.testing import CliRunner

from descend.cli import descend
from descend.lab.store import Store, StoreError

QUICK = ("quadratic", "--runs", "1", "--rules", "adamw,momentum", "--processes", "1")


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv("DESCEND_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def call(*args):
    return CliRunner().invoke(descend, ["choose", *args])


def test_it_answers_writes_a_report_and_a_second_call_finds_its_runs(tmp_path):
    first = call(*QUICK, "-o", "choice.html")
    assert first.exit_code == 0, first.output
    assert "linear to zero" in first.output or "cosine to zero" in first.output
    assert "torch.optim" in first.output
    assert "What was tried" in (tmp_path / "choice.html").read_text()
    second = call(*QUICK, "--json")
    found = json.loads(second.stdout)
    assert found["rule"] in first.output
    assert found["options"][0]["lr"] == found["lr"]
    listed = CliRunner().invoke(descend, ["runs"])
    assert listed.exit_code == 0
    assert "quadratic-" in listed.output
    assert "single trials" in listed.output


@pytest.mark.parametrize("fails", ["begin", "keep"])
def test_a_store_that_cannot_be_written_ends_nothing_and_is_said(monkeypatch, fails):
    def full(*_, **__):
        raise StoreError("runs.sqlite: database or disk is full")

    monkeypatch.setattr(Store, fails, full)
    result = call(*QUICK, "-q")
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert "runs are not kept: runs.sqlite: database or disk is full" in result.stderr


def test_quiet_is_one_line():
    assert len(call(*QUICK, "-q").stdout.split()) == 3


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("quadratik",), "quadratic"),
        (("quadratic", "--rules", "adamm"), "adam"),
        (("quadratic", "--rules", "lion,adam#2"), "by its name alone"),
        (("quadratic", "--rules", "adamw+"), "nothing stands behind it"),
        (("quadratic", "--rules", "clip_norm"), "clip_norm+adamw"),
        (("quadratic", "--rules", "adamw+lion"), "exactly one rule"),
        (("quadratic", "--horizon", "0"), "16"),
        (("quadratic", "--runs", "nan"), "'--runs': nan is no finite number"),
        (("quadratic", "--seconds", "inf"), "'--seconds': inf is no finite number"),
        (("quadratic", "--json", "--quiet"), "exclude"),
        (("missing.py",), "no file"),
        (("quadratic", "-o", "x.txt"), ".html"),
    ],
)
def test_bad_usage_is_named(args, says):
    result = call(*args)
    assert result.exit_code == 2
    assert says in result.output
