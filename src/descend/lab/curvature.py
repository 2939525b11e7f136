"""Second order on small networks, beside a tuned Adam for the same processor time: an autoencoder and two equations.

``python -m descend.lab.curvature`` trains each network by each method for the same processor time, from the
same weights, on the whole of its data in float64, and prints what each reached. Adam decays linearly to 0 over the
steps it gets, and is run at five learning rates, of which the best counts: it has five times the time of the others.
"""

import itertools
import time
from collections.abc import Callable
from typing import NamedTuple

import click
import numpy as np
import torch
from torch import Tensor, nn

from .. import torch as descend_torch
from .tasks.maths import burgers

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
OF_SEARCH = ("SSBroyden", "BFGS", "NewtonCG", "HessianFree")
MEMORY = 2_000  # parameters from which on a whole matrix takes longer than it is worth


class Task(NamedTuple):
    """A network, its loss with the outputs that the loss is a convex function of, and what it is judged by."""

    model: nn.Module
    loss: Callable[[], tuple[Tensor, Tensor]]
    error: Callable[[], float]


def mlp(*sizes: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.Tanh()]
    return nn.Sequential(*layers[:-1]).double()


def autoencoder() -> Task:
    """Digits of scikit-learn, 64-32-8-32-64, mean squared error: judged by its loss."""
    from sklearn.datasets import load_digits

    pixels = torch.from_numpy(np.asarray(load_digits(return_X_y=True)[0]) / 16)
    model = mlp(64, 32, 8, 32, 64)

    def loss() -> tuple[Tensor, Tensor]:
        outputs = model(pixels)
        return (outputs - pixels).square().mean(), outputs

    def error() -> float:
        with torch.no_grad():
            return float(loss()[0])

    return Task(model, loss, error)


def poisson() -> Task:
    """-Δu = 2π² sin(πx) sin(πy) on the unit square, u = 0 on its edge: judged by the relative L2 error."""
    model = mlp(2, 30, 30, 1)
    grid = torch.linspace(0.0, 1.0, 18, dtype=torch.float64)[1:-1]
    x, y = (part.reshape(-1).clone().requires_grad_() for part in torch.meshgrid(grid, grid, indexing="ij"))
    source = (2 * torch.pi**2 * torch.sin(torch.pi * x) * torch.sin(torch.pi * y)).detach()

    def field(x: Tensor, y: Tensor) -> Tensor:
        return x * (1 - x) * y * (1 - y) * model(torch.stack([x, y], 1))[:, 0]

    def loss() -> tuple[Tensor, Tensor]:
        u = field(x, y)
        u_x, u_y = torch.autograd.grad(u.sum(), (x, y), create_graph=True)
        u_xx = torch.autograd.grad(u_x.sum(), x, create_graph=True)[0]
        u_yy = torch.autograd.grad(u_y.sum(), y, create_graph=True)[0]
        residual = u_xx + u_yy + source
        return residual.square().mean(), residual

    a, b = torch.rand(2, 2000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    exact = torch.sin(torch.pi * a) * torch.sin(torch.pi * b)
    return Task(model, loss, lambda: relative(field, a, b, exact))


def burgers_equation() -> Task:
    """u_t + u u_x = 0.05 u_xx, the lab's task ``burgers``: judged by the relative L2 error."""
    model = mlp(2, 24, 24, 1)
    made = torch.rand(2, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x, t = (2 * made[0] - 1).requires_grad_(), made[1].clone().requires_grad_()

    def field(x: Tensor, t: Tensor) -> Tensor:
        return -torch.sin(torch.pi * x) + t * (1 - x * x) * model(torch.stack([x, t], 1))[:, 0]

    def loss() -> tuple[Tensor, Tensor]:
        u = field(x, t)
        u_x, u_t = torch.autograd.grad(u.sum(), (x, t), create_graph=True)
        (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
        residual = u_t + u * u_x - burgers.VISCOSITY * u_xx
        return residual.square().mean(), residual

    there = torch.rand(2, 1000, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    a, b = 2 * there[0] - 1, there[1]
    exact = torch.from_numpy(burgers.solution(a.numpy(), b.numpy() + 1e-9))
    return Task(model, loss, lambda: relative(field, a, b, exact))


def relative(field: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor, exact: Tensor) -> float:
    with torch.no_grad():
        return float((field(a, b) - exact).norm() / exact.norm())


TASKS = {"autoencoder": autoencoder, "poisson": poisson, "burgers": burgers_equation}


def adam(task: Task, seconds: float, rate: float) -> int:
    """Steps done; as many as fit, by the time of twenty that are then undone."""
    saved = {name: value.clone() for name, value in task.model.state_dict().items()}
    steps = 20
    for measured in (True, False):
        opt = descend_torch.Adam(task.model.parameters(), lr=rate)
        began = time.process_time()
        for k in range(steps):
            for group in opt.param_groups:
                group["lr"] = rate * (1 - k / steps)
            opt.zero_grad()
            task.loss()[0].backward()
            opt.step()
        if measured:
            steps = max(20, int(20 * seconds / (time.process_time() - began)))
            task.model.load_state_dict(saved)
    return steps


def lbfgs(task: Task, seconds: float) -> int:
    opt = descend_torch.LBFGS(task.model.parameters(), line_search_fn="strong_wolfe", tolerance_change=0.0)

    def closure() -> Tensor:
        opt.zero_grad()
        loss = task.loss()[0]
        loss.backward()
        return loss

    return repeated(lambda: opt.step(closure), seconds)


def of_search(name: str) -> Callable[[Task, float], int]:
    def run(task: Task, seconds: float) -> int:
        opt = getattr(descend_torch, name)(task.model.parameters(), max_iter=10, tol=0.0)
        return repeated(lambda: opt.step(task.loss if name == "HessianFree" else lambda: task.loss()[0]), seconds)

    return run


def repeated(step: Callable[[], object], seconds: float) -> int:
    began, steps = time.process_time(), 0
    while time.process_time() - began < seconds:
        step()
        steps += 1
    return steps


@click.command()
@click.option("--seconds", default=8.0, show_default=True, help="Processor time of each run.")
@click.option("--task", type=click.Choice(list(TASKS)), multiple=True, help="Only these.")
def main(seconds: float, task: tuple[str, ...]) -> None:
    """Train small networks by second-order methods and a tuned Adam, for the same processor time."""
    torch.set_num_threads(1)
    click.echo("| network | judged by | " + " | ".join(["Adam", "LBFGS", *OF_SEARCH]) + " |")
    click.echo("|---" * (4 + len(OF_SEARCH)) + "|")
    for name in task or TASKS:
        best, rate = min((reached(name, lambda one, lr=lr: adam(one, seconds, lr)), lr) for lr in RATES)
        cells = [f"{best:.2e} (lr {rate:g})", shown(reached(name, lambda one: lbfgs(one, seconds)), best)]
        size = sum(p.numel() for p in TASKS[name]().model.parameters())
        for method in OF_SEARCH:
            if method in ("SSBroyden", "BFGS") and size > MEMORY:
                cells.append("")
            else:
                cells.append(shown(reached(name, lambda one, m=method: of_search(m)(one, seconds)), best))
        judged = "loss" if name == "autoencoder" else "L2 error"
        click.echo(f"| {name}, {size} parameters | {judged} | " + " | ".join(cells) + " |")


def reached(name: str, train: Callable[[Task], int]) -> float:
    task = TASKS[name]()
    train(task)
    return task.error()


def shown(value: float, of_adam: float) -> str:
    return f"{value:.2e} ({value / of_adam:.2g})"


if __name__ == "__main__":
    main()
