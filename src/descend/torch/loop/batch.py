"""A batch of any form: its tensors, its device, and what is refused."""

from collections.abc import Iterator, Mapping, Sized
from typing import Any

import torch
from torch import nn

from .feed import moved


def check_batch(batch: Any) -> None:
    if isinstance(batch, torch.utils.data.DataLoader | Iterator):
        raise TypeError(f"batch must be one batch, got a {type(batch).__name__}: give next(iter(loader))")
    if isinstance(batch, Sized) and not isinstance(batch, torch.Tensor) and len(batch) == 0:
        raise ValueError("the batch is empty")
    if any(t.dim() and not len(t) for t in tensors(batch)):
        raise ValueError("the batch is empty: it holds a tensor without rows")


def on_device(model: nn.Module, batch: Any) -> Any:
    return moved(batch, device_of(model))


def device_of(model: Any) -> torch.device | None:
    """The one device of a module's parameters; None where there are several or none."""
    devices = {p.device for p in model.parameters()} if isinstance(model, nn.Module) else set()
    return devices.pop() if len(devices) == 1 else None


def tensors(batch: Any) -> Iterator[torch.Tensor]:
    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for item in batch.values():
            yield from tensors(item)
    elif isinstance(batch, tuple | list):
        for item in batch:
            yield from tensors(item)
