"""A step after a change of learning rates alone is as one that is planned anew, and does not look at all settings."""

import math

import pytest
import torch

import descend.torch as ours
from descend import schedules
from descend.torch.step.plan import Plan

NAMES = [
    "SGD",
    "Adagrad",
    "RMSprop",
    "Adadelta",
    "Adamax",
    "NAdam",
    "AdamW",
    "Rprop",
    "ASGD",
    "Adafactor",
    "Muon",
    "Lion",
]


@pytest.fixture
def settled(monkeypatch):
    """The plans that looked at all settings, one entry each time."""
    seen = []
    settle = Plan._settle
    monkeypatch.setattr(Plan, "_settle", lambda self: (seen.append(self), settle(self))[1])
    return seen


def made(name, **more):
    torch.manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(4, 3)) for _ in range(3)]
    return getattr(ours, name)(
        [{"params": params[:2]}, {"params": params[2:], "lr": 0.02}], **{"lr": 0.01, **more}
    ), params


def run(name, change, anew=False, steps=8, **more):
    opt, params = made(name, **more)
    chance = torch.Generator().manual_seed(1)
    for step in range(steps):
        change(opt, step)
        for p in params:
            p.grad = torch.randn(4, 3, generator=chance)
        if anew:
            opt._plan = None
        opt.step()
    return params, opt


def falling(opt, step):
    for i, group in enumerate(opt.param_groups):
        group["lr"] = 0.01 / (1 + step * (i + 1))


@pytest.mark.parametrize("engine", ["auto", "torch", "numpy"])
@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_those_of_a_step_planned_anew(name, engine):
    mine, _ = run(name, falling, engine=engine)
    reference, _ = run(name, falling, anew=True, engine=engine)
    assert all(map(torch.equal, mine, reference))
    still, _ = run(name, lambda opt, step: None, engine=engine)
    assert not all(map(torch.equal, mine, still))


@pytest.mark.parametrize("name", ["SGD", "AdamW", "Muon"])
def test_all_settings_are_looked_at_once(name, settled):
    run(name, falling)
    assert len(settled) == 1
    run(name, lambda opt, step: None, lr=0.01 * schedules.cosine(20))
    assert len(settled) <= 3  # where the schedule comes in


OTHERWISE = {
    "to zero": lambda group, step: group.update(lr=0.0 if step % 2 else 0.01),
    "a whole number": lambda group, step: group.update(lr=1 + step),
    "a tensor": lambda group, step: group.update(lr=torch.tensor(0.01 / (1 + step))),
    "another key besides": lambda group, step: group.update(lr=0.01 / (1 + step), weight_decay=0.1 * step),
    "another rule besides": lambda group, step: group.update(lr=0.01 / (1 + step), amsgrad=step % 3 == 0),
    "a new key": lambda group, step: group.update({"lr": 0.01 / (1 + step), f"mine_{step}": step}),
    "from outside": lambda group, step: group.__setitem__("lr", group["lr"] * 0.9),
}


@pytest.mark.parametrize("how", OTHERWISE)
def test_what_is_more_than_that_is_looked_at(how, settled):
    def change(opt, step):
        OTHERWISE[how](opt.param_groups[0], step)

    mine, opt = run("AdamW", change)
    assert (len(settled) > 4) == (how != "from outside")
    reference, _ = run("AdamW", change, anew=True)
    assert all(map(torch.equal, mine, reference))
    assert opt.steps == 8


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf, "0.1", None, True])
def test_a_rate_that_is_none_is_refused_and_nothing_changed(rate):
    params, opt = run("AdamW", falling)
    before = [p.detach().clone() for p in params]
    opt.param_groups[1]["lr"] = rate
    with pytest.raises((ValueError, TypeError)):
        opt.step()
    assert all(map(torch.equal, params, before))
    assert opt.steps == 8
    opt.param_groups[1]["lr"] = 0.01
    opt.step()
    assert opt.steps == 9


def test_a_scheduler_of_torchs_over_groups():
    def train(cls):
        torch.manual_seed(0)
        params = [torch.nn.Parameter(torch.randn(5)) for _ in range(2)]
        opt = cls([{"params": [p]} for p in params], lr=0.1)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(opt, [0.1, 0.3], total_steps=20)
        for step in range(20):
            for p in params:
                p.grad = torch.cos(p.detach() + step)
            opt.step()
            scheduler.step()
        return torch.cat([p.detach() for p in params])

    torch.testing.assert_close(train(ours.Adam), train(torch.optim.Adam), rtol=0, atol=1e-6)
