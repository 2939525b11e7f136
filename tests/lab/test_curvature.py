"""The table of small networks: its tasks are what they say."""

import pytest
import torch

from descend.lab import curvature


@pytest.mark.parametrize("name", curvature.TASKS)
def test_a_task_is_the_same_each_time_and_differentiable(name):
    one, other = curvature.TASKS[name](), curvature.TASKS[name]()
    loss, outputs = one.loss()
    assert float(loss.detach()) == float(other.loss()[0].detach())
    assert float(loss.detach()) == pytest.approx(
        float(outputs.detach().square().mean()) if name != "autoencoder" else one.error()
    )
    loss.backward()
    assert all(p.grad is not None for p in one.model[:-1].parameters())
    assert 0 < one.error() < 10


def test_the_exact_solution_of_poisson_has_no_residual():
    task = curvature.poisson()
    bias = task.model[-1].bias
    with torch.no_grad():
        for p in task.model.parameters():
            p.zero_()
    _, residual = task.loss()  # of u = 0: the source itself, 2π² sin(πx) sin(πy)
    assert float(residual.detach().abs().max()) <= 2 * torch.pi**2
    assert float(residual.detach().max()) > 0.9 * 2 * torch.pi**2
    with torch.no_grad():
        bias.fill_(16.0)  # u = 16 x (1-x) y (1-y), a twelfth from the solution
    assert task.error() == pytest.approx(1 / 12, rel=0.1)
