"""How many of torch's threads a training step is worth."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .batch import tensors

SMALL = 1 << 23
"""Products in a forward pass below which one thread is as fast as two, and on a busy machine up to 15 times faster:
there every operation waits for a second thread that does not get its turn."""


@contextmanager
def kept() -> Iterator[None]:
    """Whatever is done to torch's number of threads inside, it is as before afterwards."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def small(params: Iterable[torch.Tensor], batch: Any) -> bool:
    """Whether a step on the CPU is so little work that it belongs in one thread.

    The estimate: every parameter meets every row of the batch; with ids for tokens, or parameters of more than two
    dimensions (convolutions), every number of it.
    """
    params = {id(p): p for p in params}.values()
    inputs = [t for t in tensors(batch) if t.dim()]
    if not inputs or any(t.device.type != "cpu" for t in (*params, *inputs)):
        return False
    largest = max(inputs, key=torch.Tensor.numel)
    by_rows = largest.is_floating_point() and largest.dim() == 2 and all(p.dim() <= 2 for p in params)
    times = len(largest) if by_rows else largest.numel()
    return times * sum(p.numel() for p in params) < SMALL
