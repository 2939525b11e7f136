"""Using a plan again: what must hold so that another step can be made as the one before."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.rule import Rule
from ...engines.base import Engine, Step
from .batch import POINTER, Batch
from .tensors import without_memory

if TYPE_CHECKING:
    from .owner import Owner
    from .reading import Reader

GRAD = operator.attrgetter("grad")
_OFTEN = 2  # uses after which a plan is worth a Reader, which takes about 1 µs per tensor to make


class Reuse:
    """The half of a Plan that is run in every step."""

    optimizer: Owner
    engine: Engine
    run: Step
    members: list[list[torch.Tensor]]
    having: list[torch.Tensor]
    without: list[torch.Tensor]
    batches: list[Batch]
    rules: list[Rule]
    numbers: list[dict[str, float]]
    values: list[tuple[Any, ...]]
    strides: list[tuple[int, ...]]
    pointers: list[int]
    scale: float | None
    volatile: bool
    once = False  # it serves one step: its gradients are of another kind than the next step's are likely to be
    uses = 0
    reader: Reader | None = None

    def _settle(self) -> None: ...

    def _read(self) -> list[tuple[Any, ...]]: ...

    def refresh(self) -> bool:
        """Bring the plan up to date for another step; False if it must be made anew."""
        optimizer = self.optimizer
        if self.once or optimizer._state.changed or len(self.members) != len(optimizer.param_groups):
            return False
        fresh = self.volatile or self._read() != self.values or self.scale != optimizer.loss_scale()
        if fresh and not self._resettle():
            return False
        exposed = optimizer._state.exposed
        fits = self._reread(self.reader, exposed) if self.reader else self._read_by_python(exposed)
        return fits and (not exposed or all(batch.counted_alike() for batch in self.batches))

    def _resettle(self) -> bool:
        """New numbers for the same rules; False if a group now asks for another rule."""
        before = self.rules
        self._settle()
        if self.rules != before:
            return False
        for batch in self.batches:
            batch.numbers = self.numbers
            batch.set_rows()
        return True

    def _reread(self, reader: Reader, exposed: bool) -> bool:
        """As ``_read_by_python``."""
        changes = reader.changes(self.optimizer.param_groups, exposed)
        if changes == reader.MOVED:
            self._take(reader.gradients)
        return changes != reader.OTHER

    def _read_by_python(self, exposed: bool) -> bool:
        """Take the gradients of this step; False if a tensor, its place or its gradient is not as it was planned."""
        for members, group in zip(self.members, self.optimizer.param_groups, strict=True):
            now = group["params"]
            if len(now) != len(members) or not all(map(operator.is_, now, members)):
                return False
        if self.without and any(p.grad is not None for p in self.without):
            return False
        if any(batch.moved(exposed) for batch in self.batches) or not self._refresh_gradients():
            return False
        self.uses += 1
        if self.uses == _OFTEN and self.engine.on_memory:
            self.reader = self._reader()
            if self.reader:
                self.run.meanwhile = self.reader.written
        return True

    def _reader(self) -> Reader | None:
        try:
            from .reading import reader
        except ImportError:  # LLVM is not there
            return None
        states = [array for batch in self.batches for arrays in batch.states.values() for array in arrays]
        return reader(self.members, self.having, self.without, states)

    def _take(self, pointers: list[int] | np.ndarray) -> None:
        for batch in self.batches:
            batch.take(np.asarray(pointers, np.int64))

    def _refresh_gradients(self) -> bool:
        """Take the gradients of this step; False if one is missing or does not fit as the planned ones did."""
        grads = list(map(GRAD, self.having))
        if not all(map(fits, grads, self.having, self.strides)):
            return False
        if self.engine.on_memory and (pointers := list(map(POINTER, grads))) != self.pointers:
            if any(map(without_memory, grads)):
                return False
            self.pointers = pointers
            self._take(pointers)
        return True


def fits(g: Any, p: torch.Tensor, stride: tuple[int, ...]) -> bool:
    """Whether a gradient can be used as one with these strides was."""
    return (
        g is not None
        and g.dtype is p.dtype
        and g.shape == p.shape
        and g.layout is torch.strided
        and g.stride() == stride
        and g.device == p.device
        and not (g.is_neg() or g.is_conj())
    )
