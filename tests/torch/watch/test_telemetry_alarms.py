"""Alarms: which tensor, what was seen, since when; said once per episode."""

import json
from dataclasses import asdict

import pytest
import torch
from torch import nn

import descend.torch as ours
from descend.torch.watch.alarms import Alarms, summary
from descend.torch.watch.running_median import RunningMedian

ENGINES = ("llvm", "torch", "numpy")


class Run:
    """Two tensors, ``fine`` and ``odd``; ``go`` steps with gradients of the given size and collects the alarms."""

    def __init__(self, dtype=torch.float32, every=1, lr=1e-3, **settings):
        torch.manual_seed(0)
        own = {k: settings.pop(k) for k in ("factor", "patience", "window", "rest") if k in settings}
        self.params = {name: nn.Parameter((torch.rand(20) + 0.5).to(dtype)) for name in ("fine", "odd")}
        self.opt = ours.SGD(self.params.items(), lr=lr, telemetry=True, **settings)
        self.alarms, self.every, self.said = Alarms(self.opt, **own), every, []

    def go(self, steps, odd=1.0, fine=1.0):
        new = []
        for _ in range(steps):
            for name, size in (("fine", fine), ("odd", odd)):
                p = self.params[name]
                p.grad = (torch.sign(torch.randn(20)) * size).to(p.dtype)
            self.opt.step()
            if (self.opt.steps + self.opt.skipped) % self.every == 0:
                new += self.alarms.look()
        return new


def what(alarms):
    return [(a.kind, a.name, a.since, a.step) for a in alarms]


def test_a_calm_run_raises_none():
    assert Run().go(300) == []
    assert Run(dtype=torch.float64, lr=1e-4).go(300) == []


def test_an_explosion_names_the_tensor_with_numbers():
    run = Run()
    assert run.go(30) == []
    (alarm,) = run.go(1, odd=40.0)
    assert what([alarm]) == [("exploding", "odd", 31, 31)]
    assert "gradient norm 179, 40 times its median 4.47 of 30 looks" in alarm.seen
    assert "update/weight ratio 0.0" in alarm.seen
    assert "1e-3 is common in healthy runs, a hint and no law" in alarm.seen
    assert "lower lr" in alarm.advice
    assert str(alarm).startswith("exploding: odd, since step 31: gradient norm")
    assert json.loads(json.dumps(asdict(alarm)))["name"] == "odd"


def test_an_alarm_is_said_once_and_again_after_recovery():
    run = Run(rest=5)
    run.go(30)
    assert len(run.go(10, odd=40.0)) == 1
    assert run.alarms.active
    assert run.go(4) == []
    assert run.go(1, odd=40.0) == []  # it had not rested
    assert run.go(5) == []
    assert run.alarms.active == []
    assert what(run.go(3, odd=40.0)) == [("exploding", "odd", 51, 51)]


def test_spikes_in_a_row_are_one_episode_and_no_storm():
    run = Run()
    run.go(30)
    said = [alarm for _ in range(40) for alarm in run.go(3) + run.go(1, odd=30.0)]
    assert len(said) == 1


def test_a_level_that_lasts_becomes_the_normal_one():
    run = Run(window=20, lr=1e-5)
    run.go(30)
    assert len(run.go(60, odd=40.0)) == 1
    assert run.alarms.active == []
    assert len(run.go(5, odd=1600.0)) == 1


def test_between_a_third_and_the_whole_factor_an_episode_goes_on():
    run = Run(rest=3)
    run.go(40)
    assert len(run.go(1, odd=40.0)) == 1
    assert run.go(20, odd=5.0) == []
    assert run.go(1, odd=40.0) == []


def test_a_warm_up_and_a_warm_restart_are_no_explosion():
    run = Run()
    said = []
    for t in range(600):
        run.opt.param_groups[0]["lr"] = 1e-3 * min(1, (t + 1) / 100) if t < 300 else 1e-5 if t < 450 else 1e-3
        said += run.go(1)
    assert said == []


def test_a_norm_that_overflows_is_an_explosion():
    run = Run()
    run.go(20)
    run.opt.param_groups[0]["lr"] = 0.0
    (alarm,) = run.go(1, odd=1e25)
    assert (alarm.kind, alarm.name) == ("exploding", "odd")
    assert "gradient norm inf, inf times" in alarm.seen


@pytest.mark.parametrize(("every", "step"), [(1, 31), (10, 40)])
def test_dead(every, step):
    run = Run(every=every)
    run.go(10)
    (alarm,) = run.go(60, odd=0.0)
    assert (alarm.kind, alarm.name, alarm.step) == ("dead", "odd", step)
    assert alarm.since == (11 if every == 1 else 20)
    assert f"exactly zero at {21 if every == 1 else 3} looks in a row" in alarm.seen
    assert "ReLU" in alarm.advice
    assert run.go(5 * every) == []
    assert [a.kind for a in run.go(60, odd=0.0)] == ["dead"]


def test_a_gradient_that_is_zero_now_and_then_is_not_dead():
    run = Run()
    assert [a for _ in range(10) for a in run.go(19, odd=0.0) + run.go(1)] == []


def test_frozen_by_a_tiny_lr():
    run = Run()
    run.opt.param_groups[0]["lr"] = 1e-9
    found = run.go(100)
    assert what(found) == [("frozen", "fine", 1, 21), ("frozen", "odd", 1, 21)]
    assert "did not move at lr 1e-09, while its gradient norm is 4.47" in found[0].seen
    run = Run(dtype=torch.float64, lr=1e-9)
    found = run.go(100)
    assert [a.kind for a in found] == ["frozen"] * 2
    assert "update/weight ratio 1e-09 at lr 1e-09 (" in found[0].seen
    assert "hint and no law" in found[0].seen
    assert "People raise the lr" in found[0].advice


