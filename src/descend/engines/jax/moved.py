"""The parameters on their way through a rule, so that the step is had without subtracting two near numbers.

``p = (1 - lr * weight_decay) * p - step`` in float32 rounds 1 - 1e-5 to a decay that is off by 0.1 %, and
``new - old`` has as many digits as ``p`` leaves it. Here ``p`` is carried as ``factor * p + rest``; what is added to it
is then ``(factor - 1) * p + rest``, with the factor a number in float64.
"""

from __future__ import annotations

from typing import Any

from ...core import ops
from .leaves import LEAVES, Leaves
from .numbers import Number, Pending


class Moved(Leaves):
    """``factor * start + rest``; sums with others of its start and products with numbers keep that form."""

    __slots__ = ("factor", "rest", "start")

    def __init__(self, start: Leaves, factor: Any = 1.0, rest: Leaves | None = None) -> None:
        self.start = start
        self.factor = factor
        self.rest = rest
        self.group = start.group

    @property
    def items(self) -> list[Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        if isinstance(self.factor, float) and self.factor == 1.0:
            scaled = self.start
        else:
            scaled = self.factor * self.start
        return (scaled if self.rest is None else scaled + self.rest).items

    @property
    def step(self) -> Leaves:
        """What must be added to the start."""
        added = None if isinstance(self.factor, float) and self.factor == 1.0 else (self.factor - 1) * self.start
        if added is None:
            return self.rest if self.rest is not None else 0.0 * self.start
        return added if self.rest is None else added + self.rest

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Moved) and other.start is self.start:
            rests = [rest for rest in (self.rest, other.rest) if rest is not None]
            return Moved(self.start, self.factor + other.factor, rests[0] + rests[1] if len(rests) > 1 else _one(rests))
        if isinstance(other, Leaves):
            return Moved(self.start, self.factor, other if self.rest is None else self.rest + other)
        return super().__add__(other)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Number | Pending | int | float):
            return Moved(self.start, self.factor * other, None if self.rest is None else self.rest * other)
        return super().__mul__(other)

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Number | Pending):
            return Moved(self.start, self.factor / other, None if self.rest is None else self.rest / other)
        return super().__truediv__(other)

    def __neg__(self) -> Moved:
        return Moved(self.start, -self.factor, None if self.rest is None else -self.rest)

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __rmul__(self, other: Any) -> Any:
        return self * other


def _one(rests: list[Leaves]) -> Leaves | None:
    return rests[0] if rests else None


ops.register(Moved, LEAVES, containing=True)
