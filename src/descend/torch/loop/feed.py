"""Batches without end out of a loader that may be read again."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch

from .device import moved

__all__ = ["ONE_BATCH", "Feed", "moved", "refuse"]
ONE_BATCH = (
    "the loader gives a single batch, so that every step would see the same samples: give it smaller batches "
    "(batch_size), or say full_batch=True if this batch is all there is to train on"
)


class Feed:
    """The batches of a loader, one after the other, from the front again when it ends; moved to a device.

    Raises:
        TypeError: the loader is an iterator, which cannot be rewound, or no iterable.
        ValueError: the loader is empty.
    """

    def __init__(self, loader: Any, device: torch.device | None, name: str = "loader") -> None:
        refuse(loader, name, single=True)
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

    def single(self) -> bool:
        """Whether it gives one batch only. Of a loader without a length, two are read."""
        length = _length(self.loader)
        return len(list(islice(iter(self.loader), 2))) == 1 if length is None else length == 1

    def close(self) -> None:
        """Lets worker processes end."""
        self._batches = iter(())
        self.loader = ()


def refuse(loader: Any, name: str = "loader", *, single: bool = False) -> None:
    """Refuse what cannot be read twice, and what is seen without reading to be empty, or one batch if not `single`."""
    if isinstance(loader, Iterator):
        raise TypeError(
            f"the {name} is an iterator, which cannot be put back to where it was: give what it was made from, "
            "or a list of batches"
        )
    if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
        raise TypeError(f"the {name} must give batches when iterated over, got {type(loader).__name__}")
    length = _length(loader)
    if length == 0:
        raise ValueError(f"the {name} is empty: it has length 0 (drop_last with too few samples does that)")
    if length == 1 and not single:
        raise ValueError(ONE_BATCH)


def _length(loader: Any) -> int | None:
    """The number of batches; None of an iterable where only reading finds out."""
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return None


def _of_its_own(loader: Any) -> Any:
    """The same loader; with persistent workers, one whose workers are not the user's."""
    if getattr(loader, "_iterator", None) is None and not getattr(loader, "persistent_workers", False):
        return loader
    own = object.__new__(type(loader))
    own.__dict__.update(loader.__dict__, _iterator=None)
    return own
