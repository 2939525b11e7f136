"""Accumulated micro-batches are one batch: whatever their sizes, in any precision, with and without a scaler."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from twins import Raises

import descend.torch as ours
from descend.stepping import NonFiniteGradient
from descend.torch.loop.accumulator import Accumulator

pytestmark = pytest.mark.usefixtures("one_thread")


def model(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)


def data(n, dtype=torch.float64):
    made = torch.Generator().manual_seed(n)
    return torch.randn(n, 4, generator=made, dtype=torch.float64).to(dtype), torch.randint(0, 3, (n,), generator=made)


def pieces(n, sizes, dtype=torch.float64):
    x, y = data(n, dtype)
    return list(zip(x.split(sizes), y.split(sizes), strict=True))


def of_whole(net, x, y):
    net.zero_grad()
    cross_entropy(net(x), y).backward()
    return [p.grad.clone() for p in net.parameters()]


def equal(net, grads, tolerance):
    for p, g in zip(net.parameters(), grads, strict=True):
        torch.testing.assert_close(p.grad, g, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("sizes", [[4, 4, 4, 4], [8, 5, 2, 1], [1, 7], [16]])
def test_the_gradient_is_that_of_all_samples_together(sizes, reduction):
    net = model()
    expected = of_whole(net, *data(sum(sizes)))
    net.zero_grad()
    opt = ours.SGD(net.parameters(), lr=0.0)
    acc = Accumulator(opt, reduction=reduction)
    for x, y in pieces(sum(sizes), sizes):
        assert not acc.backward(cross_entropy(net(x), y, reduction=reduction), count=len(x))
    assert acc.seen == sum(sizes)
    assert acc.step()
    equal(net, expected, 1e-14)
    x, y = data(sum(sizes))
    assert acc.loss == pytest.approx(float(cross_entropy(net(x), y).detach()))


def test_equal_micro_batches_need_no_further_pass():
    """Weights add up to 1 as they come, so the gradient has the bits of a plain loop that divides by their number."""
    nets = [model(torch.float32) for _ in range(2)]
    parts = pieces(32, [8] * 4, torch.float32)
    acc = Accumulator(ours.SGD(nets[0].parameters(), lr=0.0), every=4)
    for x, y in parts:
        acc.backward(cross_entropy(nets[0](x), y), len(x))
        (cross_entropy(nets[1](x), y) / 4).backward()
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


@pytest.mark.parametrize("nonfinite", ["raise", "skip", "propagate"])
def test_the_last_shorter_window_is_weighted_right(nonfinite):
    """22 samples in micro-batches of 4, 2 per step: the plain loop divides the last 2 samples by 8."""
    nets = [model() for _ in range(2)]
    opts = [ours.AdamW(net.parameters(), lr=0.05) for net in nets]
    parts = pieces(22, 4)
    stepped = []
    with Accumulator(opts[0], every=2, nonfinite=nonfinite) as acc:
        for x, y in parts:
            stepped.append(acc.backward(cross_entropy(nets[0](x), y), count=len(x)))
    assert stepped == [False, True] * 3
    for x, y in zip(*(t.split(8) for t in data(22)), strict=True):
        opts[1].zero_grad()
        cross_entropy(nets[1](x), y).backward()
        opts[1].step()
    assert acc.steps == opts[0].steps == 3
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


def test_leaving_the_block_steps_with_what_is_left():
    net = model()
    expected = of_whole(net, *data(6))
    with Accumulator(ours.SGD(net.parameters(), lr=0.0), every=4) as acc:
        for x, y in pieces(6, [4, 2]):
            acc.backward(cross_entropy(net(x), y), count=len(x))
        assert acc.pending == 2
    assert (acc.steps, acc.pending) == (1, 0)
    equal(net, expected, 1e-14)


def test_tokens_and_a_micro_batch_without_any():
    """Mean over the tokens that are not masked; where all are, the loss is NaN and counts nothing."""
    net = model()
    x, y = data(12)
    y[[0, 1, 2, 3, 5, 9]] = -100
    net.zero_grad()
    cross_entropy(net(x), y, ignore_index=-100).backward()
    expected = [p.grad.clone() for p in net.parameters()]
    acc = Accumulator(ours.SGD(net.parameters(), lr=0.0), every=3)
    for a, b in zip(x.split(4), y.split(4), strict=True):
        acc.backward(cross_entropy(net(a), b, ignore_index=-100), count=(b != -100).sum())
    assert acc.steps == 1
    assert acc.skipped == 0
    assert acc.seen == 6
    equal(net, expected, 1e-14)


def poisoned(net, x, y, how):
    loss = cross_entropy(net(x), y)
    if how == "loss":
        return loss * math.nan
    if how == "gradient":  # sqrt at 0: finite, and an infinite slope
        return loss + (net[0].weight.sum() * 0).abs().sqrt()
    return loss


@pytest.mark.parametrize("how", ["loss", "gradient"])
def test_a_micro_batch_that_is_not_finite_is_left_out_where_asked(how):
    net = model()
    parts = pieces(12, 3)
    expected = of_whole(
        net, torch.cat([x for x, _ in (*parts[:1], *parts[2:])]), torch.cat([y for _, y in (*parts[:1], *parts[2:])])
    )
    acc = Accumulator(ours.SGD(net.parameters(), lr=0.0), every=4, nonfinite="skip")
    for i, (x, y) in enumerate(parts):
        stepped = acc.backward(poisoned(net, x, y, how if i == 1 else ""), count=len(x))
    assert stepped
    assert (acc.skipped, acc.seen) == (1, 9)
    equal(net, expected, 1e-14)


def test_a_window_of_nothing_but_bad_ones_takes_no_step():
    net = model()
    opt = ours.AdamW(net.parameters())
    acc = Accumulator(opt, every=2, nonfinite="skip")
    x, y = data(3)
    assert not acc.backward(poisoned(net, x, y, "loss"), 3)
    assert not acc.backward(poisoned(net, x, y, "gradient"), 3)
    assert (acc.steps, acc.skipped, acc.pending) == (0, 2, 0)
    assert not opt.state_dict()["state"]
    assert not acc.backward(cross_entropy(net(x), y), 3)
    assert acc.backward(cross_entropy(net(x), y), 3)


def test_raising_changes_no_parameter():
    net = model()
    before = [p.detach().clone() for p in net.parameters()]
    x, y = data(3)
    acc = Accumulator(ours.SGD(net.parameters(), lr=1.0), every=2)
    acc.backward(cross_entropy(net(x), y), 3)
    with pytest.raises(NonFiniteGradient, match="the loss of micro-batch 2 of this window is nan"):
        acc.backward(poisoned(net, x, y, "loss"), 3)
    assert acc.pending == 1
    with pytest.raises(NonFiniteGradient, match="the window was dropped"):
        acc.backward(poisoned(net, x, y, "gradient"), 3)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))
    assert (acc.pending, acc.steps) == (0, 0)


def test_propagate_leaves_it_to_the_optimizer():
    net = model()
    x, y = data(3)
    opt = ours.SGD(net.parameters(), lr=1.0, nonfinite="skip")
    acc = Accumulator(opt, every=1, nonfinite="propagate")
    assert not acc.backward(poisoned(net, x, y, "loss"), 3)
    assert opt.skipped == 1
    assert acc.backward(cross_entropy(net(x), y), 3)


@pytest.mark.parametrize("kind", [ours.AdamW, torch.optim.AdamW])
def test_with_a_scaler_steps_are_those_without_and_infinities_are_skipped(kind):
    nets = [model(torch.float32) for _ in range(2)]
    opts = [kind(net.parameters(), lr=0.05) for net in nets]
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=100)
    accs = [Accumulator(opts[0], every=2, scaler=scaler, clip_norm=0.5), Accumulator(opts[1], every=2, clip_norm=0.5)]
    for net, acc in zip(nets, accs, strict=True):
        for x, y in pieces(14, 4, torch.float32):
            acc.backward(cross_entropy(net(x), y), count=len(x))
    for p, q in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
    before = [p.detach().clone() for p in nets[0].parameters()]
    x, y = data(4, torch.float32)
    accs[0].backward(cross_entropy(nets[0](x), y), 4)
    assert not accs[0].backward(poisoned(nets[0], x, y, "gradient"), 4)
    assert scaler.get_scale() == 512.0
    assert all(torch.equal(p, q) for p, q in zip(nets[0].parameters(), before, strict=True))


def test_clipping_is_of_the_whole_window():
    net = model()
    acc = Accumulator(ours.SGD(net.parameters(), lr=0.0), clip_norm=1e-3)
    for x, y in pieces(6, [4, 2]):
        acc.backward(cross_entropy(net(x), y), len(x))
    acc.step()
    assert float(nn.utils.get_total_norm([p.grad for p in net.parameters()])) == pytest.approx(1e-3, rel=1e-4)


def test_an_exception_drops_the_window():
    net = model()
    x, y = data(3)
    opt = ours.SGD(net.parameters(), lr=1.0)
    before = [p.detach().clone() for p in net.parameters()]

    def interrupted():
        with Accumulator(opt, every=2) as acc:
            acc.backward(cross_entropy(net(x), y), 3)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))


def test_an_exception_inside_backward_leaves_the_window_as_it_was():
    net = model()
    x, y = data(3)
    acc = Accumulator(ours.SGD(net.parameters(), lr=1.0), nonfinite="skip")
    acc.backward(cross_entropy(net(x), y), 3)
    before = [p.grad.clone() for p in net.parameters()]
    with pytest.raises(OSError, match="out of memory"):
        acc.backward(cross_entropy(net[2](Raises.apply(net[1](net[0](x)), OSError("out of memory"))), y), 3)
    equal(net, before, 0)
    assert (acc.seen, acc.pending) == (3, 1)


def test_closes_says_when_machines_must_exchange_gradients():
    net = model()
    x, y = data(3)
    acc = Accumulator(ours.SGD(net.parameters(), lr=0.0), every=3)
    said = []
    for _ in range(6):
        said.append(acc.closes)
        acc.backward(cross_entropy(net(x), y), 3)
    assert said == [False, False, True] * 2


def test_an_empty_loader_is_said():
    def trained(loader):
        with Accumulator(OPT, every=3) as acc:
            for x, y in loader:
                acc.backward(cross_entropy(NET(x), y), len(x))

    with pytest.raises(ValueError, match="no micro-batch was seen: the loader is empty"):
        trained([])


NET = model()
OPT = ours.SGD(NET.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("loss", "count", "error", "says"),
    [
        (torch.ones(2), 2, ValueError, r"must be one number, got shape \(2,\)"),
        (1.0, 2, TypeError, "must be a tensor"),
        (torch.ones(()), 2, ValueError, "depends on no parameter"),
        (NET[0].weight.sum(), -1, ValueError, "count must be 0 or more, got -1"),
        (NET[0].weight.sum(), math.nan, ValueError, "count must be 0 or more"),
        (NET[0].weight.sum(), None, TypeError, "count must be how many samples"),
        (NET[0].weight.sum(), True, TypeError, "count must be how many samples"),
    ],
)
def test_micro_batches_that_are_refused(loss, count, error, says):
    acc = Accumulator(OPT, every=2)
    with pytest.raises(error, match=says):
        acc.backward(loss, count)
    assert (acc.pending, acc.seen) == (0, 0)
    assert all(p.grad is None for p in NET.parameters())


@pytest.mark.parametrize(
    ("opt", "settings", "error", "says"),
    [
        (OPT, {"every": 0}, ValueError, "every must be"),
        (OPT, {"every": 2.0}, ValueError, "every must be"),
        (OPT, {"nonfinite": "ignore"}, ValueError, "nonfinite must be one of propagate, skip, raise"),
        (OPT, {"reduction": "none"}, ValueError, "reduction must be one of mean, sum"),
        (OPT, {"clip_norm": 0}, ValueError, "clip_norm must be"),
        (torch.optim.LBFGS(NET.parameters()), {}, TypeError, "in a closure: accumulate there"),
        (torch.optim.SGD([torch.ones(1)], lr=0.1), {}, ValueError, "every parameter of the optimizer is frozen"),
        (NET, {}, TypeError, "Sequential is no torch optimizer"),
    ],
)
def test_what_the_accumulator_refuses(opt, settings, error, says):
    with pytest.raises(error, match=says):
        Accumulator(opt, **settings)


def test_a_loss_of_another_model_is_said():
    acc = Accumulator(OPT)
    acc.backward(model()[0].weight.sum(), 1)
    with pytest.raises(ValueError, match="reaches none of the optimizer's parameters"):
        acc.step()
