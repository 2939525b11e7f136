"""Batches without end out of a loader that may be read again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


class Feed:
    """The batches of a loader, one after the other, from the front again when it ends; moved to a device.

    Raises:
        TypeError: the loader is an iterator, which cannot be rewound, or no iterable.
        ValueError: the loader is empty.
    """

    def __init__(self, loader: Any, device: torch.device | None, name: str = "loader") -> None:
        refuse(loader, name)
        self.loader, self.device, self.name = _of_its_own(loader), device, name
        self._batches: Iterator[Any] = iter(())

    def __next__(self) -> Any:
        try:
            batch = next(self._batches)
        except StopIteration:
            self.rewind()
            try:
                batch = next(self._batches)
            except StopIteration:
                raise ValueError(f"the {self.name} is empty: it gave no batch") from None
        return moved(batch, self.device)

    def rewind(self) -> None:
        """From the front, in the order that the loader's generator gives next."""
        self._batches = iter(self.loader)

    def some(self, most: int) -> Iterator[Any]:
        """The first batches, at most so many."""
        for _, batch in zip(range(most), iter(self.loader), strict=False):
            yield moved(batch, self.device)

    def close(self) -> None:
        """Lets worker processes end."""
        self._batches = iter(())
        self.loader = ()


def refuse(loader: Any, name: str = "loader") -> None:
    """Refuse what cannot be read twice, and what is seen to be empty without reading it."""
    if isinstance(loader, Iterator):
        raise TypeError(
            f"the {name} is an iterator, which cannot be put back to where it was: give what it was made from, "
            "or a list of batches"
        )
    if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
        raise TypeError(f"the {name} must give batches when iterated over, got {type(loader).__name__}")
    try:
        empty = len(loader) == 0
    except (TypeError, NotImplementedError):
        return  # an iterable without a length: found out by reading
    if empty:
        raise ValueError(f"the {name} is empty: it has length 0 (drop_last with too few samples does that)")


def _of_its_own(loader: Any) -> Any:
    """The same loader; with persistent workers, one whose workers are not the user's."""
    if getattr(loader, "_iterator", None) is None and not getattr(loader, "persistent_workers", False):
        return loader
    own = object.__new__(type(loader))
    own.__dict__.update(loader.__dict__, _iterator=None)
    return own


def moved(batch: Any, device: torch.device | None) -> Any:
    """The batch with its tensors on a device; containers keep their type."""
    if device is None:
        return batch
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(moved(item, device) for item in batch))
    if isinstance(batch, tuple | list):
        return type(batch)(moved(item, device) for item in batch)
    if isinstance(batch, dict):
        return {key: moved(item, device) for key, item in batch.items()}
    return batch.to(device) if hasattr(batch, "to") else batch
