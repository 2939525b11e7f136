"""The sums of squares of the gradients that stand here, before anything is written."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from ... import rules
from ...core import ops
from ...core.rule import Rule, chain
from ...engines.base import Engine, Row, Step, Work
from ...optimizer import CLIP
from ..step import tensors
from ..step.batch import POINTER, Batch


@functools.cache
def _clipped(scaled: bool) -> Rule:
    """A rule whose first pass is the norm, with the bits of the ordinary form."""
    return chain(*([rules.unscale] if scaled else []), CLIP, rules.gradient_descent)


class Squares:
    """Sums of squares, tensor by tensor, and how many elements are not finite; by the engine's kernels if it has such.

    Args:
        batches: of the plan, whose order of tensors the sums keep.
    """

    def __init__(self, engine: Engine, batches: list[Batch]) -> None:
        self.engine, self.batches = engine, batches
        self.step: Step | None = None
        self.works: list[Work] = []

    def found(self, grads: list[torch.Tensor], scale: float | None) -> tuple[list[float], bool]:
        """The sum of squares of every gradient, in their order, and whether all are finite.

        Args:
            scale: by which the loss was multiplied, if it was.
        """
        grads = [tensors.plain(g) for g in grads]
        if not self.engine.sums:
            return _by_words(grads, scale, self.engine.on_numpy)
        grads = [g if tensors.is_dense(g) else g.contiguous() for g in grads]
        settings = {name: float(value) for name, value in _clipped(scale is not None).settings.items()}
        settings |= {} if scale is None else {"loss_scale": scale}
        rule = _clipped(scale is not None)
        if self.step is None or self.works[0].rule is not rule:
            self.works = [
                Work(rule, batch.work.dtype, batch.work.sizes, [], np.zeros(len(batch.index), np.int64),
                     addresses=np.zeros((2, len(batch.index)), np.int64))
                for batch in self.batches
            ]  # fmt: skip
            self.step = self.engine.prepare(self.works, True)
        for work, batch in zip(self.works, self.batches, strict=True):
            work.rows = [Row(1, settings)]
            work.addresses[:] = [POINTER(grads[i]) for i in batch.index]  # type: ignore[index]
        squares, bad = [0.0] * len(grads), 0.0
        for ((found,), wrong), batch in zip(self.step.first_sums(torch.get_num_threads()), self.batches, strict=True):
            bad += wrong
            for i, square in zip(batch.index, found, strict=True):
                squares[i] = float(square)
        return squares, not bad


def _by_words(grads: list[torch.Tensor], scale: float | None, wide: bool) -> tuple[list[float], bool]:
    squares, bad = [], []
    for g in grads:
        g = torch.view_as_real(g) if g.is_complex() else g
        bad.append(~torch.isfinite(g).all())
        x: Any = g.double() if wide else g.to(tensors.WORKING.get(g.dtype, g.dtype))
        x = x if scale is None else x / scale
        squares.append(ops.total(x * x))
    return [float(square) for square in squares], not any(map(bool, bad))