def test_frozen_by_the_rounding_of_bfloat16():
    run = Run(dtype=torch.bfloat16, lr=1e-4)
    found = run.go(60)
    assert {(a.kind, a.name) for a in found} == {("frozen", "fine"), ("frozen", "odd")}
    assert len(found) == 2
    assert "all 20 weights compared kept their bits, as bfloat16 rounds the update away" in found[0].seen
    assert "update/weight ratio 0.0001" in found[0].seen
    assert Run(dtype=torch.bfloat16, lr=0.01).go(60) == []


def test_dead_is_not_also_frozen():
    run = Run()
    assert {a.kind for a in run.go(100, odd=0.0)} == {"dead"}


@pytest.mark.parametrize("engine", ENGINES)
def test_nonfinite_gradients_name_the_tensor_once(engine):
    run = Run(engine=engine)
    run.go(5)
    for _ in range(3):
        run.params["fine"].grad = torch.ones(20)
        run.params["odd"].grad = torch.ones(20)
        run.params["odd"].grad[:5] = float("nan")
        run.opt.step()
        run.said += run.alarms.look()
    assert what(run.said) == [("nonfinite", "odd", 6, 6)]
    assert "5 of the 20 elements of its gradient are NaN or infinite (0.25)" in run.said[0].seen
    assert run.go(20) == []  # its weights are NaN now: the same episode
    assert [a.kind for a in run.alarms.active] == ["nonfinite"]


def test_weights_that_are_nan_are_seen_where_the_gradient_is_finite():
    run = Run()
    run.go(3)
    with torch.no_grad():
        run.params["odd"][0] = float("nan")
    (alarm,) = run.go(1)
    assert (alarm.kind, alarm.name) == ("nonfinite", "odd")
    assert "the norm of its weights is nan" in alarm.seen


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_skipped_step_names_the_tensor(engine, clip):
    run = Run(engine=engine, nonfinite="skip", clip_norm=clip)
    run.go(4)
    assert what(run.go(3, odd=float("inf"))) == [("nonfinite", "odd", 5, 5)]
    assert run.opt.skipped == 3
    (alarm,) = run.alarms.active
    assert "holds NaN or infinity, and the step was skipped (1 so far)" in alarm.seen
    assert run.go(10) == []
    assert run.alarms.active == []
    assert len(run.go(1, fine=float("nan"))) == 1


def test_a_grad_scaler_that_finds_its_scale_is_no_alarm_but_one_that_does_not_is():
    model = nn.Linear(4, 1)
    opt = ours.SGD(model.named_parameters(), lr=0.1, telemetry=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    alarms, said = Alarms(opt), []
    opt.register_step_post_hook(lambda *_: said.extend(alarms.look()))
    for t in range(12):
        opt.zero_grad()
        scaler.scale(model(torch.ones(1, 4)).sum() * (float("inf") if t < 4 or t > 5 else 1.0)).backward()
        scaler.step(opt)
        scaler.update()
        assert len(said) == (0 if t < 10 else 2), t
    assert {(a.kind, a.name) for a in said} == {("nonfinite", "weight"), ("nonfinite", "bias")}


def test_looking_twice_at_a_step_says_nothing_new():
    run = Run()
    run.go(30)
    run.every = 1000
    run.go(1, odd=40.0)
    assert len(run.alarms.look()) == 1
    assert run.alarms.look() == []


def test_empty_tensors_and_tensors_that_come_and_go():
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(0))
    opt = ours.SGD([a, b], lr=0.1, telemetry=True)
    alarms = Alarms(opt, names=[("a", a)])
    for t in range(100):
        a.grad = torch.zeros(3) if t % 2 else None
        b.grad = torch.zeros(0)
        opt.step()
        found = alarms.look()
        assert [(x.kind, x.name) for x in found] == ([("dead", "a")] if t == 21 else [])


def test_many_tensors_that_explode_at_once_make_few_lines():
    params = [(f"layer{i}", nn.Parameter(torch.ones(4))) for i in range(50)]
    opt = ours.SGD(params, lr=1e-3, telemetry=True)
    alarms = Alarms(opt)
    for t in range(20):
        for _, p in params:
            p.grad = torch.full((4,), 100.0 if t == 19 else 1.0)
        opt.step()
        found = alarms.look()
    lines = summary(found)
    assert len(found) == 50
    assert len(lines) == 4
    assert lines[-1] == "exploding: 47 more tensors (layer3, layer4, layer5, …)"


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"factor": 1.0}, "factor"), ({"patience": 0}, "patience"), ({"window": 3}, "window"), ({"rest": 0.5}, "rest")],
)
def test_thresholds_that_make_no_sense(settings, says):
    with pytest.raises(ValueError, match=says):
        Run(**settings)


def test_an_optimizer_that_measures_nothing():
    with pytest.raises(ValueError, match="telemetry=True"):
        Alarms(ours.SGD([nn.Parameter(torch.ones(2))], lr=0.1))


def test_the_running_median_is_that_of_the_last_values():
    values = torch.randn(200, generator=torch.Generator().manual_seed(0)).tolist()
    values[50:60] = [1.0] * 10
    median = RunningMedian(31)
    assert median.value is None
    for i, value in enumerate(values):
        median.add(value)
        last = values[max(0, i - 30) : i + 1]
        assert median.value == float(torch.tensor(last, dtype=torch.float64).median())
        assert median.count == len(last)


def test_a_gradient_whose_squares_are_zero_in_float32_is_not_dead():
    run = Run()
    assert run.go(60, odd=1e-26, fine=1.0) == []
