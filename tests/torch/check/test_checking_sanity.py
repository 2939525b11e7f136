"""One batch must be learned, and the first loss must be that of a guess; both leave the model as it was."""

import math
import re

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import descend.torch as ours
from descend.torch.check.checking import initial_loss, overfit_one_batch

pytestmark = pytest.mark.usefixtures("one_thread")


def mlp(*middle: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), *middle, nn.ReLU(), nn.Linear(32, 3))


def batch(n=16):
    made = torch.Generator().manual_seed(1)
    return torch.randn(n, 6, generator=made), torch.randint(0, 3, (n,), generator=made)


def content(model, opt):
    tensors = [t.detach().clone() for t in (*model.parameters(), *model.buffers())]
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    return tensors, grads, [m.training for m in model.modules()], opt.state_dict(), torch.get_rng_state()


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("make", [
    lambda p: ours.AdamW(p, lr=1e-2), lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.9),
    lambda p: torch.optim.LBFGS(p, lr=0.5),
])  # fmt: skip
def test_one_batch_is_learned_and_nothing_is_changed(make):
    model = mlp(nn.BatchNorm1d(32))
    opt = make(model.parameters())
    cross_entropy(model(batch()[0]), batch()[1]).backward()
    model.eval()
    before = content(model, opt)
    found = overfit_one_batch(model, opt, cross_entropy, batch())
    assert found.ok, found.sentence
    assert found.losses[-1] <= 0.01 * found.losses[0] < found.losses[0]
    assert len(found.losses) <= 201
    assert same(content(model, opt), before)
    assert (found.unmoved, found.forgotten, found.dropout) == ((), (), ())


def test_after_an_exception_nothing_is_changed():
    model = mlp()
    opt = ours.AdamW(model.parameters(), lr=1e-2)
    calls = []

    def loss(model, batch):
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("stop")
        return cross_entropy(model(batch[0]), batch[1])

    before = content(model, opt)
    with pytest.raises(RuntimeError, match="stop"):
        overfit_one_batch(model, opt, loss, batch())
    assert same(content(model, opt), before)


def test_batches_of_any_form_and_a_model_that_returns_its_loss():
    class WithLoss(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x, labels):
            return {"loss": cross_entropy(self.net(x), labels)}

    x, y = batch()
    model = WithLoss()
    assert overfit_one_batch(model, ours.AdamW(model.parameters(), lr=1e-2), None, {"x": x, "labels": y}).ok


def test_training_mode_is_on_inside():
    seen = []

    def loss(model, batch):
        seen.append(model.training)
        return cross_entropy(model(batch[0]), batch[1])

    model = mlp().eval()
    overfit_one_batch(model, ours.AdamW(model.parameters()), loss, batch(), steps=3)
    initial_loss(model, loss, batch(), 3)
    assert all(seen)
    assert not model.training


def test_what_keeps_it_from_learning_is_named():
    model = mlp(nn.Dropout(0.9))
    opt = ours.SGD([*model[0].parameters()], lr=1e-9)
    found = overfit_one_batch(model, opt, cross_entropy, batch(), steps=5)
    assert not found.ok
    assert len(found.losses) == 6
    assert found.forgotten == ("3.weight", "3.bias")
    assert found.dropout == ("1",)
    assert "Not in the optimizer: 3.weight, 3.bias." in found.sentence

    def headless(model, batch):
        return cross_entropy(model[2](batch[0].repeat(1, 6)[:, :32]), batch[1])

    model = mlp()
    found = overfit_one_batch(model, ours.SGD(model.parameters(), lr=1e-12), headless, batch(), steps=5)
    assert "does not fall" in found.sentence
    assert found.unmoved == ("0.weight", "0.bias")
    assert "No gradient ever reaches 0.weight, 0.bias." in found.sentence


def test_slow_learning_and_divergence_are_told_apart():
    model = mlp()
    slow = overfit_one_batch(model, ours.SGD(model.parameters(), lr=0.05), cross_entropy, batch(), steps=30)
    assert "falls from" in slow.sentence
    found = overfit_one_batch(model, ours.SGD(model.parameters(), lr=1e30), cross_entropy, batch())
    assert "lower the learning rate" in found.sentence
    assert not math.isfinite(found.losses[-1])


