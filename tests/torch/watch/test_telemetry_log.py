"""TelemetryLogger: records, sinks, and a file that survives what interrupts it."""

import json
import logging
import math
import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch
from measuring import same, setup, train
from torch import nn
from twins import bits

import descend.torch as ours
from descend import schedules
from descend.torch.watch.log import TelemetryLogger, read


def test_a_record_every_so_many_steps_with_the_numbers_of_telemetry(tmp_path):
    model, opt = setup(telemetry="cosine", lr=0.01 * schedules.linear(100, 1.0, 0.0))
    with TelemetryLogger(opt, tmp_path / "deep" / "run.jsonl", every=10) as logger:
        train(model, opt, 30)
        record = logger.record()
    train(model, opt, 10)  # closed: not logged
    found = read(tmp_path / "deep" / "run.jsonl")
    assert [r["step"] for r in found] == [10, 20, 30]
    last = found[-1]
    assert [m["name"] for m in last["tensors"]] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [g["name"] for g in last["groups"]] == ["group 0"]
    for key in ("total", "tensors", "groups", "skipped", "lr", "alarms"):
        assert last[key] == record[key]
    assert last["lr"] == [pytest.approx(0.01 * (1 - 29 / 100))]
    assert set(last["tensors"][0]) == {
        "name", "group", "elements", "gradient_norm", "update_norm", "weight_norm", "nonfinite", "cosine", "ratio"
    }  # fmt: skip
    assert last["tensors"][0]["ratio"] == last["tensors"][0]["update_norm"] / last["tensors"][0]["weight_norm"]
    assert last["time"] >= found[0]["time"] > 1.6e9


def test_groups_alone_and_several_of_them(tmp_path):
    model, _ = setup()
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[2].parameters(), "lr": 0.2}]
    opt = ours.SGD(groups, lr=1.0, telemetry=True)
    records = []
    TelemetryLogger(opt, records.append, every=1, tensors=False, alarms=False)
    train(model, opt, 2)
    assert "tensors" not in records[0]
    assert [g["name"] for g in records[1]["groups"]] == ["group 0", "group 1"]
    assert records[1]["lr"] == [0.1, 0.2]
    named = TelemetryLogger(opt, records.append, every=1, names=model.named_parameters())
    assert [m["name"] for m in named.record()["tensors"]] == ["0.weight", "0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize("watch", [True, "cosine"])
def test_logging_changes_no_bit_of_the_training(tmp_path, watch):
    model, opt = setup(telemetry=False)
    train(model, opt, 25)
    other, watched = setup(telemetry=watch)
    with TelemetryLogger(watched, tmp_path / "run.jsonl", every=1):
        train(other, watched, 25)
    assert [bits(p) for p in model.parameters()] == [bits(p) for p in other.parameters()]
    assert len(read(tmp_path / "run.jsonl")) == 25


# ---------------------------------------------------------------- numbers that JSON does not have


def test_nan_and_infinity_are_json_and_come_back(tmp_path):
    model, opt = setup("SGD")
    path = tmp_path / "run.jsonl"
    with TelemetryLogger(opt, path, every=1, on_alarm=lambda alarm: None):
        train(model, opt, 1)
        for p in model.parameters():
            p.grad = torch.full_like(p, float("inf"))
        opt.step()

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    lines = path.read_text().splitlines()
    strict = [json.loads(line, parse_constant=refuse) for line in lines]
    assert strict[1]["total"]["gradient_norm"] == "Infinity"
    found = read(path)
    assert found[1]["total"]["gradient_norm"] == math.inf
    assert found[1]["total"]["nonfinite"] == 1.0
    assert math.isnan(found[1]["total"]["ratio"])
    assert {a["kind"] for a in found[1]["alarms"]} == {"nonfinite"}


def test_a_tensor_called_nan_keeps_its_name(tmp_path):
    p = nn.Parameter(torch.ones(2))
    opt = ours.SGD([("NaN", p)], lr=0.1, telemetry=True)
    with TelemetryLogger(opt, tmp_path / "r", every=1):
        p.grad = torch.ones(2)
        opt.step()
    assert read(tmp_path / "r")[0]["tensors"][0]["name"] == "NaN"


# ---------------------------------------------------------------- interruption


def test_a_run_goes_on_where_it_was_cut(tmp_path):
    path = tmp_path / "run.jsonl"
    model, opt = setup()
    with TelemetryLogger(opt, path):
        train(model, opt, 40)
        saved = (model.state_dict(), opt.state_dict())
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1]) + 1, 97):
        path.write_bytes(whole[:-cut])
        assert [r["step"] for r in read(path)] in ([10, 20, 30], [10, 20, 30, 40])
        again, resumed = setup()
        again.load_state_dict(saved[0])
        resumed.load_state_dict(saved[1])
        with TelemetryLogger(resumed, path):
            train(again, resumed, 20)
        assert [r["step"] for r in read(path)][-2:] == [50, 60]
        assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_run_resumed_from_an_earlier_step_replaces_what_came_after_it(tmp_path):
    path = tmp_path / "run.jsonl"
    model, opt = setup()
    with TelemetryLogger(opt, path):
        train(model, opt, 20)
        saved = ({k: v.clone() for k, v in model.state_dict().items()}, opt.state_dict())
        saved = (saved[0], json_safe_copy(saved[1]))
        train(model, opt, 30)
    with TelemetryLogger(opt, path):
        model.load_state_dict(saved[0])
        opt.load_state_dict(saved[1])
        opt.steps = 0  # as in another process
        train(model, opt, 20)
    assert [r["step"] for r in read(path)] == [10, 20, 30, 40]
    assert [r["step"] for r in read(path, every_run=True)] == [10, 20, 30, 40, 50, 30, 40]
    kept = read(path, every_run=True)
    assert same(kept[2]["total"], kept[5]["total"])


