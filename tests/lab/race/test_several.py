"""Several tasks together: profiles by hand, and a race on all tasks that goes on where it was stopped."""

import json
import math
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.race import again, null
from benchmarks.race.again import Verdicts, agreement
from descend.lab.race.cli import race
from descend.lab.race.drive import Drive
from descend.lab.race.race import Config
from descend.lab.race.several import profile
from descend.lab.store import Store
from descend.lab.tasks import catalogue
from descend.lab.tasks.source import Source
from descend.lab.trials.runners.runner import RunDone


def test_a_score_is_the_area_under_the_profile():
    ratios = [1.0, 2.5, 5.0, math.inf]
    grid = [1 + 3 * (k + 0.5) / 3000 for k in range(3000)]
    area = sum(profile.share(ratios, tau) for tau in grid) / 3000
    assert profile.score(ratios) == pytest.approx(area, abs=1e-3)
    assert profile.score(ratios) == pytest.approx((1 + 0.5) / 4)
    assert [profile.share(ratios, tau) for tau in (1, 2, 4)] == [0.25, 0.25, 0.5]


def test_seconds_are_steps_times_what_a_step_costs():
    assert profile.in_seconds({"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 1.0}) == pytest.approx({"a": 1.5, "b": 1.0})
    assert profile.in_seconds({"a": 1.0, "b": math.inf}, {"a": 3.0, "b": 1.0})["b"] == math.inf


def test_scores_come_with_an_interval_and_a_missing_rule_is_a_miss():
    tasks = [{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 1.0}, {"a": 1.3}]
    best, other = profile.scores(tasks, ["b", "a"])
    assert (best.rule, other.rule) == ("a", "b")
    assert best.score == pytest.approx((1 + 1 + 0.9) / 3)
    assert other.score == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert other.low < other.score < other.high
    with pytest.raises(ValueError, match="at least 3 tasks; got 2"):
        profile.scores(tasks[:2], ["a"])


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three tasks of hundredths of a second, of which one lacks its data, in a store of their own."""
    some = {name: catalogue.MODULES[name] for name in ("digits-logistic", "longley", "quadratic", "gunpoint")}
    for place in ("catalogue", "source"):
        monkeypatch.setattr(f"descend.lab.tasks.{place}.MODULES", some)
    monkeypatch.setattr("descend.lab.race.several.run.MODULES", some)
    monkeypatch.setattr("descend.lab.race.asked.MODULES", some)
    monkeypatch.setenv("DESCEND_DATA", str(tmp_path / "data"))


def test_all_tasks_are_raced_and_say_something_together(few: None, tmp_path: Path):
    done = CliRunner().invoke(race, ["--all", "--rules", "adam,momentum", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "left out: the task gunpoint needs aeon: pip install aeon" in " ".join(done.output.split())
    said = json.loads((tmp_path / "race-all.json").read_text())
    assert [task["task"] for task in said["tasks"]] == ["digits-logistic", "longley", "quadratic"]
    for what in ("steps", "seconds"):
        assert {row["rule"] for row in said["profile"][what]} == {"adam", "momentum_accumulation"}
        assert all(0 <= row["low"] <= row["score"] <= row["high"] <= 1 for row in said["profile"][what])
    assert said["verdict"][0] in " ".join(done.output.split())
    page = (tmp_path / "race-all.html").read_text()
    assert "Performance profile, per second" in page
    assert "<script" not in page
    assert [kept.state for kept in Store.open().races()] == ["finished"] * 3
    before = sum(kept.runs for kept in Store.open().races())
    again_ = CliRunner().invoke(race, ["--all", "--resume", "--rules", "adam,momentum", "-o", str(tmp_path / "b")])
    assert again_.exit_code == 0, again_.output
    assert sum(kept.runs for kept in Store.open().races()) == before, "what is finished is taken from the store"
    other = json.loads((tmp_path / "b" / "race-all.json").read_text())
    assert other["verdict"] == said["verdict"]


def test_what_is_of_one_task_is_refused_for_all():
    done = CliRunner().invoke(race, ["--all", "--steps", "50", "--against", "adam"])
    assert done.exit_code == 2
    assert "--all races on every task as its card says, so --steps, --against cannot be of all." in " ".join(
        done.output.split()
    )


def test_a_rule_against_itself_is_a_race_of_its_own_seeds():
    said = list(null.verdicts("adam", "longley", races=2, steps=20, seeds=8))
    assert len(said) == 2
    assert null.told(["behind", "equal", "undecided", "equal"]) == (
        "4 races: 1 better or behind (25.0 %), 2 equal, 1 undecided"
    )
    standings = null.standings(Config(("adam",), "longley", 20, 16, 8), Source("longley").problem())
    assert [row.standing for row in standings.rows] == ["leader"]


def test_all_tasks_can_be_raced_in_pieces(few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Short(Drive):
        """Its time is over after so many runs."""

        left = 10**6

        def events(self):
            with closing(super().events()) as events:
                for event, stages in events:
                    yield event, stages
                    Short.left -= isinstance(event, RunDone)
                    if Short.left <= 0 and self.seconds is not None:
                        self.stopped = "seconds"
                        return

    monkeypatch.setattr("descend.lab.race.several.run.Drive", Short)
    words = ["--all", "--rules", "adam,momentum", "--seconds", "1e6", "-o"]
    done = CliRunner().invoke(race, [*words, str(tmp_path / "whole")])
    assert done.exit_code == 0, done.output
    store, pieces = Store.open(), 0
    for kept in store.races():
        store.forget(kept.id)
    while (states := [kept.state for kept in store.races()]) != ["finished"] * 3:
        Short.left, pieces = 60, pieces + 1
        done = CliRunner().invoke(race, [*words, str(tmp_path / "pieces"), "--resume"])
        assert done.exit_code == 0, done.output
        stopped = "go on: the same command with --resume" in " ".join(done.output.split())
        assert stopped == ([kept.state for kept in store.races()] != ["finished"] * 3), states
    assert pieces >= 3
    names = ("whole/race-all.json", f"pieces/race-all-{pieces}.json")
    told = [json.loads((tmp_path / name).read_text())["tasks"] for name in names]
    for task, other in zip(*told, strict=True):
        del task["race"], other["race"]
        assert task == other


def test_agreement_by_hand():
    def one(leader: str, near: set[str], **pairs: str) -> Verdicts:
        standing = {rule: "leader" if rule == leader else "equal" if rule in near else "behind" for rule in "abc"}
        return Verdicts(leader, frozenset({leader, *near}), standing, {tuple(p): v for p, v in pairs.items()})

    found = [
        one("a", {"b"}, ab="equal", ac="better", bc="better"),
        one("b", {"a"}, ab="equal", ac="better", bc="undecided"),
        one("c", set(), ab="equal", ac="behind", bc="undecided"),
    ]
    said = agreement(found)
    assert said["no contradiction, of pairs of rules and of races"] == pytest.approx(1 - 2 / 9)
    assert said["pairs of rules without any contradiction"] == pytest.approx(2 / 3)
    assert said["decided, all pairs of rules"] == pytest.approx(7 / 9)
    assert said["leader or its equals the same"] == pytest.approx(2 / 6)
    assert said["decided against the leader"] == 1
    assert again.TURNED["better"] == "behind"