def test_the_curve_is_shown(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    model = mlp()
    overfit_one_batch(model, ours.AdamW(model.parameters(), lr=1e-2), cross_entropy, batch()).show()
    out = capsys.readouterr().out
    assert "One batch is learned" in out
    assert any(0x2800 < ord(sign) < 0x2900 for sign in out)
    assert max(map(len, out.splitlines())) <= 70


MODEL = mlp()
OPT = ours.AdamW(MODEL.parameters())
OTHER = ours.AdamW([nn.Parameter(torch.ones(1))])
FROZEN = torch.optim.SGD([torch.ones(1)], lr=0.1)


@pytest.mark.parametrize(
    ("opt", "loss", "data", "settings", "error", "says"),
    [
        (OPT, cross_entropy, torch.utils.data.DataLoader([1]), {}, TypeError, r"give next\(iter\(loader\)\)"),
        (OPT, cross_entropy, iter([batch()]), {}, TypeError, r"give next\(iter\(loader\)\)"),
        (OPT, cross_entropy, batch(0), {}, ValueError, "the batch is empty"),
        (OPT, cross_entropy, [], {}, ValueError, "the batch is empty"),
        (OPT, lambda o, y: o, batch(), {}, ValueError, r"must be one number, got shape \(16, 3\)"),
        (OPT, lambda o, y: 1.0, batch(), {}, TypeError, "must be a tensor"),
        (OPT, lambda o, y: o.sum() * math.nan, batch(), {}, ValueError, "the loss is nan at the starting point"),
        (OPT, lambda o, y: o.detach().sum(), batch(), {}, ValueError, "depends on no parameter"),
        (OPT, lambda o, y: -o.pow(2).sum(), batch(), {}, ValueError, "give target="),
        (OTHER, cross_entropy, batch(), {}, ValueError, "none of the optimizer's parameters"),
        (FROZEN, cross_entropy, batch(), {}, ValueError, "every parameter of the optimizer is frozen"),
        (OPT, cross_entropy, batch(), {"steps": 0}, ValueError, "steps must be a whole number"),
    ],
)
def test_what_is_refused(opt, loss, data, settings, error, says):
    before = content(MODEL, opt)
    with pytest.raises(error, match=says):
        overfit_one_batch(MODEL, opt, loss, data, **settings)
    assert same(content(MODEL, opt), before)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_the_first_loss_of_a_guess(classes):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, classes))
    x = batch(64)[0]
    y = torch.randint(0, classes, (64,), generator=torch.Generator().manual_seed(2))
    model.eval()
    opt = ours.AdamW(model.parameters())
    before = content(model, opt)
    found = initial_loss(model, cross_entropy, (x, y), classes)
    assert found.ok, found.sentence
    assert found.expected == math.log(classes)
    assert "as it should be" in found.sentence
    assert same(content(model, opt), before)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (lambda o, y: cross_entropy(o, y, reduction="sum"), "16 times as much. The loss is summed over 16"),
        (lambda o, y: cross_entropy(50 * o, y), "confident and wrong"),
        (lambda o, y: cross_entropy(o, y) / 16, r"less, as of 1\.07 classes"),
        (lambda o, y: cross_entropy(o, y) - 5, "less, below 0"),
        (lambda o, y: cross_entropy(o, y) * math.inf, r"log\(0\)"),
    ],
)
def test_a_first_loss_that_is_off_says_how(loss, says, capsys):
    found = initial_loss(mlp(), loss, batch(), 3)
    assert not found.ok
    found.show()
    assert re.search(says, found.sentence)
    assert found.sentence.split()[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "classes", "loss", "error", "says"),
    [
        (batch(), 1, cross_entropy, ValueError, "2 or more"),
        (batch(), 3.0, cross_entropy, ValueError, "2 or more"),
        (batch(0), 3, cross_entropy, ValueError, "the batch is empty"),
        (batch(), 3, lambda o, y: o, ValueError, "must be one number"),
    ],
)
def test_what_the_first_loss_refuses(data, classes, loss, error, says):
    with pytest.raises(error, match=says):
        initial_loss(mlp(), loss, data, classes)