def json_safe_copy(state):
    return {
        "state": {k: {n: t.clone() for n, t in v.items()} for k, v in state["state"].items()},
        "param_groups": state["param_groups"],
    }


def test_a_rule_that_counts_no_steps_goes_on_where_the_file_ended(tmp_path):
    path = tmp_path / "run.jsonl"
    for _ in range(2):
        model, opt = setup("SGD")
        with TelemetryLogger(opt, path):
            train(model, opt, 20)
    assert [r["step"] for r in read(path)] == [10, 20, 30, 40]


def test_a_killed_process_leaves_whole_lines(tmp_path):
    path = tmp_path / "run.jsonl"
    program = f"""
        import torch, descend.torch as ours
        from descend.torch.watch.log import TelemetryLogger
        p = torch.nn.Parameter(torch.ones(3))
        opt = ours.SGD([p], lr=1e-3, telemetry=True)
        logger = TelemetryLogger(opt, {str(path)!r}, every=1)
        while True:
            p.grad = torch.ones(3)
            opt.step()
            if opt.steps == 50:
                print("ready", flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"ready"
        process.send_signal(signal.SIGKILL)
    found = read(path)
    assert len(found) >= 50
    assert [r["step"] for r in found] == list(range(1, len(found) + 1))


def test_zeros_that_a_power_cut_leaves_at_the_end(tmp_path):
    path = tmp_path / "run.jsonl"
    model, opt = setup()
    with TelemetryLogger(opt, path):
        train(model, opt, 20)
    path.write_bytes(path.read_bytes() + b"\0" * 5000)
    assert [r["step"] for r in read(path)] == [10, 20]
    with TelemetryLogger(opt, path):
        train(model, opt, 10)
    assert [r["step"] for r in read(path)] == [10, 20, 30]


def test_read_names_a_line_that_is_no_record_and_takes_an_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert read(tmp_path / "empty") == []
    (tmp_path / "other").write_text('{"step": 1}\nhello\n{"step": 2}\n')
    with pytest.raises(ValueError, match=r"other, line 2 is no record"):
        read(tmp_path / "other")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


@pytest.mark.parametrize("content", ["# notes\n\nmine\n", "mine", '[1, 2]\n{"a": 1}\n'])
def test_a_file_of_something_else_is_not_touched(tmp_path, content):
    path = tmp_path / "notes.md"
    path.write_text(content)
    _, opt = setup()
    with pytest.raises(ValueError, match=r"notes\.md is there already"):
        TelemetryLogger(opt, path)
    assert path.read_text() == content
    assert not opt._optimizer_step_post_hooks


def test_a_full_disk_stops_the_log_and_not_the_training(tmp_path, caplog, monkeypatch):
    model, opt = setup()
    path = tmp_path / "run.jsonl"
    logger = TelemetryLogger(opt, path, every=1)
    train(model, opt, 2)
    real = os.write

    def full(file, data):
        if file == logger._write.__self__._file:
            real(file, data[:20])
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr(os, "write", full)
    with caplog.at_level(logging.WARNING, logger="descend"):
        train(model, opt, 3)
    monkeypatch.undo()
    assert [r.getMessage() for r in caplog.records] == [
        "telemetry is not logged, training goes on: [Errno 28] No space left on device"
    ]
    assert logger.failed is not None
    train(model, opt, 1)
    logger.close()
    assert [r["step"] for r in read(path)] == [1, 2, 6]
