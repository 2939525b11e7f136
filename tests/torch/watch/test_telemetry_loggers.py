"""TelemetryLogger into other loggers, and what it leaves alone."""

import copy
import gc
import logging
import os
import pickle

import pytest
import torch
from measuring import setup, train

import descend.torch as ours
from descend.torch.watch.alarms import Alarms
from descend.torch.watch.log import TelemetryLogger, read


class Writer:
    """As torch.utils.tensorboard.SummaryWriter."""

    def __init__(self):
        self.scalars, self.texts, self.flushed = [], [], 0

    def add_scalar(self, tag, scalar_value, global_step=None):
        self.scalars.append((tag, scalar_value, global_step))

    def add_text(self, tag, text, global_step=None):
        self.texts.append((tag, text, global_step))

    def flush(self):
        self.flushed += 1


class WandbRun:
    def __init__(self):
        self.logged = []

    def log(self, data, step=None, commit=None):
        self.logged.append((step, data))


class LightningLogger:
    def __init__(self):
        self.logged = []

    def log_metrics(self, metrics, step=None):
        self.logged.append((step, metrics))


def test_tensorboard():
    model, opt = setup()
    writer = Writer()
    with TelemetryLogger(opt, writer, every=5) as logger:
        train(model, opt, 10)
        expected = logger.record()["tensors"][0]
    values = {tag: value for tag, value, step in writer.scalars if step == 10}
    assert values["telemetry/0.weight/ratio"] == expected["ratio"]
    assert values["telemetry/all/gradient_norm"] > 0
    assert values["telemetry/group 0/lr"] == 0.01
    assert writer.flushed == 1
    train(model, opt, 10)
    assert {step for *_, step in writer.scalars} == {5, 10}


def test_tensorboard_shows_alarms_as_text(caplog):
    model, opt = setup("SGD")
    writer = Writer()
    with TelemetryLogger(opt, writer, every=1), caplog.at_level(logging.WARNING, logger="descend"):
        train(model, opt, 1)
        train(model, opt, 1, scale=float("nan"))
    assert {tag for tag, *_ in writer.texts} == {"telemetry/nonfinite"}
    assert len(caplog.records) == 4  # three tensors, and how many more
    assert "nonfinite: 1 more tensor (2.bias)" in caplog.text


@pytest.mark.parametrize("kind", [WandbRun, LightningLogger])
def test_loggers_that_take_a_dict(kind):
    model, opt = setup()
    run = kind()
    with TelemetryLogger(opt, run, every=5):
        train(model, opt, 10)
    assert [step for step, _ in run.logged] == [5, 10]
    data = run.logged[1][1]
    assert all(isinstance(value, float) for value in data.values())
    assert {"telemetry/all/ratio", "telemetry/2.bias/update_norm", "telemetry/skipped", "telemetry/alarms"} <= set(data)


def test_alarms_go_where_they_are_asked_to_and_a_skipped_step_writes_a_record(tmp_path, caplog):
    model, opt = setup(nonfinite="skip")
    said = []
    with TelemetryLogger(opt, tmp_path / "r", alarms=Alarms(opt, patience=5), on_alarm=said.append):
        train(model, opt, 13)
        train(model, opt, 3, scale=float("nan"))
        train(model, opt, 7)
    assert {a.kind for a in said} == {"nonfinite"}
    assert len(said) == 4
    assert not caplog.records
    found = read(tmp_path / "r")
    assert [(r["step"], r["skipped"], len(r["alarms"])) for r in found] == [(10, 0, 0), (13, 1, 4), (20, 3, 0)]
    assert said[0].name == "0.weight"


@pytest.mark.parametrize("to", [None, 3, logging.getLogger("x"), object()])
def test_what_cannot_be_logged_to(to):
    _, opt = setup()
    with pytest.raises(TypeError, match=r"path, to something with add_scalar\(\), log\(\)"):
        TelemetryLogger(opt, to)
    assert not opt._optimizer_step_post_hooks


@pytest.mark.parametrize("every", [0, -1, 2.5, True, "10"])
def test_every_is_a_count(every, tmp_path):
    _, opt = setup()
    with pytest.raises(ValueError, match="every must be a whole number"):
        TelemetryLogger(opt, tmp_path / "r", every=every)


def test_an_optimizer_that_measures_nothing_is_refused_before_a_file_is_made(tmp_path):
    _, opt = setup(telemetry=False)
    with pytest.raises(ValueError, match="telemetry=True"):
        TelemetryLogger(opt, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_copy_of_the_optimizer_logs_nothing_and_a_scheduler_of_torch_changes_nothing(tmp_path):
    model, opt = setup()
    with TelemetryLogger(opt, tmp_path / "r", every=1):
        scheduler = torch.optim.lr_scheduler.StepLR(opt, 1, 0.5)
        other = copy.deepcopy(opt)
        for p in (p for group in other.param_groups for p in group["params"]):
            p.grad = torch.ones_like(p)
        other.step()
        pickle.dumps(opt)
        for _ in range(3):
            train(model, opt, 1)
            scheduler.step()
    assert [r["lr"] for r in read(tmp_path / "r")] == [[0.01], [0.005], [0.0025]]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="counts the open files of Linux")
def test_a_logger_that_is_dropped_closes_its_file(tmp_path):
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for i in range(5):
        _, opt = setup()
        TelemetryLogger(opt, tmp_path / f"r{i}")
        del opt, _
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_steps_without_gradients_are_no_record(tmp_path):
    _, opt = setup()
    with TelemetryLogger(opt, tmp_path / "r", every=1):
        opt.step()
    assert read(tmp_path / "r") == []


@pytest.mark.parametrize("how", ["by hand", "by plan"])
def test_it_follows_a_switch(how):
    model, opt = setup()
    opt = ours.switch_at(opt, {3: ("sgd", {"lr": 0.1})}) if how == "by plan" else opt
    records, said = [], []
    logger = TelemetryLogger(opt, to=records.append, every=1, on_alarm=said.append)
    train(model, opt, 3)
    opt = ours.switch(opt, "sgd", lr=0.1) if how == "by hand" else opt
    train(model, opt, 3)
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert records[-1]["total"]["gradient_norm"] == opt.telemetry.total.gradient_norm
    with torch.no_grad():
        model[0].weight.fill_(float("nan"))
    train(model, opt, 1)
    assert ("nonfinite", "0.weight", 7) in [(alarm.kind, alarm.name, alarm.step) for alarm in said]
    logger.close()


def test_a_switch_to_what_is_not_measured_ends_it(caplog):
    model, opt = setup()
    records = []
    TelemetryLogger(opt, to=records.append, every=1)
    train(model, opt, 2)
    opt = ours.switch(opt, "sgd", lr=0.1, telemetry=False)
    train(model, opt, 3)
    assert len(records) == 2
    assert [r.message for r in caplog.records] == ["telemetry ends at step 3: SGD measures nothing"]


def test_an_optimizer_of_torch_is_refused():
    with pytest.raises(TypeError, match=r"measured by optimizers of descend.torch, not by torch.optim's Adam"):
        TelemetryLogger(torch.optim.Adam(torch.nn.Linear(2, 2).parameters()), to=print)
