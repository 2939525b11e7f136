"""Two differential equations for a small net (Raissi et al. 2019): residuals, points, and the true solutions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

VISCOSITY = 0.05 / math.pi
BOUNDARY = 10.0  # weighs the values at the boundary against the residuals inside, which are of second derivatives


class Jets(nn.Module):
    """A net of two tanh layers, float64, that carries its derivatives along (exact, without a second backward pass).

    Called with points (..., d), it returns u (...), its slopes (..., d), and its second derivatives (..., d) by each
    coordinate alone.
    """

    def __init__(self, inputs: int, width: int, seed: int) -> None:
        super().__init__()
        sizes = [inputs, width, width, 1]
        self.layers = nn.ModuleList(nn.Linear(a, b, dtype=torch.float64) for a, b in itertools.pairwise(sizes))
        generator = torch.Generator().manual_seed(seed)
        for layer in self.layers:
            nn.init.xavier_normal_(layer.weight, generator=generator)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        affine: list[tuple[Tensor, Tensor]] = [(layer.weight, layer.bias) for layer in self.layers]  # type: ignore[misc]
        (weight, bias), *rest = affine
        d = x.shape[-1]
        s = (x @ weight.T + bias)[..., None, :]
        ds = weight.T.expand(*x.shape, -1)
        d2s = torch.zeros_like(ds)
        for weight, bias in rest:
            t = s.tanh()
            c = 1 - t * t
            jets = torch.cat([t, c * ds, c * d2s - 2 * t * c * ds * ds], dim=-2)
            s, ds, d2s = (jets @ weight.T).split([1, d, d], dim=-2)
            s = s + bias
        return s[..., 0, 0], ds[..., 0], d2s[..., 0]


@dataclass(frozen=True)
class Equation:
    """A problem: residuals over fixed points, whose mean squares are to vanish.

    Attributes:
        terms: (residual, points): residual(net, *points) is (n,) for points (n, ...), and a number for one point.
        grid, solution: where the error is measured, (m, d), and the true values there, (m,).
    """

    name: str
    terms: list[tuple[Callable[..., Tensor], tuple[Tensor, ...]]]
    grid: Tensor
    solution: Tensor

    def loss(self, net: Callable[..., Any]) -> Tensor:
        """Σ over terms of the mean of ½ r²."""
        total = torch.zeros((), dtype=torch.float64)
        for residual, points in self.terms:
            total = total + 0.5 * residual(net, *points).square().mean()
        return total

    @torch.no_grad()
    def error(self, net: Callable[..., Any]) -> float:
        """‖u - true‖ / ‖true‖ over the grid."""
        return float((net(self.grid)[0] - self.solution).norm() / self.solution.norm())


def poisson(seed: int) -> Equation:
    """-Δu = 2π² sin πx sin πy inside the unit square, u = 0 around it."""
    generator = torch.Generator().manual_seed(seed)
    inside = torch.rand(400, 2, generator=generator, dtype=torch.float64)
    around = torch.rand(80, 2, generator=generator, dtype=torch.float64)
    side = torch.arange(80) % 4
    around[side == 0, 0], around[side == 1, 0], around[side == 2, 1], around[side == 3, 1] = 0.0, 1.0, 0.0, 1.0

    def true(x: Tensor) -> Tensor:
        return (math.pi * x).sin().prod(-1)

    def interior(net: Any, x: Tensor) -> Tensor:
        return net(x)[2].sum(-1) + 2 * math.pi**2 * true(x)

    def boundary(net: Any, x: Tensor) -> Tensor:
        return BOUNDARY * net(x)[0]

    axis = torch.linspace(0, 1, 50, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    return Equation("Poisson", [(interior, (inside,)), (boundary, (around,))], grid, true(grid))


def burgers(seed: int) -> Equation:
    """u_t + u u_x = (0.05/π) u_xx for x in [-1, 1], t in [0, 1]; u = -sin πx at t = 0, and 0 at the ends."""
    generator = torch.Generator().manual_seed(seed)
    span = torch.tensor([2.0, 1.0], dtype=torch.float64)
    shift = torch.tensor([-1.0, 0.0], dtype=torch.float64)
    inside = torch.rand(1500, 2, generator=generator, dtype=torch.float64) * span + shift
    begin = torch.rand(100, 2, generator=generator, dtype=torch.float64) * span + shift
    begin[:, 1] = 0.0
    ends = torch.rand(60, 2, generator=generator, dtype=torch.float64)
    ends[:, 0] = torch.where(torch.arange(60) % 2 == 0, -1.0, 1.0)

    def interior(net: Any, x: Tensor) -> Tensor:
        u, du, d2u = net(x)
        return du[..., 1] + u * du[..., 0] - VISCOSITY * d2u[..., 0]

    def initial(net: Any, x: Tensor) -> Tensor:
        return BOUNDARY * (net(x)[0] + (math.pi * x[..., 0]).sin())

    def boundary(net: Any, x: Tensor) -> Tensor:
        return BOUNDARY * net(x)[0]

    grid = torch.cartesian_prod(
        torch.linspace(-1, 1, 101, dtype=torch.float64), torch.linspace(0.02, 1, 50, dtype=torch.float64)
    )
    terms = [(interior, (inside,)), (initial, (begin,)), (boundary, (ends,))]
    return Equation("Burgers", terms, grid, torch.from_numpy(cole_hopf(grid.numpy())))


def cole_hopf(points: np.ndarray) -> np.ndarray:
    """The solution of Burgers' equation at (x, t), t > 0: (n, 2) -> (n,); Gauss–Hermite quadrature (Basdevant 1986)."""
    nodes, weights = np.polynomial.hermite.hermgauss(160)
    x, t = points[:, :1], points[:, 1:]
    at = x - 2 * np.sqrt(VISCOSITY * t) * nodes
    heights = weights * np.exp(-(np.cos(np.pi * at) + 1) / (2 * np.pi * VISCOSITY))  # the largest is about 1
    return -(np.sin(np.pi * at) * heights).sum(1) / heights.sum(1)
