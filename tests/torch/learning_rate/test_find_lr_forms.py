"""Every form of loop that `find_lr` takes: batches, models, losses, accumulation, closures, mixed precision."""

import math

import numpy as np
import pytest
import schedulefree
import torch
from range_tests import FEW, regression
from torch.nn.functional import mse_loss

import descend.torch as ours
from descend.torch import find_lr


def test_accumulation_is_the_large_batch_it_stands_for():
    model, batches = regression()
    halves = [(x[k], y[k]) for x, y in batches for k in (slice(0, 8), slice(8, 16))]
    large = find_lr(model, "gradient_descent", mse_loss, batches, **FEW)
    small = find_lr(model, "gradient_descent", mse_loss, halves, accumulate=2, **FEW)
    assert small.lr == large.lr
    assert small.evaluations == 2 * large.evaluations
    assert small.curve.raw[:10] == pytest.approx(large.curve.raw[:10], rel=1e-5)


def test_a_closure_is_given_to_who_asks_for_it():
    model, batches = regression()
    found = find_lr(model, torch.optim.LBFGS(model.parameters()), mse_loss, batches, **FEW)
    assert found.evaluations > 60
    again = find_lr(model, torch.optim.SGD(model.parameters(), lr=0.1), mse_loss, batches, closure=True, **FEW)
    plain = find_lr(model, torch.optim.SGD(model.parameters(), lr=0.1), mse_loss, batches, **FEW)
    assert again.lr == plain.lr


def test_autocast_and_scaler():
    model, batches = regression()
    dtypes, scaled = set(), []

    def loss_fn(output, target):
        dtypes.add(output.dtype)
        return mse_loss(output.float(), target)

    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    model.weight.register_hook(lambda g: scaled.append(float(g.abs().max())))
    found = find_lr(model, "gradient_descent", loss_fn, batches, autocast=torch.bfloat16, scaler=scaler, **FEW)
    assert dtypes == {torch.bfloat16}
    assert max(scaled) > 256
    plain = find_lr(model, "gradient_descent", mse_loss, batches, **FEW)
    assert 0.1 <= found.lr / plain.lr <= 10
    made = find_lr(model, "adam", loss_fn, batches, autocast=lambda: torch.autocast("cpu", dtype=torch.bfloat16), **FEW)
    assert made.lr > 0


