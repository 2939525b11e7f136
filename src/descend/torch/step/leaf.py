"""A leaf: one parameter of a step."""

from dataclasses import dataclass, field
from typing import Any

import torch

from ..sharded import parts


@dataclass(eq=False, slots=True)
class Leaf:
    """A parameter that has a gradient, with where it stands and what it is called."""

    group: int
    p: torch.Tensor
    grad: torch.Tensor
    name: str
    state: dict[str, Any] = field(default_factory=dict)
    rows: tuple[torch.Tensor, ...] | None = None  # where the values of a sparse gradient belong, which is ``grad`` then
    whole: torch.Tensor | None = None  # the DTensor of which ``p`` and ``grad`` stand here

    @property
    def owner(self) -> torch.Tensor:
        """The parameter as the optimizer knows it."""
        return self.p if self.whole is None else self.whole

    def kept(self, array: torch.Tensor) -> torch.Tensor:
        """A state tensor as the optimizer keeps it: placed as the parameter is."""
        return array if self.whole is None else parts.rejoined(array, self.whole)
