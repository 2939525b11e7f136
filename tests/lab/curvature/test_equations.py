"""The equations of the PINN table: derivatives against autograd, true solutions against their equations."""

import math
from functools import partial

import numpy as np
import torch
from torch.func import functional_call, grad, jacrev

from benchmarks.curvature.equations import Jets, burgers, cole_hopf, poisson


def test_derivatives_carried_along_are_those_of_autograd():
    net = Jets(2, 5, seed=1)
    with torch.no_grad():
        for layer in net.layers:
            layer.bias.normal_(generator=torch.Generator().manual_seed(0))
    x = torch.rand(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, du, d2u = net(x)
    for i in range(4):
        torch.testing.assert_close(net(x[i])[0], u[i])
        torch.testing.assert_close(grad(lambda at: net(at)[0])(x[i]), du[i])
        torch.testing.assert_close(jacrev(jacrev(lambda at: net(at)[0]))(x[i]).diagonal(), d2u[i])


class Known:
    """A function in the place of a net, with its derivatives by differences."""

    def __init__(self, f, h=1e-4):
        self.f, self.h = f, h

    def __call__(self, x):
        u = self.f(x)
        slopes, bends = [], []
        for i in range(x.shape[-1]):
            step = torch.zeros(x.shape[-1], dtype=x.dtype)
            step[i] = self.h
            up, down = self.f(x + step), self.f(x - step)
            slopes.append((up - down) / (2 * self.h))
            bends.append((up - 2 * u + down) / self.h**2)
        return u, torch.stack(slopes, -1), torch.stack(bends, -1)


def test_the_true_solution_of_poisson_leaves_no_residual():
    equation = poisson(0)
    true = Known(lambda x: (math.pi * x).sin().prod(-1))
    assert float(equation.loss(true)) < 1e-10
    assert equation.error(true) == 0
    assert float(equation.loss(Known(lambda x: 1.01 * (math.pi * x).sin().prod(-1)))) > 1e-4


def test_the_true_solution_of_burgers_leaves_no_residual():
    equation = burgers(0)
    true = Known(lambda x: torch.from_numpy(cole_hopf(x.numpy())))
    interior, (points,) = equation.terms[0]
    smooth = points[(points[:, 0].abs() > 0.1) & (points[:, 1] > 0.01)]
    assert float(interior(true, smooth).abs().max()) < 1e-4
    x = np.linspace(-1, 1, 21)
    early = cole_hopf(np.stack([x, np.full(21, 1e-9)], 1))
    np.testing.assert_allclose(early, -np.sin(np.pi * x), atol=1e-4)
    assert np.abs(cole_hopf(np.stack([np.array([-1.0, 1.0]), np.full(2, 0.5)], 1))).max() < 1e-8


def test_one_point_and_many_give_the_same_residuals():
    for equation in (poisson(0), burgers(0)):
        net = Jets(2, 5, seed=0)
        called = partial(functional_call, net, dict(net.named_parameters()))
        for residual, (points,) in equation.terms:
            many = residual(net, points[:3])
            one = torch.stack([residual(called, at) for at in points[:3]])
            torch.testing.assert_close(many, one)
