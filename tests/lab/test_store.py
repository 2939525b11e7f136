"""The store: what is finished stays, races do not harm each other, a killed race goes on to the same numbers."""

import json
import multiprocessing
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from lab_samples import run

from benchmarks.race.killed import killed, numbers, whole
from descend.lab import store as stores
from descend.lab.race.cli import race
from descend.lab.runs import runs as command
from descend.lab.store import Store, StoreError, directory
from descend.lab.trials.trial import Trial

SMALL = ("--rules", "adam,lion", "--steps", "12", "--seeds", "8")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DESCEND_DATA", str(tmp_path / "data"))
    return Store.open()


def test_it_lies_where_it_is_told_or_where_the_platform_keeps_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DESCEND_DATA", str(tmp_path))
    assert directory() == tmp_path
    monkeypatch.delenv("DESCEND_DATA")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
        assert directory() == tmp_path / "share" / "descend"
        monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert directory() == tmp_path / ".local" / "share" / "descend"


def test_a_run_comes_back_as_it_was(store: Store):
    race_id = store.begin("digits", {"config": {}}, {})
    for k, loss in enumerate((0.123456789, float("inf"))):
        one = run(Trial("adam", 1.0e-3 / 3, k, 60), loss)
        store.keep(race_id, one)
        store.keep(race_id, replace(one, step_ms=9.0))  # a second process that had it in hand, too
        again = Store.open().runs(race_id)[one.trial]
        assert repr(again) == repr(one)


def test_a_race_that_is_forgotten_takes_its_runs_along_and_no_others(store: Store):
    mine, other = (store.begin("digits", {"config": {}}, {}) for _ in range(2))
    for name in (mine, other):
        store.keep(name, run(Trial("adam", 1e-3, 0, 60), 0.1))
    store.forget(mine)
    assert [kept.id for kept in store.races()] == [other]
    assert len(store.runs(other)) == 1
    assert store.runs(mine) == {}


def write_many(folder: str, which: int) -> None:
    os.environ["DESCEND_DATA"] = folder
    mine = Store.open()
    race_id = mine.begin(f"race{which}", {"config": {}}, {})
    for seed in range(200):
        mine.keep(race_id, run(Trial("adam", 1e-3, seed, 60), which + seed / 1000))


def test_several_races_write_at_once(store: Store, tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(str(tmp_path / "data"), k)) for k in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    for kept in store.races():
        found = store.runs(kept.id).values()
        assert len(found) == 200
        assert {int(one.loss) for one in found} == {int(kept.id[4])}


def test_a_file_that_is_no_store_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DESCEND_DATA", str(tmp_path))
    (tmp_path / stores.FILE).write_text("something else entirely, and long enough to be looked at" * 20)
    with pytest.raises(StoreError, match=stores.FILE):
        Store.open()
    out = tmp_path / "out"
    done = CliRunner().invoke(race, [*SMALL, "-q", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "this race cannot be resumed, for its runs cannot be kept" in done.stderr
    assert (out / "race-digits.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
def test_a_race_killed_at_random_moments_ends_with_the_same_numbers(tmp_path: Path):
    assert len(list(killed(4, tmp_path))) == 4
    whole(tmp_path)
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "whole")


def test_resume_trains_only_what_is_missing_and_from_trains_nothing(store: Store, tmp_path: Path):
    done = CliRunner().invoke(race, [*SMALL, "-q", "-o", str(tmp_path / "a")])
    assert done.exit_code == 0, done.output
    (kept,) = store.races()
    assert (kept.state, kept.id[:7]) == ("finished", "digits-")
    some = list(store.runs(kept.id).values())[:30]
    part = store.begin("digits", kept.asked, kept.environment)
    for one in some:
        store.keep(part, one)
    done = CliRunner().invoke(race, ["--resume", "-o", str(tmp_path / "b")])
    assert done.exit_code == 0, done.output
    assert f"going on with {part}: 30 runs are there" in done.output
    assert numbers(tmp_path / "b") == numbers(tmp_path / "a")
    for trial, one in store.runs(part).items():
        if one in some:
            assert store.runs(kept.id)[trial].step_ms == one.step_ms
    shown = CliRunner().invoke(race, ["--from", part, "-o", str(tmp_path / "c")])
    assert shown.exit_code == 0, shown.output
    assert "Use " in shown.output
    assert "Partial" not in shown.output


def test_what_cannot_be_resumed_is_refused_by_name(store: Store):
    def refused(*arguments: str) -> str:
        done = CliRunner().invoke(race, arguments)
        assert done.exit_code == 2, done.output
        return " ".join(done.output.split())

    assert "no race was left unfinished" in refused("--resume")
    assert "no race 'digits-1'" in refused("--resume", "digits-1")
    assert "--resume goes on as the race was begun, so --steps cannot change it" in refused("--resume", "--steps", "50")
    assert "'nowhere.json' does not exist, and the store has no race of that name" in refused("--from", "nowhere.json")
    from descend.lab.race.asked import card_of, new_record
    from descend.lab.race.race import Config
    from descend.lab.tasks.source import Source

    record = new_record(Config(("adam",)), Source("digits"), card_of(Source("digits")), 1)
    from descend.lab.race.asked import begin

    record.environment["numpy"] = "1.0"
    begin(record, store)
    assert "was begun under other conditions (numpy 1.0 then," in refused("--resume", record.id)


def test_the_races_are_listed_and_forgotten(store: Store, tmp_path: Path):
    assert "no race yet" in CliRunner().invoke(command, []).output
    assert CliRunner().invoke(race, [*SMALL, "-q", "-o", str(tmp_path)]).exit_code == 0
    (kept,) = store.races()
    shown = CliRunner().invoke(command, []).output
    assert kept.id in shown
    assert "finished" in shown
    listed = json.loads(CliRunner().invoke(command, ["--json"]).output)
    assert [(row["race"], row["state"], row["runs"]) for row in listed["races"]] == [(kept.id, "finished", kept.runs)]
    assert listed["store"] == str(directory() / stores.FILE)
    assert CliRunner().invoke(command, ["--forget", "nothing"]).exit_code == 2
    assert CliRunner().invoke(command, ["--forget", kept.id]).exit_code == 0
    assert store.races() == []


def test_one_process_and_two_find_the_same_numbers(tmp_path: Path):
    for count in ("1", "2"):
        done = CliRunner().invoke(race, [*SMALL, "--processes", count, "-q", "-o", str(tmp_path / count)])
        assert done.exit_code == 0, done.output
    assert numbers(tmp_path / "1") == numbers(tmp_path / "2")
