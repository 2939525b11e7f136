"""The parameters on their way through a rule, so that the step is had without subtracting two near numbers.

``p = (1 - lr * weight_decay) * p - step`` in float32 rounds 1 - 1e-5 to a decay that is off by 0.1 %, and
``new - old`` has as many digits as ``p`` leaves it. Here ``p`` is carried as ``factor * p + rest``; what is added to it
is then ``(factor - 1) * p + rest``, with the factor a number in float64.
"""

from typing import Any

from ...core import ops
from .leaves import LEAVES, Leaves
from .numbers import Number, Pending


class Moved(Leaves):
    """``(whole + part) * start + rest``; sums with others of its start and products with numbers keep that form.

    How often the start stands there untouched is an integer beside what it was multiplied by, so that of
    ``p + 0.1 * (z - p)`` the step is ``-0.1 * p + 0.1 * z``, which is 0 where ``z`` is ``p``.
    """

    __slots__ = ("part", "rest", "start", "whole")

    def __init__(self, start: Leaves, whole: int = 1, part: Any = 0.0, rest: Leaves | None = None) -> None:
        self.start = start
        self.whole, self.part = whole, part
        self.rest = rest
        self.group = start.group

    @property
    def items(self) -> list[Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        if self.rest is None and isinstance(self.part, float) and self.part == 0.0 and self.whole == 1:
            return self.start.items
        moved = self._beside(self.part)  # what is small is small before it is added
        return (moved if self.whole == 0 else self.whole * self.start + moved).items

    @property
    def step(self) -> Leaves:
        """What must be added to the start."""
        return self._beside(self.part if self.whole == 1 else self.whole - 1 + self.part)

    def _beside(self, factor: Any) -> Leaves:
        if self.rest is not None and isinstance(factor, float) and factor == 0.0:
            return self.rest
        scaled = factor * self.start
        return scaled if self.rest is None else scaled + self.rest

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Moved) and other.start is self.start:
            rests = [rest for rest in (self.rest, other.rest) if rest is not None]
            rest = rests[0] + rests[1] if len(rests) > 1 else rests[0] if rests else None
            return Moved(self.start, self.whole + other.whole, self.part + other.part, rest)
        if isinstance(other, Leaves):
            return Moved(self.start, self.whole, self.part, other if self.rest is None else self.rest + other)
        return super().__add__(other)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Number | Pending | int | float):
            return Moved(self.start, 0, self._factor * other, None if self.rest is None else self.rest * other)
        return super().__mul__(other)

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Number | Pending):
            return Moved(self.start, 0, self._factor / other, None if self.rest is None else self.rest / other)
        return super().__truediv__(other)

    @property
    def _factor(self) -> Any:
        return self.whole + self.part if self.whole else self.part

    def __neg__(self) -> "Moved":
        return Moved(self.start, -self.whole, -self.part, None if self.rest is None else -self.rest)

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __rmul__(self, other: Any) -> Any:
        return self * other


def _where(condition: Any, a: Any, b: Any) -> Any:
    if isinstance(a, Moved) and isinstance(b, Moved) and a.start is b.start:
        return Moved(a.start, rest=LEAVES["where"](condition, a.step, b.step))
    return LEAVES["where"](condition, a, b)


for kind in (Leaves, Moved):
    ops.register(kind, LEAVES | {"where": _where}, containing=True)
