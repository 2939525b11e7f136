"""What the tests of ``switch`` share: gradients that do not depend on the parameters, and snapshots."""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from torch.nn import Parameter

SHAPES = ((4, 3), (5,), (), (0, 3), (2, 3, 2))


def parameters(dtype: torch.dtype = torch.float64, shapes: Any = SHAPES, seed: int = 0) -> list[Parameter]:
    g = torch.Generator().manual_seed(seed)
    return [Parameter(torch.randn(s, generator=g, dtype=torch.float64).to(dtype)) for s in shapes]


@functools.cache
def _noise(i: int, shapes: tuple[torch.Size, ...]) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(1000 + i)
    return [torch.randn(s, generator=g, dtype=torch.float64) + 0.5 for s in shapes]


def feed(opt: Any, params: list[Parameter], first: int, count: int, size: float = 1.0) -> None:
    """Steps ``first`` to ``first + count`` of one fixed stream of gradients."""
    for i in range(first, first + count):
        for p, noise in zip(params, _noise(i, tuple(p.shape for p in params)), strict=True):
            p.grad = (size * noise).to(p.dtype) if p.requires_grad else None
        opt.step()


def snapshot(opt: Any, params: list[Parameter]) -> Any:
    """All that a step or a switch might change."""
    return copy.deepcopy(
        ([p.detach() for p in params], opt.state_dict(), opt.defaults, opt.steps, opt.skipped, dict(opt._options))
    )


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, containers included; NaN equals NaN."""
    if isinstance(a, torch.Tensor):
        return (
            isinstance(b, torch.Tensor)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))
        )
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def ulps(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest distance, in units in the last place of the larger."""
    if a.numel() == 0:
        return 0.0
    larger = torch.maximum(a.abs(), b.abs())
    unit = torch.nextafter(larger, torch.full_like(larger, float("inf"))) - larger
    return float(((a - b).abs() / unit).max())
