"""The sums of squares of the gradients that stand here, before anything is written."""

import torch

from ...engines.base import Engine, Step, Work
from ..in_backward.norm import by_words, work_of
from ..step import tensors
from ..step.batch import POINTER, Batch


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
            bad = [not bool(torch.isfinite(g).all()) for g in grads]
            return [by_words(g, self.engine.on_numpy, scale) for g in grads], not any(bad)
        grads = [g if tensors.is_dense(g) else g.contiguous() for g in grads]
        fresh = [work_of(batch.work.dtype, batch.work.sizes, scale) for batch in self.batches]
        if self.step is None or self.works[0].rule is not fresh[0].rule:
            self.works, self.step = fresh, self.engine.prepare(fresh, True)
        for work, now, batch in zip(self.works, fresh, self.batches, strict=True):
            work.rows = now.rows
            work.addresses[:] = [POINTER(grads[i]) for i in batch.index]  # type: ignore[index]
        squares, wrong = [0.0] * len(grads), 0.0
        for ((found,), bad), batch in zip(self.step.first_sums(torch.get_num_threads()), self.batches, strict=True):
            wrong += bad
            for i, square in zip(batch.index, found, strict=True):
                squares[i] = float(square)
        return squares, not wrong
