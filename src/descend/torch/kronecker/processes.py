"""Means over the processes of a DistributedDataParallel model."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .layers import Block

Moments = dict[Block, tuple[Tensor, Tensor]]


def averaged(moments: Moments, blocks: Sequence[Block], group: Any) -> Moments:
    """The mean of each block's A and G over the processes that have heard it, the same in all of them.

    Every process takes part for every block, whatever it has heard: one reduction of all factors for each dtype.
    """
    found: Moments = {}
    for dtype in (torch.float32, torch.float64):
        some = [b for b in blocks if (b.weight.dtype == torch.float64) == (dtype == torch.float64)]
        if not some:
            continue
        sizes = [_sizes(block) for block in some]
        flat = some[0].weight.new_zeros(sum(1 + a.numel() + g.numel() for a, g in sizes), dtype=dtype)
        parts = flat.split([n for a, g in sizes for n in (1, a.numel(), g.numel())])
        for i, block in enumerate(some):
            if block in moments:
                for part, one in zip(parts[3 * i :], (flat.new_ones(1), *moments[block]), strict=False):
                    part.copy_(one.reshape(-1))
        dist.all_reduce(flat, group=group)
        for i, (block, shapes) in enumerate(zip(some, sizes, strict=True)):
            if heard := float(parts[3 * i]):
                A, G = (parts[3 * i + 1 + k].view(shapes[k].shape) / heard for k in range(2))
                found[block] = A, G
    return {block: found[block] for block in blocks if block in found}


def mean_of(numbers: Iterable[float], like: dict[Any, Tensor], group: Any) -> list[float]:
    """The mean of some numbers over the processes."""
    device = next(iter(like.values())).device
    together = torch.tensor(list(numbers), dtype=torch.float64, device=device)
    dist.all_reduce(together, group=group)
    return (together / dist.get_world_size(group)).tolist()


def _sizes(block: Block) -> tuple[Tensor, Tensor]:
    """Tensors of the shapes of A and G, without memory."""
    A = (block.inward,) if block.embedding else (block.inward, block.inward)
    return torch.empty(A, device="meta"), torch.empty(block.outward, block.outward, device="meta")
