"""Alarms in whole trainings: what explodes, what is cut off, and what is well."""

import pytest
import torch
from torch import nn

import descend.torch as ours
from descend.torch.watch.alarms import Alarms


def trained(model, x, y, opt, steps, *, batch=32, loss_fn=nn.functional.cross_entropy):
    """The alarms of a training, looked at after each step."""
    draw = torch.Generator().manual_seed(0)
    alarms, said = Alarms(opt), []
    for _ in range(steps):
        some = torch.randint(0, len(x), (batch,), generator=draw)
        opt.zero_grad()
        loss_fn(model(x[some]), y[some]).backward()
        opt.step()
        said += alarms.look()
    return said


def classifier(seed=0):
    torch.manual_seed(seed)
    x = torch.randn(256, 10)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
    return model, x, (x @ torch.randn(10, 4)).argmax(1)


@pytest.mark.parametrize(("rule", "lr"), [("SGD", 50.0), ("SGD", 500.0), ("AdamW", 10.0)])
def test_a_run_that_explodes_at_its_start_is_said_at_once(rule, lr):
    model, x, y = classifier()
    opt = getattr(ours, rule)(model.named_parameters(), lr=lr, telemetry=True)
    said = [alarm for alarm in trained(model, x, y, opt, 5) if alarm.kind == "exploding"]
    assert {alarm.name for alarm in said} >= {"0.weight", "2.weight"}
    assert said[0].step <= 3
    assert "times those of the first look" in said[0].seen


def test_a_slow_explosion_is_said():
    torch.manual_seed(0)
    x = torch.randn(64, 8)
    model = nn.Linear(8, 1)
    opt = ours.SGD(model.named_parameters(), lr=0.0, telemetry=True)
    largest = torch.linalg.eigvalsh(2 * x.T @ x / len(x))[-1]
    opt.param_groups[0]["lr"] = 2.35 / float(largest)  # 35 % more in each step
    said = trained(model, x, torch.randn(64, 1), opt, 60, batch=64, loss_fn=nn.functional.mse_loss)
    assert "weight" in {alarm.name for alarm in said if alarm.kind == "exploding"}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("rule", "settings"), [("SGD", {"lr": 0.1, "momentum": 0.9}), ("AdamW", {"lr": 3e-3})])
def test_a_healthy_run_to_a_loss_of_nearly_zero_raises_none(rule, settings, seed):
    model, x, y = classifier(seed)
    opt = getattr(ours, rule)(model.named_parameters(), telemetry=True, **settings)
    assert trained(model, x, y, opt, 500) == []
    assert nn.functional.cross_entropy(model(x), y) < 0.1


def test_what_is_cut_off_is_dead():
    model, x, y = classifier()
    opt = ours.AdamW(model.named_parameters(), telemetry=True)
    cut = lambda some: model[2](model[1](model[0](some)).detach())  # noqa: E731
    said = trained(cut, x, y, opt, 40)
    assert [(alarm.kind, alarm.name, alarm.since) for alarm in said] == [("dead", "0.weight", 1), ("dead", "0.bias", 1)]
    assert "no gradient at 21 looks in a row, while others had" in said[0].seen
