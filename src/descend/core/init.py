"""State: how a slot of a rule begins, how large it is, and what it is called in checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Init:
    """How a state slot begins, how large it is, and its name in checkpoints.

    ``fill`` is a number, the name of a setting, ``"p"`` (a copy of the parameters) or ``"g"`` (a copy
    of the first gradient). ``shape`` is ``"element"`` (like the parameters), ``"tensor"`` or ``"all"`` (one
    number per tensor, or for all parameters), ``"row"`` or ``"column"`` (what a reduction over them
    leaves), ``"left"`` or ``"right"`` (a square matrix that multiplies from there, ``fill`` times the
    identity). ``zeros("exp_avg")`` is ``zeros``, saved as ``exp_avg``. ``passing`` state is of this run only:
    no checkpoint has it.
    """

    fill: float | str = 0.0
    shape: str = "element"
    saved_as: str | None = None
    passing: bool = False

    def __call__(self, saved_as: str = "") -> Init:
        if not isinstance(saved_as, str) or not saved_as:
            raise TypeError(
                'an initialiser is not called: write m=zeros, or m=zeros("exp_avg") to name it in checkpoints'
            )
        return replace(self, saved_as=saved_as)

    @property
    def is_number(self) -> bool:
        return self.shape in ("tensor", "all")

    @property
    def is_square(self) -> bool:
        """Whether it begins as so many times the identity."""
        return self.shape in ("left", "right")

    def first(self, settings: Mapping[str, Any]) -> Any:
        """What it begins at: a number, ``"p"`` or ``"g"``."""
        return settings.get(str(self.fill), self.fill)

    def shape_for(self, p: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the state of a parameter of shape ``p``."""
        if self.shape == "element":
            return p
        if self.is_number:
            return ()
        first, rest = (p[0], math.prod(p[1:])) if p else (1, 1)
        shapes = {"row": (*p[:-1], 1), "column": (*p[:-2], 1, *p[-1:])}
        return (shapes | {"left": (first, first), "right": (rest, rest)})[self.shape]


# Any: a type checker must not take the default of a slot for the type of its value.
zeros: Any = Init(0.0)
ones: Any = Init(1.0)
start: Any = Init("p")
first_gradient: Any = Init("g")
number: Any = Init(0.0, shape="tensor")
common: Any = Init(0.0, shape="all")
per_row: Any = Init(0.0, shape="row")
per_column: Any = Init(0.0, shape="column")
left: Any = Init(0.0, shape="left")
right: Any = Init(0.0, shape="right")
passing: Any = Init(0.0, passing=True)
passing_number: Any = Init(0.0, shape="tensor", passing=True)


def full(fill: float | str, shape: str = "element") -> Any:
    """A slot that begins at a number, or at the value of the setting of that name."""
    return Init(fill, shape)


@dataclass(frozen=True)
class Slot:
    name: str
    init: Init

    @property
    def saved_as(self) -> str:
        """The name of this state in checkpoints: torch's where torch has it."""
        return self.init.saved_as or self.name
