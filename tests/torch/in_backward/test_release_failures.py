"""What a backward pass that fails leaves behind, when the steps happen inside it."""

import threading

import pytest
import torch
from test_release import everything
from torch import nn
from twins import Raises, bits

import descend.torch as ours
from descend.torch import step_in_backward


@pytest.mark.parametrize("recovery", ["zero_grad", "step"])
def test_a_pass_that_fails_midway_leaves_whole_tensors(recovery):
    """The layers behind the fault have stepped, those before it have not, and training goes on."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)).double()
    opt = step_in_backward(model, ours.AdamW, lr=0.1)
    x = torch.ones(3, 4).double()
    model(x).sum().backward()
    before = [bits(p) for p in model.parameters()]
    model[0].bias.grad = torch.ones(4).double()
    with pytest.raises(ZeroDivisionError):
        model[2](model[1](Raises.apply(model[0](x), ZeroDivisionError("mine")))).sum().backward()
    after = [bits(p) for p in model.parameters()]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, False, False, False]
    assert opt.steps == 1
    if recovery == "step":  # takes the gradient that stands, and the step is complete
        opt.step()
        assert bits(model[0].bias) != before[1]
        assert bits(model[0].weight) == before[0]
    else:
        opt.zero_grad()
        assert bits(model[0].bias) == before[1]
    assert opt.steps == 2
    model(x).sum().backward()
    assert opt.steps == 3
    assert opt.state[model[2].weight]["step"] == 3
    assert opt.state[model[0].weight]["step"] == 2


@pytest.mark.parametrize("engine", ["llvm", "torch"])
def test_a_tensor_that_cannot_be_stepped_is_named_and_whole(engine):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    opt = step_in_backward(model, ours.AdamW, engine=engine)
    x = torch.ones(3, 4)
    model(x).sum().backward()
    good = opt.state[model[0].weight]["exp_avg"]
    opt.state[model[0].weight]["exp_avg"] = torch.zeros(3)
    before = bits(model[0].weight)
    with pytest.raises(ValueError, match=r"exp_avg.*'0.weight'") as refused:
        model(x).sum().backward()
    assert "'0.weight' (group 0, parameter 0) has not been changed" in refused.value.__notes__[0]
    assert bits(model[0].weight) == before
    assert model[0].weight.grad is not None
    opt.state[model[0].weight]["exp_avg"] = good
    opt.step()
    assert model[0].weight.grad is None
    assert [float(opt.state[p]["step"]) for p in model.parameters()] == [2, 2, 2, 2]
    assert opt.steps == 2


def test_memory_that_runs_out_changes_nothing_of_that_tensor(monkeypatch):
    model = nn.Linear(3, 3)
    opt = step_in_backward(model, ours.Adafactor)
    model(torch.ones(1, 3)).sum().backward()
    before = everything(opt, model)

    def fail(*_):
        raise MemoryError

    single = opt._singles[id(model.weight)]
    monkeypatch.setattr(single, "run", fail)
    with pytest.raises(MemoryError):
        model(torch.ones(1, 3)).sum().backward()
    after = everything(opt, model)
    assert (after[0][0], after[1][0]) == (before[0][0], before[1][0])
    opt.step()
    assert float(opt.state[model.weight]["step"]) == 2


def test_two_passes_at_once_are_refused_and_one_after_the_other_are_not():
    model = nn.Linear(2, 2)
    opt = step_in_backward(model, ours.SGD, lr=0.1)
    inside, go, errors = threading.Event(), threading.Event(), []

    class Waits(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            inside.set()
            assert go.wait(20)
            return g

    early = nn.Parameter(torch.ones(1))
    opt.add_param_group({"params": [("early", early)]})

    def slow_after_one():
        # autograd runs what was computed last first: `early` arrives before the pass waits
        (Waits.apply(model.weight).sum() + (early * 1).sum()).backward()

    first = threading.Thread(target=slow_after_one)
    first.start()
    assert inside.wait(20)
    try:
        model(torch.ones(1, 2)).sum().backward()
    except RuntimeError as error:
        errors.append(str(error))
    finally:
        go.set()
        first.join()
    assert errors
    assert "two backward passes" in errors[0]
    opt.zero_grad()
    for _ in range(3):
        runner = threading.Thread(target=lambda: model(torch.ones(1, 2)).sum().backward())
        runner.start()
        runner.join()
    assert opt.steps == 4
    assert model.weight.grad is None
