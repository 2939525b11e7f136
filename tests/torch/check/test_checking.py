"""Gradient checks: right ones pass, wrong ones are caught, kinks are told apart, and nothing is left changed."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from descend.torch.check.checking import check_gradients

pytestmark = pytest.mark.usefixtures("one_thread")


def mlp(middle: nn.Module, dtype=torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), middle, nn.Linear(8, 3)).to(dtype)


def batch(n=16):
    made = torch.Generator().manual_seed(1)
    return torch.randn(n, 6, generator=made), torch.randint(0, 3, (n,), generator=made)


class Scaled(torch.autograd.Function):
    """exp, with a gradient that is off by a factor."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(x.exp())
        ctx.factor = factor
        return x.exp()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0] * ctx.factor, None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("middle", [nn.Tanh, nn.GELU, nn.ReLU, lambda: nn.Dropout(0.5), lambda: nn.BatchNorm1d(8)])
def test_right_gradients_pass_in_any_precision(middle, dtype):
    model, (x, y) = mlp(middle(), dtype), batch()
    report = check_gradients(lambda: cross_entropy(model(x.to(dtype)), y), model)
    assert report.ok, str(report)
    # Batch norm takes the mean out, so the true slope of the bias before it is 0: both sides are what rounding left.
    idle = {"0.bias"} if isinstance(model[1], nn.BatchNorm1d) else set()
    for t in report.tensors:
        assert t.verdict in (("right", "too small") if t.name in idle else ("right", "kink", "near kinks")), str(report)
        if t.name not in idle:
            largest = max(abs(c.autograd) for c in t.checked)
            off = [abs(c.autograd - c.numeric) for c in t.checked if c.verdict == "right"]
            assert max(off, default=0) <= 1e-7 * largest


class Cancels(nn.Module):
    """Losses that are what is left of large numbers: their rounding is far above that of their own size."""

    def __init__(self, kind, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.kind, self.w, self.x = kind, nn.Parameter(torch.randn(20)), torch.randn(16, 20)

    def forward(self):
        w = self.w
        if self.kind == "shifted":
            return ((w + 1e6) - 1e6).pow(2).sum()
        if self.kind == "offset":
            return (w.pow(2) + 1e6).sum() - 20e6
        if self.kind == "log-sum-exp":
            return torch.logsumexp(w + 1e4, 0) - 1e4
        if self.kind == "variance":
            return ((w + 1e3) ** 2).mean() - (w + 1e3).mean() ** 2
        scores = {"confident": 100, "certain": 1e4}[self.kind] * self.x @ w.reshape(20, 1) * torch.tensor([1.0, -1.0])
        return cross_entropy(scores, scores.argmax(1))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["shifted", "offset", "log-sum-exp", "variance", "confident", "certain"])
def test_right_gradients_of_losses_that_cancel_pass(kind, seed):
    """The rounding of such a loss is measured: its size says nothing of it, and each processor has its own."""
    model = Cancels(kind, seed)
    report = check_gradients(model, model, seed=seed)
    assert report.ok, str(report)


@pytest.mark.parametrize("kind", ["shifted", "offset", "variance"])
def test_wrong_gradients_of_losses_that_cancel_are_found(kind):
    model = Cancels(kind, 0)
    model.w.register_hook(lambda g: 1.01 * g)
    assert [t.verdict for t in check_gradients(model, model).tensors] in (["doubtful"], ["wrong"])


@pytest.mark.parametrize("make", [
    lambda: (nn.LSTM(3, 4), lambda m, x: m(x.reshape(4, 4, 6)[..., :3])[0].pow(2).mean()),
    lambda: (nn.MultiheadAttention(6, 2), lambda m, x: m(x.reshape(2, 8, 6), x[:8, None, :].expand(8, 8, 6),
                                                         x[8:, None, :].expand(8, 8, 6))[0].pow(2).mean()),
    lambda: (nn.Conv2d(2, 2, 2).to(memory_format=torch.channels_last),
             lambda m, x: m(x.reshape(1, 2, 8, 6)).pow(2).mean()),
    lambda: (nn.Embedding(9, 3, sparse=True), lambda m, x: m(torch.tensor([1, 4, 4])).pow(2).sum()),
], ids=["LSTM", "attention", "channels_last", "sparse"])  # fmt: skip
def test_layers_of_many_kinds(make):
    torch.manual_seed(0)
    model, loss = make()
    x = batch()[0]
    report = check_gradients(lambda: loss(model, x), model, coordinates=4)
    assert report.ok, str(report)


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1 + 1e-9, "right"), (1 + 3e-6, "doubtful"), (1.5, "wrong"), (-1, "wrong")]
)
def test_wrong_gradients_are_found_down_to_one_in_a_million(factor, verdict):
    w = nn.Parameter(torch.randn(5, generator=torch.Generator().manual_seed(0)))
    report = check_gradients(lambda: Scaled.apply(w, factor).sum(), {"w": w})
    assert report.tensors[0].verdict == verdict
    assert report.ok is (verdict == "right")
    if verdict != "right":
        assert report.tensors[0].worst.error == pytest.approx(abs(factor - 1) / max(1, abs(factor)), rel=0.01)
        assert report.failed[0].name == "w"
        assert "does not agree" in report.sentence


