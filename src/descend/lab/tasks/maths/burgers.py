"""The task `burgers`: a network that solves Burgers' equation by its residual (Raissi et al. 2019, with x/π).

u_t + u u_x = 0.05 u_xx on -1 < x < 1, 0 < t < 1, u(x, 0) = -sin(πx), u(±1, t) = 0; the initial and the boundary values
are built into the network. Validation is against the exact solution, by the Cole-Hopf transformation.
"""

from collections.abc import Iterator

import numpy as np

from ..problem import Array, Problem
from ..task import Task

VISCOSITY = 0.05
TASK = Task(
    name="burgers",
    title="Burgers' equation by a network",
    data="made by the program: random places in space and time",
    licence="none needed",
    sha256="",
    split="validation is the exact solution at 1,000 fixed places",
    model="MLP 2-24-24-1, tanh, float32, 697 parameters",
    loss="mean squared residual; validation: mean squared error over the mean square of the solution",
    shows="derivatives in the loss: ill-conditioned, with little noise",
    steps=600,
    batch=256,
    seconds=1.0,
    seeds=20,
    needs=(("torch", "torch"),),
)


def solution(x: Array, t: Array) -> Array:
    """u(x, t) by Gauss-Hermite quadrature of the Cole-Hopf integral; t > 0."""
    points, weights = np.polynomial.hermite.hermgauss(80)
    y = x[:, None] - points * np.sqrt(4 * VISCOSITY * t)[:, None]
    potential = np.exp(-np.cos(np.pi * y) / (2 * np.pi * VISCOSITY))
    return -(np.sin(np.pi * y) * potential * weights).sum(axis=1) / (potential * weights).sum(axis=1)


def problem() -> Problem:
    import torch
    from torch import nn

    from ..torch_module import TorchModule

    class Field(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))

        def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            free = self.net(torch.stack([x, t], dim=1))[:, 0]
            return -torch.sin(torch.pi * x) + t * (1 - x * x) * free

    def residual(model: nn.Module, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        if len(batch) == 3:
            x, t, exact = batch
            return (model(x, t) - exact).square().mean() / exact.square().mean()
        x, t = (part.clone().requires_grad_() for part in batch)
        u = model(x, t)
        u_x, u_t = torch.autograd.grad(u.sum(), (x, t), create_graph=True)
        (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
        return (u_t + u * u_x - VISCOSITY * u_xx).square().mean()

    def places(rng: np.random.Generator, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        made = rng.random((2, n), np.float32)
        return torch.from_numpy(2 * made[0] - 1), torch.from_numpy(made[1])

    def batches(seed: int, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        rng = np.random.default_rng([seed, 1])
        for _ in range(steps):
            yield places(rng, TASK.batch)

    x, t = places(np.random.default_rng(0), 1000)
    exact = torch.from_numpy(solution(x.numpy().astype(float), t.numpy().astype(float) + 1e-9).astype(np.float32))
    return TorchModule(Field, residual, batches, [(x, t, exact)])
