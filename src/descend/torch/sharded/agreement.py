"""What the processes must know together before any of them writes, and how they say it: once in every step.

Every process takes part in every step, also one that has no gradient, an empty part, or a reason to refuse: else the
others would wait. Each number is said by one process (see ``parts.owned``), so that what stands in several counts once.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from ..step.owner import Owner
from . import parts
from .ranks import Ranks


class Agreed:
    """What all know now.

    Attributes:
        squares: of every parameter, the sum of squares of its gradient. having: whether some process has one.
        finite: whether all gradients are. refused: whether some process refuses the step.
    """

    def __init__(self, squares: np.ndarray, having: np.ndarray, bad: bool, refused: bool) -> None:
        self.squares, self.having, self.finite, self.refused = squares, having, not bad, refused


class Agreement:
    """The parameters of an optimizer, all of them, and the processes that they are shared with.

    Attributes:
        order: every parameter -> its place in what is exchanged. groups: of each place, the parameter group.
    """

    def __init__(self, optimizer: Owner) -> None:
        zero = optimizer._zero() if optimizer._zero is not None else None
        if optimizer._zero is not None and zero is None:
            raise RuntimeError(
                f"{optimizer.spec.name} was made by a ZeroRedundancyOptimizer that is gone, and holds a share only"
            )
        whole = optimizer if zero is None else zero
        self.params: list[torch.Tensor] = []
        self.groups: list[int] = []
        for i, group in enumerate(whole.param_groups):
            self.params += group["params"]
            self.groups += [i] * len(group["params"])
        self.order = {id(p): k for k, p in enumerate(self.params)}
        meshes: dict[Any, int] = {}
        meshes_of = [meshes.setdefault(mesh, len(meshes)) if mesh else 0 for mesh in map(parts.mesh, self.params)]
        self.at = np.array(meshes_of)
        if zero is not None:
            self.ranks = [Ranks.of_group(zero.process_group, zero._default_device)]
            mine = set(map(id, parts.members(optimizer)))
            self.owned = [id(p) in mine for p in self.params]
        else:
            self.ranks = [Ranks.of_mesh(mesh) for mesh in meshes]
            # what is no DTensor is taken to be the same everywhere: the first process of the first mesh speaks for it
            first = not any(next(iter(meshes)).get_coordinate() or ())
            self.owned = [parts.owned(p) if parts.is_part(p) else first for p in self.params]

    def exchange(self, squares: dict[int, float], bad: bool, refused: bool = False) -> Agreed:
        """Say what this process has found (id of a parameter -> sum of squares of what stands here of its gradient)."""
        told = np.zeros((2, len(self.params)))
        for key, square in squares.items():
            k = self.order[key]
            told[:, k] = square if self.owned[k] else 0.0, 1.0
        flags = np.array([bad, refused], np.float64)
        for k, ranks in enumerate(self.ranks):
            here = self.at == k
            found = ranks.sum(np.concatenate([flags, told[:, here].ravel()]))
            flags = (found[:2] > 0).astype(np.float64)
            told[:, here] = found[2:].reshape(2, -1)
        return Agreed(told[0], told[1] > 0, bool(flags[0]), bool(flags[1]))

    def added(self, columns: dict[int, np.ndarray], width: int) -> dict[int, np.ndarray]:
        """Numbers of every parameter (by id), added over the processes that hold its elements."""
        told = np.zeros((len(self.params), width))
        for key, numbers in columns.items():
            k = self.order[key]
            if self.owned[k]:
                told[k] = numbers
        for k, ranks in enumerate(self.ranks):
            here = self.at == k
            told[here] = ranks.sum(told[here])
        return {id(p): told[self.order[id(p)]] for p in self.params}

    def norm(self, agreed: Agreed, kinds: Iterable[Any], by_kernel: bool) -> float:
        """The Euclidean norm of all gradients, added as one process adds it: kind by kind (see ``Plan._batches``)."""
        sums: dict[Any, list[float]] = {}
        for kind, square, there in zip(kinds, agreed.squares, agreed.having, strict=True):
            if there:
                sums.setdefault(kind, []).append(float(square))
        total = sum((float(np.array(of).sum()) if by_kernel else sum(of) for of in sums.values()), 0.0)
        return math.sqrt(total) if total >= 0 else total
