"""GaussNewton on residuals of a model: the iterates of minimize, nothing wasted, refusals by name."""

import numpy as np
import pytest
import torch
from torch import nn

from descend import minimize
from descend.torch import GaussNewton


def rosenbrock(x):
    return torch.cat([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])


START = torch.tensor([-1.2, 1.0, 0.5], dtype=torch.float64)


def test_iterates_are_those_of_minimize():
    x = nn.Parameter(START.clone())
    opt = GaussNewton([x], max_iter=2)
    path = []
    minimize(rosenbrock, START, "gauss_newton", callback=lambda r: path.append(r.x.numpy()) and None)
    for k in range(3):
        loss = opt.step(lambda: rosenbrock(x))
        assert loss.shape == ()
        np.testing.assert_allclose(x.detach().numpy(), path[2 * k + 1], rtol=0, atol=1e-10)


def test_a_line_is_fitted_in_a_few_steps_by_two_groups():
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 3
    model = nn.Linear(3, 1)
    opt = GaussNewton([{"params": [model.weight]}, {"params": [model.bias]}])
    for _ in range(8):
        loss = opt.step(lambda: model(x)[:, 0] - y)
    assert float(loss) < 1e-6
    assert float(model.bias.detach()) == pytest.approx(3, abs=1e-4)
    assert model.weight.dtype == torch.float32


def test_one_jacobian_a_step():
    x = nn.Parameter(START.clone())
    opt = GaussNewton([x])
    asked = []
    jacobian = opt._graph.jacobian
    opt._graph.jacobian = lambda at, most: asked.append(at) or jacobian(at, most)
    for _ in range(4):
        opt.step(lambda: rosenbrock(x))
    assert len(asked) == 4


def test_what_vmap_cannot_do_is_done_row_by_row():
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * float(g.abs().sum()) * g.sign()  # not for a batch of g

    x = nn.Parameter(torch.tensor([2.0, 3.0], dtype=torch.float64))
    opt = GaussNewton([x])
    opt.step(lambda: Own.apply(x) - 1)
    np.testing.assert_allclose(opt._search.J, np.diag([4.0, 6.0]))


def test_what_cannot_be_meant_is_refused():
    x = nn.Parameter(torch.ones(2))
    opt = GaussNewton([x], memory_limit=100)
    with pytest.raises(TypeError, match=r"must return the residuals, a real tensor; got 1\.0"):
        opt.step(lambda: 1.0)
    with pytest.raises(TypeError, match=r"shape \(0, 2\)"):
        opt.step(lambda: x.expand(0, 2))
    with pytest.raises(ValueError, match="do not depend on the parameters"):
        opt.step(lambda: torch.ones(3))
    with pytest.raises(
        ValueError, match=r"Jacobian of 8 residuals by 2 parameters takes 128 B, and memory_limit is 100"
    ):
        opt.step(lambda: x.repeat(4))
    assert torch.equal(x, torch.ones(2))
    opt.step(lambda: x * 2)
