"""What `find_lr` refuses, by name and before anything has moved; and what it does with too little time."""

import math
from types import SimpleNamespace

import pytest
import torch
from range_tests import FEW, Loop, regression
from torch.nn.functional import cross_entropy, mse_loss

import descend.torch as ours
from descend.torch import find_lr


class Unsized:
    """A loader that does not know how many batches it has."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


BATCH = (torch.ones(4, 4), torch.zeros(4, dtype=torch.long))
LOADERS = {
    "an empty list": ([], ValueError, "the loader is empty: it has length 0"),
    "empty, of unknown length": (Unsized([]), ValueError, "the loader is empty: it gave no batch"),
    "an iterator": (iter([BATCH]), TypeError, "an iterator, .* give what it was made from"),
    "a generator": ((b for b in [BATCH]), TypeError, "an iterator, which cannot be put back"),
    "a number": (3, TypeError, "must give batches when iterated over, got int"),
    "None": (None, TypeError, "must give batches when iterated over, got NoneType"),
    "one batch": ([BATCH], ValueError, "the loader gives a single batch, .* smaller batches .* full_batch=True"),
    "one batch, of unknown length": (Unsized([BATCH]), ValueError, "the loader gives a single batch, .* full_batch"),
    "batches that are no pairs": ([BATCH[0]] * 2, TypeError, "batches that are pairs .input, target., got a Tensor"),
    "triples": ([(*BATCH, 1)] * 2, TypeError, "got a tuple of 3"),
}
LOSSES = {
    "a vector": (lambda o, t: cross_entropy(o, t, reduction="none"), ValueError, r"one number, got shape \(8,\): take"),
    "a number": (lambda o, t: 1.0, TypeError, "must be a tensor with one number, got float: 1.0"),
    "nothing": (lambda o, t: None, TypeError, "got NoneType: None"),
    "NaN": (lambda o, t: cross_entropy(o, t) * math.nan, ValueError, "the loss is nan at the starting point"),
    "infinite": (lambda o, t: cross_entropy(o, t) + math.inf, ValueError, "the loss is inf at the starting point"),
    "detached": (lambda o, t: cross_entropy(o, t).detach(), ValueError, "depends on no parameter"),
    "of something else": (lambda o, t: torch.ones((), requires_grad=True) * 2, ValueError, "none of the optimizer's"),
    "complex": (lambda o, t: cross_entropy(o, t) * 1j, ValueError, "the loss must be real"),
    "no function": (3, TypeError, "loss_fn must be callable or None, got 3"),
    "a class": (torch.nn.CrossEntropyLoss, TypeError, r"is the class CrossEntropyLoss: give .*CrossEntropyLoss\(\)"),
}
ARGUMENTS = {
    "steps": [9, 10.5, "300", True],
    "repeats": [0, -1],
    "probes": [-1, 1.5],
    "probe_steps": [0],
    "val_batches": [0],
    "accumulate": [0],
    "low": [0, -1.0, math.nan, math.inf, "1e-6", [1]],
    "high": [0, math.inf],
    "seconds": [0, -1, math.inf, math.nan],
}


class Refuser(torch.nn.Linear):
    """A model that must not be called."""

    def forward(self, x):
        raise AssertionError("this came too late")


def refused(loop, kind, says, *, optimizer=None, loss=None, loader=None, **options):
    seen = loop.look()
    with pytest.raises(kind, match=says):
        find_lr(
            loop.model,
            loop.opt if optimizer is None else optimizer,
            loop.loss if loss is None else loss,
            loop.loader if loader is None else loader[0],
            **{**FEW, **options},
        )
    assert loop.look() == seen


@pytest.mark.parametrize("name", LOADERS)
def test_a_loader_that_cannot_serve(name):
    loader, kind, says = LOADERS[name]
    refused(Loop("ours Adam"), kind, says, loader=[loader])


@pytest.mark.parametrize("loader", [[BATCH], Unsized([BATCH])], ids=["a list", "of unknown length"])
def test_one_batch_is_refused_before_the_model_runs(loader):
    with pytest.raises(ValueError, match="a single batch"):
        find_lr(Refuser(4, 4), "adam", cross_entropy, loader, **FEW)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"autocast": "bf16"}, "autocast must be a dtype .torch.bfloat16. or a function .* got 'bf16'"),
        ({"scaler": "x"}, "scaler must be a torch.amp.GradScaler, got 'x'"),
    ],
)
def test_what_is_no_precision(options, says):
    refused(Loop("ours Adam"), TypeError, says, **options)


@pytest.mark.parametrize("loss", [cross_entropy, None])
def test_what_is_no_model(loss):
    loop = Loop("ours Adam")
    with pytest.raises(TypeError, match="model must be a module or a function of the input, got None"):
        find_lr(None, loop.opt, loss, loop.loader)


@pytest.mark.parametrize("name", ["an empty list", "empty, of unknown length", "an iterator"])
def test_a_validation_loader_that_cannot_serve(name):
    loader, kind, says = LOADERS[name]
    refused(Loop("ours Adam"), kind, says.replace("the loader", "the validation loader"), val=loader)


def test_a_validation_loss_that_is_not_finite():
    loop = Loop("ours Adam")
    bad = [(torch.full((4, 4), math.nan), torch.zeros(4, dtype=torch.long))]
    refused(loop, ValueError, "the validation loss is nan at the starting point", val=bad)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_cannot_serve(name):
    loss, kind, says = LOSSES[name]
    refused(Loop("ours Adam"), kind, says, loss=loss)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ARGUMENTS.items() for value in values])
def test_a_number_out_of_range(name, value):
    refused(Loop("ours Adam"), ValueError, f"^{name} must be", **{name: value})


def test_an_empty_range():
    refused(Loop("ours Adam"), ValueError, "the range is empty: low 1, high 0.1", low=1.0, high=0.1)


def test_frozen_models():
    loop = Loop("ours Adam", before=0)
    loop.model.requires_grad_(False)
    refused(loop, ValueError, "every parameter of the optimizer is frozen")
    refused(loop, ValueError, "every parameter of the model is frozen", optimizer="adam")


def test_an_optimizer_of_another_model():
    other = torch.nn.Linear(2, 2)
    refused(Loop("ours Adam"), ValueError, "none of the model's parameters", optimizer=ours.Adam(other.parameters()))


@pytest.mark.parametrize(
    ("optimizer", "kind", "says"),
    [
        ("adm", ValueError, "no rule 'adm'. Did you mean 'adam'"),
        ("clip_norm", ValueError, "no rule 'clip_norm': it is a modifier"),
        (3, TypeError, "optimizer must be an optimizer, a class of one, a rule or its name; got 3"),
        (dict, TypeError, "must be an optimizer"),
    ],
)
def test_what_is_no_optimizer(optimizer, kind, says):
    refused(Loop("ours Adam"), kind, says, optimizer=optimizer)


def test_steps_inside_backward_cannot_be_undone():
    loop = Loop("torch SGD")
    stepping = ours.step_in_backward(loop.model, ours.Adam, lr=0.01)
    refused(loop, ValueError, "hook that acts when its gradient arrives", optimizer=stepping)


def test_a_class_needs_a_module():
    with pytest.raises(TypeError, match="to make a Adam the model must be a torch"):
        find_lr(lambda x: x, torch.optim.Adam, lambda model, batch: batch.sum(), [torch.ones(3)] * 2)


def test_a_group_without_an_lr():
    loop = Loop("torch SGD")
    del loop.opt.param_groups[0]["lr"]
    refused(loop, ValueError, "parameter group 0 of SGD has no 'lr'")


def test_a_rule_that_diverges_at_any_rate_is_named():
    loop, calls = Loop("torch SGD"), []

    def loss(output, target):
        calls.append(1)
        return cross_entropy(output, target) * (math.nan if len(calls) % 3 == 2 else 1)

    refused(loop, ValueError, "not finite after a few steps, even at a learning rate of .*: is SGD right", loss=loss)


@pytest.fixture
def slow(monkeypatch):
    """A loss that takes 2 ms of a clock that nothing else moves."""
    now = [0.0]
    clock = SimpleNamespace(perf_counter=lambda: now[0])
    for module in ("find", "trial"):
        monkeypatch.setattr(f"descend.torch.learning_rate.{module}.time", clock)

    def loss(output, target):
        now[0] += 0.002
        return mse_loss(output, target)

    loss.now = now
    return loss


def test_a_time_budget_shortens_everything(slow):
    model, batches = regression()
    found = find_lr(model, "gradient_descent", slow, batches, seconds=0.6)
    assert slow.now[0] <= 0.6 + 0.002 * 2
    assert len(found.curve.lr) < 200
    assert found.evaluations <= 301
    assert found.seconds == pytest.approx(slow.now[0])
    model, batches = regression()
    assert not find_lr(model, "gradient_descent", slow, batches, seconds=60, **FEW).late


def test_a_budget_too_small_to_read_anything(slow):
    model, batches = regression()
    with pytest.raises(ValueError, match=r"0.01 seconds end before there is anything to read off; give more"):
        find_lr(model, "gradient_descent", slow, batches, seconds=0.01)


def test_a_budget_that_ends_in_the_first_sweep_is_doubted(slow):
    model, batches = regression()
    found = find_lr(model, "gradient_descent", slow, batches, seconds=0.08)
    assert found.late
    assert found.confidence != "high"
    assert "time budget" in found.reason
