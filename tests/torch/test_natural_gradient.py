"""Natural gradient steps: exact on what is linear, second order near a solution, never uphill, refused by name."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.func import grad

from descend.torch import NaturalGradient


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def net(width=8, seed=0):
    model = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1)).double()
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(normal(*p.shape, seed=seed + i))
    return model


def fit(model, x, y):
    return model(x)[0] - y


POINTS = torch.linspace(-1, 1, 30, dtype=torch.float64)[:, None]
TARGET = (POINTS[:, 0] * 2).sin()


@pytest.mark.parametrize("points", [30, 3])
def test_the_direction_is_the_damped_least_squares_solution(points):
    model = net()
    opt = NaturalGradient(model, damping=0.01, acceleration=False)
    x, y = POINTS[:points], TARGET[:points]
    params = list(model.parameters())
    rows = []
    for a, b in zip(x, y, strict=True):  # one point after the other, by plain autograd
        r = model(a)[0] - b
        slopes = torch.cat([g.reshape(-1) for g in torch.autograd.grad(r, params)])
        rows.append((r.detach(), slopes))
    r = torch.stack([row[0] for row in rows]) / points**0.5
    J = torch.stack([row[1] for row in rows]) / points**0.5
    before = torch.cat([p.detach().reshape(-1).clone() for p in params])
    loss = opt.step([(fit, (x, y))])
    assert float(loss) == pytest.approx(float(0.5 * r @ r), rel=1e-12)
    moved = before - torch.cat([p.detach().reshape(-1) for p in params])
    damping = opt.param_groups[0]["damping"]
    assert min(abs(damping - 0.01 * factor**k) for k in range(12) for factor in (1 / 3, 4)) < 1e-12
    mu = damping * float((J * J).sum()) / J.shape[1]
    tall = torch.cat([J, mu**0.5 * torch.eye(J.shape[1], dtype=J.dtype)])
    expected = torch.linalg.lstsq(tall, torch.cat([r, r.new_zeros(J.shape[1])])[:, None]).solution[:, 0]
    torch.testing.assert_close(moved, expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("points", [30, 3])
def test_the_acceleration_is_that_of_the_residuals_along_the_step(points):
    def bent(model, x, y):  # quadratic in the parameters: its difference is exact
        u = model(x)
        return u[0] ** 2 / 2 + u[1] - y

    x, y = normal(points, 8, seed=2), normal(points, seed=3)
    model = nn.Linear(8, 2, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(0.3 * normal(2, 8, seed=4))
    opt = NaturalGradient(model, damping=1.0, trials=1)
    w = model.weight.detach().clone()
    u = x @ w[0]
    r = (u**2 / 2 + x @ w[1] - y) / points**0.5
    J = torch.cat([u[:, None] * x, x], dim=1) / points**0.5
    damped = J.T @ J + float((J * J).sum()) / 16 * torch.eye(16, dtype=J.dtype)
    v = -torch.linalg.solve(damped, J.T @ r)
    a = -torch.linalg.solve(damped, J.T @ ((x @ v[:8]) ** 2 / points**0.5))
    assert 2 * a.norm() < 0.75 * v.norm()
    loss = float(opt.step([(bent, (x, y))]))
    torch.testing.assert_close((model.weight.detach() - w).reshape(-1), v + a / 2, rtol=1e-7, atol=1e-10)
    assert float(opt.step([(bent, (x, y))])) < loss


def test_a_linear_problem_takes_one_step():
    model = nn.Linear(3, 1).double()
    x = normal(20, 3)
    y = x @ normal(3, seed=1) + 0.5
    opt = NaturalGradient(model, damping=1e-13)
    opt.step([(fit, (x, y))])
    assert float(opt.step([(fit, (x, y))])) < 1e-20


def test_terms_add_up_and_each_is_a_mean_over_its_points():
    model = net()
    opt = NaturalGradient(model)
    loss = opt.step([(fit, (POINTS, TARGET)), (lambda m, x: 3 * m(x), POINTS[:4]), (fit, (POINTS[:1], TARGET[:1]))])
    same = net()
    out = same(POINTS)[:, 0] - TARGET
    expected = 0.5 * (out.square().mean() + (3 * same(POINTS[:4])).square().mean() + out[0].square())
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-12)


def test_a_differential_equation_is_solved():
    # u' = cos x, u(0) = 0
    def interior(model, x):
        return grad(lambda at: model(at)[0])(x)[0] - x[0].cos()

    def start(model, x):
        return model(x)

    model = net(10)
    opt = NaturalGradient(model)
    losses = [float(opt.step([(interior, 2 * POINTS), (start, POINTS.new_zeros(1, 1))])) for _ in range(60)]
    assert all(b <= a for a, b in itertools.pairwise(losses))
    error = (model(2 * POINTS)[:, 0] - (2 * POINTS[:, 0]).sin()).abs().max()
    assert float(error.detach()) < 1e-4


def test_it_resumes_to_the_bit_and_leaves_gradients_alone():
    model = net()
    opt = NaturalGradient(model)
    for _ in range(3):
        opt.step([(fit, (POINTS, TARGET))])
    twin = copy.deepcopy(model)
    other = NaturalGradient(twin)
    other.load_state_dict(opt.state_dict())
    for _ in range(3):
        assert float(opt.step([(fit, (POINTS, TARGET))])) == float(other.step([(fit, (POINTS, TARGET))]))
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())


def test_copies_go_on_and_a_residual_that_raises_changes_nothing():
    model = net()
    opt = NaturalGradient(model)
    for _ in range(2):
        opt.step([(fit, (POINTS, TARGET))])
    twin, other = copy.deepcopy((model, opt))
    before, calls = copy.deepcopy(opt.state_dict()), []

    def raises(net, x, y):
        calls.append(0)
        if len(calls) == 3:
            raise ArithmeticError("broken")
        return fit(net, x, y)

    with pytest.raises(ArithmeticError, match="broken"):
        opt.step([(raises, (POINTS, TARGET))])
    assert opt.state_dict() == before
    assert float(opt.step([(fit, (POINTS, TARGET))])) == float(other.step([(fit, (POINTS, TARGET))]))
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))


def test_an_autocast_around_the_step_rounds_no_matrix():
    one, other = net().float(), net().float()
    terms = [(fit, (POINTS.float(), TARGET.float()))]
    NaturalGradient(one).step(terms)
    with torch.autocast("cpu", torch.bfloat16):
        NaturalGradient(other).step(terms)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def test_chunks_give_the_same_steps():
    one, other = net(), net()
    NaturalGradient(one).step([(fit, (POINTS, TARGET))])
    NaturalGradient(other, chunk_size=7).step([(fit, (POINTS, TARGET))])
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


def test_a_step_that_would_raise_the_loss_moves_nothing_and_raises_the_damping():
    model = net()
    opt = NaturalGradient(model)
    for _ in range(3):
        before = [p.detach().clone() for p in model.parameters()]
        damping = opt.param_groups[0]["damping"]
        # its slope points the wrong way: a custom gradient
        opt.step([(lambda m, x: 2 * m(x).detach() + 1 - m(x), POINTS)])
        assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
        assert opt.param_groups[0]["damping"] == min(1e8, damping * 4.0**12)


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ([], "no terms"),
        ([fit], r"terms\[0\] must be a pair"),
        ([(fit, (POINTS, TARGET[:3]))], "one length"),
        ([(fit, (POINTS[:0], TARGET[:0]))], "no points"),
        ([(fit, (POINTS, TARGET * torch.inf))], "the loss is inf"),
    ],
    ids=["none", "no pair", "lengths", "empty", "infinite"],
)
def test_bad_terms_are_refused_and_change_nothing(terms, says):
    model = net()
    opt = NaturalGradient(model)
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=says):
        opt.step(terms)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_what_a_step_cannot_take_is_refused_in_words():
    model = net()
    opt = NaturalGradient(model)
    with pytest.raises(TypeError, match="takes a list of pairs"):
        opt.step(lambda: fit(model, POINTS, TARGET))
    noisy = nn.Sequential(net(), nn.Dropout(0.5))
    with pytest.raises(ValueError, match=r"draws random numbers.*eval\(\)"):
        NaturalGradient(noisy).step([(fit, (POINTS, TARGET))])
    model[0].bias.requires_grad_(False)
    with pytest.raises(ValueError, match=r"0\.bias was frozen after"):
        opt.step([(fit, (POINTS, TARGET))])


def test_a_jacobian_too_large_is_refused_with_its_size():
    opt = NaturalGradient(net(), max_bytes=1000)
    with pytest.raises(ValueError, match="Jacobian of 30 residuals by 25 parameters takes"):
        opt.step([(fit, (POINTS, TARGET))])


@pytest.mark.parametrize(
    ("model", "how", "says"),
    [
        ([1], {}, "takes a model"),
        (net(), {"damping": 0}, "damping must be"),
        (net(), {"trials": 0}, "trials must be"),
        (net().requires_grad_(False), {}, "no parameter"),
        (nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).double()), {}, "one real dtype"),
    ],
    ids=["list", "damping", "trials", "frozen", "mixed"],
)
def test_bad_arguments_are_refused_by_name(model, how, says):
    with pytest.raises((TypeError, ValueError), match=says):
        NaturalGradient(model, **how)
