"""Curvature fed into Sophia's state: before its first step, between steps, and refused without a trace."""

import io

import pytest
import torch
from torch.nn import Parameter

from descend.checks.references import REFERENCES
from descend.torch import AdaHessian, Adam, Sophia
from descend.torch.curvature import feed, gauss_newton_bartlett, hutchinson, spatial_average

SETTINGS = {"lr": 0.01, "beta1": 0.9, "rho": 0.3, "eps": 1e-12, "weight_decay": 0.1}


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(**more):
    params = [Parameter(normal(4, 3)), Parameter(normal(5, seed=1)), Parameter(normal(seed=2))]
    return Sophia(params, **SETTINGS, **more), params


def train(opt, params, steps):
    for t in steps:
        for i, p in enumerate(params):
            p.grad = normal(*p.shape, seed=100 + 10 * t + i)
        opt.step()


def estimates(params, seed):
    return [normal(*p.shape, seed=seed + i).abs() for i, p in enumerate(params)]


@pytest.mark.parametrize("engine", ["llvm", "torch"])
def test_what_was_fed_before_the_first_step_is_what_the_steps_divide_by(engine):
    opt, params = made(engine=engine)
    start = [p.detach().numpy().copy() for p in params]
    fed = estimates(params, 50)
    feed(opt, params, fed, beta2=0.0)
    train(opt, params, range(10))
    for i, p in enumerate(params):
        assert torch.allclose(opt.state[p]["hessian"], fed[i], rtol=1e-15, atol=0)
    # the reference holds one value of h for all: one element at a time
    for i, p in enumerate(params):
        for k in range(p.numel()):
            grads = [[normal(*p.shape, seed=100 + 10 * t + i).reshape(-1)[k].numpy()] for t in range(10)]
            run = REFERENCES["sophia"]([start[i].reshape(-1)[k]], grads, **SETTINGS, h0=float(fed[i].reshape(-1)[k]))
            *_, (x, _) = run
            assert float(p.detach().reshape(-1)[k]) == pytest.approx(float(x[0]), rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("engine", ["llvm", "torch"])
@pytest.mark.parametrize("first", [0, 3])
def test_feeding_is_an_average_with_beta2(engine, first):
    opt, params = made(engine=engine)
    train(opt, params, range(first))
    expected = [torch.zeros_like(p) for p in params]
    for round_, beta2 in enumerate((None, 0.9, 0.5)):
        diagonals = estimates(params, 10 * round_)
        feed(opt, params, diagonals, **({} if beta2 is None else {"beta2": beta2}))
        b = 0.99 if beta2 is None else beta2
        expected = [b * h + (1 - b) * d for h, d in zip(expected, diagonals, strict=True)]
        for p, h in zip(params, expected, strict=True):
            assert torch.allclose(opt.state[p]["hessian"], h, rtol=1e-14, atol=1e-16)
        train(opt, params, [first + round_])
        for p, h in zip(params, expected, strict=True):
            assert torch.allclose(opt.state[p]["hessian"], h, rtol=1e-14, atol=1e-16)


def test_feeding_touches_nothing_else():
    opt, params = made()
    train(opt, params, range(3))
    diagonals = estimates(params, 5)
    before = [(p.detach().clone(), opt.state[p]["exp_avg"].clone(), p.grad.clone()) for p in params]
    given = [d.clone() for d in diagonals]
    feed(opt, params, diagonals)
    for p, d, g, (was, m, grad) in zip(params, diagonals, given, before, strict=True):
        assert torch.equal(p, was)
        assert torch.equal(opt.state[p]["exp_avg"], m)
        assert torch.equal(p.grad, grad)
        assert torch.equal(d, g)
        assert not opt.state[p]["hessian"].requires_grad
    feed(opt, params[1:], diagonals[1:], beta2=0.5)  # some of the parameters


def test_the_fed_state_is_saved_and_resumed():
    opt, params = made()
    feed(opt, params, estimates(params, 5))
    train(opt, params, range(3))
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    twins = [Parameter(p.detach().clone()) for p in params]
    other = Sophia(twins)
    other.load_state_dict(torch.load(file, weights_only=True))
    for o, ps in ((opt, params), (other, twins)):
        feed(o, ps, estimates(ps, 7))
        train(o, ps, range(3, 6))
    for p, q in zip(params, twins, strict=True):
        assert torch.equal(p, q)
        assert torch.equal(opt.state[p]["hessian"], other.state[q]["hessian"])


def test_a_run_with_its_own_curvature_goes_down():
    x, W = normal(40, 3), Parameter(torch.zeros(4, 3, dtype=torch.float64))
    labels = (x @ normal(3, 4, seed=3)).argmax(1)
    generator = torch.Generator().manual_seed(0)
    for estimate in ("hutchinson", "gauss_newton_bartlett"):
        with torch.no_grad():
            W.zero_()
        opt = Sophia([W], lr=0.03, weight_decay=0.0, rho=0.04)
        losses = []
        for t in range(60):
            logits = x @ W.T
            loss = torch.nn.functional.cross_entropy(logits, labels)
            if t % 10 == 0:
                of = (
                    hutchinson(loss, [W], generator)
                    if estimate == "hutchinson"
                    else gauss_newton_bartlett(logits, [W], generator)
                )
                feed(opt, [W], of)
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.6 * losses[0], estimate


def refused(opt, params, diagonals, match, **more):
    states = [{k: torch.as_tensor(v).clone() for k, v in opt.state[p].items()} for p in params if p in opt.state]
    with pytest.raises(ValueError, match=match):
        feed(opt, params, diagonals, **more)
    after = [{k: torch.as_tensor(v).clone() for k, v in opt.state[p].items()} for p in params if p in opt.state]
    assert len(states) == len(after)
    for a, b in zip(states, after, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("steps", [0, 2])
def test_what_does_not_fit_is_refused_before_anything_is_written(steps):
    opt, params = made()
    train(opt, params, range(steps))
    good = estimates(params, 3)
    refused(opt, params, [*good[:2], good[0]], "shape|diagonals")
    refused(opt, params, [good[0], good[1].reshape(5, 1), good[2]], "shape|diagonals")
    refused(opt, params, good[:2], "diagonals")
    refused(opt, params, [*good, good[0]], "diagonals")
    refused(opt, [], [], "params")
    stranger = Parameter(normal(4, 3))
    refused(opt, [*params, stranger], [*good, good[0]], "params")
    for beta2 in (-0.1, 1.5, float("nan")):
        refused(opt, params, good, "beta2", beta2=beta2)


def test_an_optimizer_without_curvature_is_refused():
    params = [Parameter(normal(4, 3))]
    opt = Adam(params)
    refused(opt, params, estimates(params, 0), "Adam|adam")
    assert not opt.state.get(params[0])


@pytest.mark.parametrize("engine", ["llvm", "torch"])
def test_adahessian_averages_the_squares_of_what_it_is_fed(engine):
    p = Parameter(normal(3, 2))
    opt = AdaHessian([p], lr=0.1, betas=(0.8, 0.6), eps=1e-3, weight_decay=0.05, engine=engine)
    x, m, v = p.detach().clone(), torch.zeros(3, 2).double(), torch.zeros(3, 2).double()
    for t in range(1, 6):
        g, d = normal(3, 2, seed=t), normal(3, 2, seed=50 + t).abs()
        p.grad = g.clone()
        feed(opt, [p], [d])
        opt.step()
        m, v = 0.8 * m + 0.2 * g, 0.6 * v + 0.4 * d.square()
        x = x * (1 - 0.1 * 0.05) - 0.1 * (m / (1 - 0.8**t)) / ((v / (1 - 0.6**t)).sqrt() + 1e-3)
        torch.testing.assert_close(p.detach(), x, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "settings", [{}, {"lr": 0.03, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.2}], ids=str
)
def test_adahessian_is_that_of_pytorch_optimizer(settings):
    """Somebody else's transcription of the paper, fed another estimate of either sign before each step."""
    theirs = pytest.importorskip("pytorch_optimizer").AdaHessian
    settings = {"eps": 1e-4, **settings}  # theirs is 1e-16 by default
    mine, other = Parameter(normal(4, 3)), Parameter(normal(4, 3))
    ours, peer = AdaHessian([mine], **settings), theirs([other], **settings)
    for t in range(40):
        g, d = normal(4, 3, seed=100 + t) * 10.0 ** (t % 5 - 2), normal(4, 3, seed=200 + t) * 10.0 ** (t % 3 - 1)
        mine.grad, other.grad = g.clone(), g.clone()
        feed(ours, [mine], [d])
        ours.step()
        peer.step(hessian=[d])
        torch.testing.assert_close(mine.detach(), other.detach(), rtol=1e-12, atol=1e-13)


def test_adahessian_on_a_quadratic_is_a_newton_step_with_signs():
    scale = torch.tensor([1.0, 1e2, 1e4], dtype=torch.float64)
    p = Parameter(torch.ones(3, dtype=torch.float64))
    opt = AdaHessian([p], lr=1.0, betas=(0.0, 0.999), eps=1e-12)
    loss = 0.5 * (scale * p * p).sum()
    feed(opt, [p], spatial_average(hutchinson(loss, [p], probes="signs")))
    loss.backward()
    opt.step()
    assert float(p.detach().abs().max()) < 1e-10


def test_a_kernel_has_one_size_of_curvature():
    diagonals = [normal(4, 2, 3, 3), normal(4, 2), normal(4), normal(2, 3, 5)]
    found = spatial_average(diagonals)
    for d, one in zip(diagonals, found, strict=True):
        assert one.shape == d.shape
        expected = d.abs() if d.dim() < 3 else d.abs().flatten(2).mean(2).reshape(*d.shape[:2], *[1] * (d.dim() - 2))
        torch.testing.assert_close(one, expected.expand(d.shape))
    with pytest.raises(ValueError, match="probes must be"):
        hutchinson(diagonals[1].requires_grad_().sum(), [diagonals[1]], probes="uniform")
