"""What is stepped: tensors of the shapes of real models, and the extremes of size and number."""

import functools
import json
from importlib import resources
from math import prod

import torch

Shapes = list[tuple[int, ...]]


@functools.cache
def workloads() -> dict[str, Shapes]:
    """Shapes of the parameters, by name of the workload."""
    made: dict[str, Shapes] = {
        "20M": [(20_000_000,)],
        "1000x1000": [(1000,)] * 1000,
        "100000x16": [(16,)] * 100_000,
        "mlp": [(64, 64), (64,), (10, 64), (10,)],
        "mlp-784": [(128, 784), (128,), (10, 128), (10,)],
    }
    models = json.loads((resources.files("descend.bench") / "model_shapes.json").read_text())
    return made | {name: [tuple(shape) for shape in shapes] for name, shapes in models.items()}


def parameters(shapes: Shapes) -> int:
    return sum(prod(shape) for shape in shapes)


class Tensors:
    """The same parameters and gradients for every contestant: equal values, equal layout, memory of its own."""

    def __init__(self, shapes: Shapes, seed: int = 0) -> None:
        made = torch.Generator().manual_seed(seed)
        count = parameters(shapes)
        flat = [torch.randn(count, generator=made), torch.randn(count, generator=made)]
        self.pairs: list[tuple[torch.Tensor, torch.Tensor]] = []
        at = 0
        for shape in shapes:
            p, g = (x[at : at + prod(shape)].view(shape) for x in flat)
            self.pairs.append((p, g))
            at += prod(shape)

    def copies(self) -> list[torch.nn.Parameter]:
        """Parameters with gradients, each tensor allocated by itself, in the order in which a model's are."""
        made = [torch.nn.Parameter(p.clone()) for p, _ in self.pairs]
        for parameter, (_, g) in zip(made, self.pairs, strict=True):
            parameter.grad = g.clone()
        return made
