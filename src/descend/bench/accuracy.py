"""Distance from torch.optim: 300 steps of random gradients, every combination of shared arguments."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from .. import torch as ours

BARS = {torch.float64: 1e-14, torch.float32: 5e-7}
GRID: dict[str, dict[str, tuple[Any, ...]]] = {
    "SGD": {
        "lr": (1e-2,), "momentum": (0.0, 0.9), "dampening": (0.0, 0.3), "weight_decay": (0.0, 0.1),
        "nesterov": (False, True), "maximize": (False, True),
    },
    "Adagrad": {
        "lr": (1e-2,), "lr_decay": (0.0, 0.1), "weight_decay": (0.0, 0.1),
        "initial_accumulator_value": (0.0, 0.5), "maximize": (False, True),
    },
    "RMSprop": {
        "alpha": (0.99, 0.9), "weight_decay": (0.0, 0.1), "momentum": (0.0, 0.9), "centered": (False, True),
        "maximize": (False, True),
    },
}  # fmt: skip
for _name in ("Adam", "AdamW"):
    GRID[_name] = {"betas": ((0.9, 0.999), (0.5, 0.9)), "weight_decay": (0.0, 0.1), "eps": (1e-8, 1e-3)}
    GRID[_name]["maximize"] = (False, True)


def combinations(name: str) -> Iterator[dict[str, Any]]:
    """The arguments of every combination torch admits."""
    grid = GRID[name]
    for values in itertools.product(*grid.values()):
        arguments = dict(zip(grid, values, strict=True))
        if arguments.get("nesterov") and (not arguments["momentum"] or arguments["dampening"]):
            continue
        if not arguments.get("momentum", 1) and arguments.get("dampening"):
            continue
        yield arguments


@dataclass
class Distance:
    """The largest difference over parameters and state at any step.

    Relative to the largest magnitude of its tensor over the run, so that a number which happens to pass
    through zero does not divide by nothing.
    """

    name: str
    dtype: torch.dtype
    cases: int
    worst: float
    arguments: dict[str, Any]

    @property
    def bar(self) -> float:
        return BARS[self.dtype]


def distance(name: str, dtype: torch.dtype, arguments: dict[str, Any], steps: int = 300, engine: str = "auto") -> float:
    """How far our class ends from torch's for-loop after ``steps`` of the same random gradients.

    Gradients change sign and span 1e-4 … 1e2, from step to step and from element to element.
    """
    made = torch.Generator().manual_seed(0)
    shapes = [(7, 5), (33,), (256,)]  # a 0-d tensor has no larger magnitude than its own to be compared with
    start = [torch.randn(shape, generator=made, dtype=dtype) for shape in shapes]
    a, b = ([torch.nn.Parameter(x.clone()) for x in start] for _ in range(2))
    hint = {"foreach": False} if name in ("Adagrad", "RMSprop") else {"foreach": False, "fused": False}
    theirs = getattr(torch.optim, name)(a, **arguments, **hint)
    mine = getattr(ours, name)(b, engine=engine, **arguments)
    apart: dict[Any, float] = {}
    reached: dict[Any, float] = {}
    for _ in range(steps):
        for x, y in zip(a, b, strict=True):
            size = 10 ** (6 * torch.rand(x.shape, generator=made, dtype=dtype) - 4)
            x.grad = torch.randn(x.shape, generator=made, dtype=dtype) * size
            y.grad = x.grad.clone()
        theirs.step()
        mine.step()
        for x, y in zip(a, b, strict=True):
            pairs = {"p": (x.detach(), y.detach())}
            pairs |= {k: (v, mine.state[y][k]) for k, v in theirs.state[x].items() if isinstance(v, torch.Tensor)}
            for what, (one, other) in pairs.items():
                apart[x, what] = max(apart.get((x, what), 0.0), float((one - other).abs().max()))
                reached[x, what] = max(reached.get((x, what), 1e-300), float(one.abs().max()))
    return max(apart[key] / reached[key] for key in apart)


def table(steps: int = 300) -> Iterator[Distance]:
    """The worst combination of each class, float64 and float32."""
    for name, dtype in itertools.product(GRID, BARS):
        found = [(distance(name, dtype, arguments, steps), arguments) for arguments in combinations(name)]
        worst, arguments = max(found, key=lambda pair: pair[0])
        yield Distance(name, dtype, len(found), worst, arguments)