class Steep(torch.autograd.Function):
    """Passes its input on; the gradient overflows a half, as one of a large model does, unless the scale is small."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, *grads):
        return grads[0] * torch.where(grads[0].abs().max() > 100, math.inf, 1.0)


@pytest.mark.parametrize("scale", [1.0, 64.0, 2.0**20])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.LBFGS])
def test_a_closure_sees_the_gradient_without_its_scale(kind, scale):
    model, batches = regression()
    found = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=scale)):
        opt, seen = kind(model.parameters(), lr=0.1), []

        def loss_fn(output, target):
            return mse_loss(Steep.apply(output), target)

        opt.register_step_post_hook(lambda o, *_, seen=seen: seen.append(model.weight.grad.clone()))
        found.append(find_lr(model, opt, loss_fn, batches, closure=True, scaler=scaler, probes=0, steps=20, repeats=1))
        found.append(seen)
        assert scaler is None or scaler.get_scale() == scale
    plain, gradients, scaled, same = found
    assert scaled.lr == plain.lr
    np.testing.assert_array_equal(scaled.curve.raw, plain.curve.raw)
    np.testing.assert_array_equal(torch.stack(gradients), torch.stack(same))


def test_a_gradient_that_no_scale_makes_finite_ends_the_sweep():
    model, batches = regression()
    opt, calls = torch.optim.SGD(model.parameters(), lr=0.1), []

    def loss_fn(output, target):
        calls.append(1)
        return mse_loss(output, target) + (output.sum() * 0 if len(calls) < 15 else (output * 0).abs().sqrt().sum())

    before = model.weight.detach().clone()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    found = find_lr(model, opt, loss_fn, batches, closure=True, scaler=scaler, **{**FEW, "probes": 0})
    assert len(found.curve.raw) == 16
    assert not math.isfinite(found.curve.raw[-1])
    assert torch.equal(model.weight, before)
    assert scaler.get_scale() == 8.0


@pytest.mark.parametrize("kind", [ours.ScheduleFreeAdamW, schedulefree.AdamWScheduleFree])
def test_schedule_free_validates_at_the_point_that_ships(kind):
    model, batches = regression()
    opt, modes = kind(model.parameters(), lr=0.01), set()

    def loss_fn(model, batch):
        modes.add((model.training, torch.is_grad_enabled()))
        return mse_loss(model(batch[0]), batch[1])

    found = find_lr(model, opt, loss_fn, batches, val=batches[:3], **FEW)
    assert modes == {(True, True), (False, False)}
    assert len(found.curve.val) >= 10
    assert found.lr > 0


def test_probes_are_judged_by_the_validation_loss():
    model, batches = regression()
    val = [(x, y + 3) for x, y in batches[:4]]
    found = find_lr(model, "adam", mse_loss, batches, val=val, val_batches=2, **FEW)
    with torch.no_grad():
        before = sum(float(mse_loss(model(x), y)) for x, y in val[:2]) / 2
    assert found.evidence.start == pytest.approx(before)
    assert found.curve.val[0][1] == pytest.approx(before)


def two(a, b):
    return a + b


class Wrapped(torch.nn.Module):
    """A linear model that takes and gives what it is told to."""

    def __init__(self, gives=lambda loss: loss):
        super().__init__()
        self.inner, self.gives = torch.nn.Linear(6, 1), gives

    def forward(self, x, y=None, **rest):
        out = self.inner(x)
        return out if y is None else self.gives(mse_loss(out, y))


class Output:
    def __init__(self, loss):
        self.loss = loss


FORMS = {
    "pairs": (Wrapped(), mse_loss, lambda x, y: (x, y)),
    "lists": (Wrapped(), mse_loss, lambda x, y: [x, y]),
    "a dictionary in a pair": (Wrapped(), mse_loss, lambda x, y: ({"x": x}, y)),
    "a tuple in a pair": (Wrapped(), mse_loss, lambda x, y: ((x,), y)),
    "dictionary, model gives its loss": (Wrapped(), None, lambda x, y: {"x": x, "y": y}),
    "tuple, model gives its loss": (Wrapped(), None, lambda x, y: (x, y)),
    "an object with a loss": (Wrapped(Output), None, lambda x, y: {"x": x, "y": y, "more": 1}),
    "a dictionary with a loss": (Wrapped(lambda v: {"loss": v}), None, lambda x, y: {"x": x, "y": y}),
    "a tuple that begins with the loss": (Wrapped(lambda v: (v, 1)), None, lambda x, y: (x, y)),
    "nested, with a loss of one's own": (
        Wrapped(),
        lambda model, batch: mse_loss(model(batch["in"][0]["x"]), batch["out"]).reshape(1),
        lambda x, y: {"in": [{"x": x}], "out": y, "name": "b"},
    ),
    "any callable as a model": (
        two,
        lambda model, batch: FORMS["pairs"][0](batch[0]).sub(model(batch[1], 0)).square().mean(),
        lambda x, y: (x, y),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_batch_finds_the_same(form):
    model, loss_fn, pack = FORMS[form]
    _, batches = regression()
    module = model if isinstance(model, torch.nn.Module) else FORMS["pairs"][0]
    with torch.no_grad():
        module.inner.weight.fill_(0.1)
        module.inner.bias.fill_(0.0)
    opt = torch.optim.SGD(module.parameters(), lr=1e-3)
    found = find_lr(model, opt, loss_fn, [pack(x, y) for x, y in batches], low=1e-4, high=10, steps=40, repeats=1)
    assert found.lr == 0.2
    assert found.curve.raw[0] == pytest.approx(float(mse_loss(batches[0][0] @ torch.full((6, 1), 0.1), batches[0][1])))
