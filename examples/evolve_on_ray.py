"""Evolve a network whose loss cannot be vmapped, on Ray: any concurrent.futures.Executor takes the evaluations.

Needs ray. `python examples/evolve_on_ray.py` prints how the models were evaluated, and the loss before and after.
"""

from concurrent.futures import Executor, Future

import ray
import torch
from torch import nn

from descend.torch import evolve


class RayExecutor(Executor):
    """Ray behind the interface of Python's own pools; Dask's and MPI's come with one."""

    def submit(self, fn, /, *args, **kwargs) -> Future:
        return ray.remote(fn).remote(*args, **kwargs).future()


def make_loss():
    x = torch.linspace(-2, 2, 50)[:, None]
    y = torch.sin(2 * x)

    def loss(net):
        error = ((net(x) - y) ** 2).mean()
        return error if error.item() < 10 else error.sqrt()  # .item() is what vmap cannot

    return loss


def main() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    loss = make_loss()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        with torch.no_grad():
            before = loss(model).item()
        found = evolve(model, loss, budget=300, executor=RayExecutor(), seed=0)
    finally:
        ray.shutdown()
    print(found.message)
    print(f"loss {before:.3f} -> {found.fun:.3f} after {found.nfev} models")


if __name__ == "__main__":
    main()
