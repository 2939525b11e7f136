"""The problem of a task: what a run trains on."""

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
NAN = float("nan")


class Problem(Protocol):
    """What a run needs of a task. Everything that is random is fixed by the seed, for every rule alike."""

    def init(self, seed: int) -> list[Array]:
        """The initial parameters: C-contiguous float32 (or all float64) arrays."""
        ...

    def batches(self, seed: int, steps: int, /) -> Iterable[Any]:
        """What each of the `steps` steps is trained on."""
        ...

    def loss_and_grads(self, params: list[Array], batch: Any) -> tuple[float, list[Array]]:
        """Mean loss of a batch, and its gradient for each parameter, of the same shape and dtype."""
        ...

    def validate(self, params: list[Array]) -> tuple[float, float]:
        """Loss and accuracy (0..1; NaN where there is none) on what is never trained on."""
        ...
