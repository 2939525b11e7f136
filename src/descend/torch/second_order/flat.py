"""The parameters of an optimizer as one vector, for methods that step them all together."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ..sharded.refusals import refuse_use


class Rateless(dict[str, Any]):
    """A parameter group of a method without a learning rate, which says so to a scheduler that asks for it."""

    def __init__(self, group: dict[str, Any], name: str) -> None:
        super().__init__(group)
        self._name = name

    def __missing__(self, key: str) -> Any:
        if key == "lr":
            raise KeyError(f"{self._name} has no lr for a scheduler to set: it finds the length of its steps itself")
        raise KeyError(key)

    def __reduce__(self) -> tuple[Any, ...]:
        return Rateless, (dict(self), self._name)


class Flat:
    """Parameters that need a gradient, laid end to end in the order of their groups.

    Attributes:
        writes: how often ``take`` has written.

    Raises:
        ValueError: none of them needs a gradient, several devices or dtypes, a complex or a distributed parameter.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], name: str) -> None:
        self.params: list[Tensor] = [p for group in groups for p in group["params"] if p.requires_grad]
        if not self.params:
            raise ValueError(f"{name}: no parameter needs a gradient")
        kinds = sorted({f"{p.dtype} on {p.device}" for p in self.params})
        if len(kinds) > 1:
            raise ValueError(f"{name} steps all parameters as one vector, and they are {', '.join(kinds)}")
        if self.params[0].is_complex():
            raise ValueError(f"{name} steps real parameters, and these are {self.params[0].dtype}")
        refuse_use(self.params, name, "its inner products run over all parameters")
        self.writes = 0

    def vector(self) -> Tensor:
        """A copy, (n,)."""
        return torch.cat([p.detach().reshape(-1) for p in self.params])

    def gradient(self) -> Tensor:
        """What ``backward`` has left, (n,); zeros where a parameter had no part."""
        return torch.cat([self._dense(p) for p in self.params])

    def take(self, vector: Tensor) -> None:
        """Write a vector (n,) into the parameters."""
        self.writes += 1
        with torch.no_grad():
            for p, part in zip(self.params, vector.split([p.numel() for p in self.params]), strict=True):
                p.copy_(part.reshape(p.shape))
        # Under an autocast around the step, the next call of the closure would compute with copies of the old values.
        torch.clear_autocast_cache()

    def _dense(self, p: Tensor) -> Tensor:
        if p.grad is None:
            return torch.zeros(p.numel(), dtype=p.dtype, device=p.device)
        return (p.grad.to_dense() if p.grad.is_sparse else p.grad).detach().reshape(-1)