def test_a_gradient_cut_off_is_found_and_said():
    w, v = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    report = check_gradients(lambda: (w * v.detach()).pow(2).sum(), {"w": w, "v": v})
    assert [t.name for t in report.failed] == ["v"]
    assert "autograd does not reach it" in str(report)


def test_what_the_loss_does_not_depend_on_is_said():
    w, v = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    report = check_gradients(lambda: w.pow(2).sum(), {"w": w, "v": v})
    assert report.ok
    assert report.sentence.endswith("Neither autograd nor a difference finds that the loss depends on v.")


def test_one_wrong_entry_among_many_is_found_by_the_direction():
    """Ten coordinates of ten thousand would miss it nearly always."""

    class OneOff(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.pow(2).sum()

        @staticmethod
        def backward(ctx, g):
            grad = 2 * ctx.saved_tensors[0] * g
            grad[77, 7] = 0
            return grad

    w = nn.Parameter(torch.randn(100, 100, generator=torch.Generator().manual_seed(3)))
    report = check_gradients(lambda: OneOff.apply(w), [("w", w)])
    assert [c.index for c in report.tensors[0].checked if c.verdict not in ("right", "too small")] == [None]


def test_a_kink_at_the_point_is_reported_and_is_no_mistake():
    w = nn.Parameter(torch.zeros(4))
    report = check_gradients(lambda: w.abs().sum(), [w], directions=0)
    assert report.ok
    assert sorted(report.kinks) == [("param 0", (i,)) for i in range(4)]
    slope = report.tensors[0].checked[0].slope
    assert (slope.left, slope.right) == pytest.approx((-1, 1), abs=1e-6)


def test_a_slope_outside_both_sides_of_a_kink_is_wrong():
    class Abs(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.abs()

        @staticmethod
        def backward(ctx, g):
            return 1.5 * g

    w = nn.Parameter(torch.zeros(1))
    assert not check_gradients(lambda: Abs.apply(w).sum(), [w]).ok


def test_a_kink_beside_the_point_is_kept_clear_of():
    w = nn.Parameter(torch.tensor([1.0, 1e-5, -1e-5]))
    report = check_gradients(lambda: (w.relu() + w.pow(2)).sum(), [w], directions=0)
    by_index = {c.index: c for c in report.tensors[0].checked}
    assert all(c.verdict == "right" for c in by_index.values()), str(report)
    assert [by_index[(i,)].slope.kink_near for i in range(3)] == [False, True, True]
    assert by_index[(1,)].slope.step < 1e-4


def test_steep_curvature_is_no_kink():
    w = nn.Parameter(torch.tensor([0.1, 0.2]))
    report = check_gradients(lambda: (50 * w).sin().sum() + (30 * w).exp().sum(), [w])
    assert report.ok, str(report)
    assert not any(c.slope.kink for c in report.tensors[0].checked)


def state(model):
    grads = [None if p.grad is None else (p.grad, p.grad.clone()) for p in model.parameters()]
    tensors = [(t, t.dtype, t.data_ptr(), t.detach().clone()) for t in (*model.parameters(), *model.buffers())]
    modes = [m.training for m in model.modules()]
    return tensors, grads, modes, random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()


def assert_same(model, before):
    tensors, grads, modes, python, numbers, rng = state(model)
    for (t, dtype, at, value), (t0, dtype0, at0, value0) in zip(tensors, before[0], strict=True):
        assert t is t0
        assert (dtype, at) == (dtype0, at0)
        assert torch.equal(value, value0)
    for now, then in zip(grads, before[1], strict=True):
        assert (now is None) is (then is None)
        assert now is None or (now[0] is then[0] and torch.equal(now[1], then[1]))
    assert (modes, python, numbers) == before[2:5]
    assert torch.equal(rng, before[5])


@pytest.mark.parametrize("ends", ["well", "error", "interrupt", "not finite"])
def test_it_leaves_no_trace(ends):
    model, (x, y) = mlp(nn.Sequential(nn.BatchNorm1d(8), nn.Dropout(0.3))), batch()
    cross_entropy(model(x), y).backward()
    model[0].weight.grad = None
    model[2].eval()
    calls = []

    def loss():
        calls.append(1)
        model.train()
        model.zero_grad(set_to_none=False)  # in place
        for draw in (random.random, np.random.rand, lambda: torch.rand(1)):
            draw()
        if len(calls) == 20 and ends in ("error", "interrupt"):
            raise {"error": RuntimeError, "interrupt": KeyboardInterrupt}[ends]("stop")
        return cross_entropy(model(x), y) * (float("nan") if ends == "not finite" else 1)

    before = state(model)
    if ends == "well":
        assert check_gradients(loss, model).ok
    else:
        with pytest.raises({"error": RuntimeError, "interrupt": KeyboardInterrupt, "not finite": ValueError}[ends]):
            check_gradients(loss, list(model.parameters()))
    assert_same(model, before)


def test_casts_in_the_loss_do_not_lower_its_precision():
    model, (x, y) = mlp(nn.Tanh()), batch()
    report = check_gradients(lambda: cross_entropy(model(x).half().to(torch.bfloat16).float(), y), model, coordinates=4)
    assert {t.verdict for t in report.tensors} == {"right"}


def test_under_no_grad_and_inference_mode_too():
    model, (x, y) = mlp(nn.Tanh()), batch()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert check_gradients(lambda: cross_entropy(model(x), y), model, coordinates=2).ok


def test_a_large_tensor_costs_no_more_than_its_share():
    w = nn.Parameter(torch.ones(1000, 30))
    report = check_gradients(lambda: w.pow(2).sum(), [w], coordinates=6)
    assert len(report.tensors[0].checked) == 7
    assert report.evaluations <= 7 * 16 + 2


def test_the_same_seed_chooses_the_same_coordinates():
    w = nn.Parameter(torch.ones(100))
    chosen = [
        [c.index for c in check_gradients(lambda: w.pow(2).sum(), [w], seed=s).tensors[0].checked] for s in (0, 0, 1)
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def test_the_table(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    w = nn.Parameter(torch.ones(3, 2))
    report = check_gradients(lambda: Scaled.apply(w, 2.0).sum(), {"layer.weight": w})
    report.show()
    out = capsys.readouterr().out
    assert all(len(line) <= 60 for line in out.splitlines())
    said = " ".join(out.split())
    for words in ("layer.weight", "3×2", "5e-01", "wrong", "does not agree"):
        assert words in said
    assert "layer.weight" in str(report)


CALLS = iter(range(100))


def counted():
    return W.sum() * next(CALLS)


W = nn.Parameter(torch.ones(2))


@pytest.mark.parametrize(
    ("loss", "params", "error", "says"),
    [
        (lambda: W * 2, [W], ValueError, r"must be one number, got shape \(2,\)"),
        (lambda: 3.0, [W], TypeError, "must be a tensor with one number, got float"),
        (lambda: W.detach().sum(), [W], ValueError, "depends on no parameter"),
        (lambda: W.sum(), [nn.Parameter(torch.ones(1))], ValueError, "depends on none of these parameters"),
        (lambda: W.sum() / 0, [W], ValueError, "the loss is inf"),
        (counted, [W], ValueError, "is not the same twice"),
        (lambda: W.sum(), [("n", nn.Parameter(torch.ones(1, dtype=torch.int64), requires_grad=False))], TypeError,
         "n is int64, which has no gradient"),
        (lambda: W.sum(), [nn.Parameter(torch.ones(1, dtype=torch.complex64))], TypeError, "64; check torch.view"),
        (lambda: W.sum(), [W.detach()], ValueError, "param 0 is frozen"),
        (lambda: W.sum(), [W * 2], ValueError, "param 0 is computed, no leaf"),
        (lambda: W.sum(), [3], TypeError, "param 0 is no tensor but int"),
        (lambda: W.sum(), lambda: W.sum(), TypeError, "params must be a module, tensors, or .* got <function"),
        (lambda: W.sum(), [], ValueError, "no parameter to check"),
        (lambda: W.sum(), nn.Linear(2, 2).requires_grad_(False), ValueError, "every parameter of the model is frozen"),
        (lambda: W.sum(), nn.LazyLinear(2), ValueError, "weight has no shape yet"),
        (3, [W], TypeError, "loss_fn must be a function"),
    ],
)  # fmt: skip
def test_what_is_refused(loss, params, error, says):
    with pytest.raises(error, match=says):
        check_gradients(loss, params)
    assert W.dtype == torch.float32
    assert W.grad is None


@pytest.mark.parametrize("settings", [{"coordinates": -1}, {"coordinates": 0, "directions": 0}, {"directions": 1.5}])
def test_numbers_that_are_refused(settings):
    with pytest.raises(ValueError, match=r"coordinates|directions"):
        check_gradients(lambda: W.sum(), [W], **settings)
