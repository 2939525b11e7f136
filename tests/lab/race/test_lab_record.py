"""The record: read back as written, refused by name when it is something else."""

import gzip
import json
import math

import pytest
from lab_samples import FINALS, record

from descend.draw.files import write
from descend.lab.race.record import RecordError, from_json, load, to_json
from descend.lab.race.results import mean_curve, results


def test_a_record_reads_back_as_it_was_written():
    sample = record(FINALS)
    again = from_json(to_json(sample, {"verdict": ["whatever"]}))
    assert to_json(again) == to_json(sample)
    assert (again.config, again.entries, again.partial) == (sample.config, sample.entries, sample.partial)
    diverged = [run for run in again.runs if run.diverged_at is not None]
    assert len(diverged) == 1
    assert math.isnan(diverged[0].val_loss[-1])
    assert results(again).tuned[0].standing == results(sample).tuned[0].standing


def test_the_json_is_strict_and_holds_every_run():
    sample = record(FINALS)
    fields = json.loads(to_json(sample), parse_constant=lambda name: pytest.fail(f"not JSON: {name}"))
    # A range test, seven rates on two seeds, more seeds near the best; tuned and default lr; the leader's shorter runs.
    assert len(fields["runs"]) == len(sample.runs) == 4 * (1 + 7 * 2 + 3 * 6 + 2 * 8) + 4 * 5 + 4 * 5 + 4 * 5
    assert fields["looks"] == sample.looks


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "not the record of a race"),
        ('{"format": "other"}', "not the record of a race"),
        ('{"format": "descend race", "version": 99}', "version 99"),
        ('{"format": "descend race", "version": 2}', "damaged"),
        ('{"format": "descend race", "version": 2, "config": {"rules": ["a"], "pace": 3}}', "damaged"),
    ],
)
def test_what_is_no_record_is_refused(text: str, says: str):
    with pytest.raises(RecordError, match=says):
        from_json(text)


def test_a_compressed_record_loads_too(tmp_path):
    text = to_json(record(FINALS))
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe\x00")
    assert to_json(load(tmp_path / "a.json.gz")) == text
    with pytest.raises(RecordError, match="not a text file"):
        load(tmp_path / "bad.json")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write(path, "new \ud800")
    assert path.read_text() == "old"


def test_a_rule_without_its_runs_is_unfinished_and_in_no_table():
    sample = record(FINALS, rounds=3)
    found = results(sample)
    assert found.unfinished == list(FINALS)
    assert found.tuned == found.default == []


def test_a_mean_curve_ends_where_a_seed_diverges():
    found = results(record(FINALS))
    whole, cut = found.line("adam"), found.line("gradient_descent")
    assert whole is not None
    assert cut is not None
    looks = record(FINALS).looks
    assert mean_curve(looks, whole.runs).mean[-1] == pytest.approx(sum(FINALS["adam"]) / 5)
    curve = mean_curve(looks, cut.runs)
    assert curve.cut
    assert curve.at[-1] < 30
    assert all(math.isfinite(x) for x in curve.high)
