"""``Schedule``: a value for every step, and the algebra of such values as methods and operators."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..core.settings import is_number
from ..core.shown import Shown
from .words import is_jax

VERSION = 1
_EXACT = 2**53  # no int up to it is rounded
_CHUNK = 8192  # so many intermediate values stay in the cache: of a million, three times as fast as at once
KINDS: dict[str, Callable[..., Schedule]] = {}
"""By name, what makes each kind of schedule out of its checked arguments; JSON and the operators look here."""


class Schedule(Shown):
    """A value for every step. Made by the functions of ``descend.schedules``; frozen, comparable, hashable.

    ``s(step)`` with ``step`` = the number of steps taken so far: 0 for the first step of a run.

    * an int (or a float: between two steps) gives a float, in float64;
    * a NumPy array (or a list) of any shape gives a float64 array of that shape, with the same bits;
    * a JAX value gives a JAX value in JAX's default precision, and may be traced (jit, vmap).

    Beyond its ``length`` a schedule holds its last value, which is the one it has at step ``length``: a cosine from 1
    to 0 over 10 steps is 1 at step 0, and 0 at step 10 and ever after.

    Attributes:
        length: steps until it holds; ``math.inf`` if it never ends. Fractional if its units are (``in_tokens``).
    """

    length: float

    def __call__(self, step: Any) -> Any:
        """The value at ``step``.

        Raises:
            ValueError: a negative or non-finite step. TypeError: no number.
        """
        if type(step) is int and 0 <= step <= _EXACT:
            return self.at(float(step))
        if is_jax(step):
            return self.at(step)
        if isinstance(step, (np.ndarray, list, tuple, range)):
            return self._of_array(np.asarray(step))
        if not is_number(step):
            raise TypeError(f"a step is a number or an array of numbers, got {step!r}")
        try:
            k = float(step)
        except OverflowError:
            raise ValueError("a step counts from 0 and is no larger than a float holds: this one is none") from None
        if not 0 <= k < math.inf:
            raise ValueError(f"a step counts from 0: {step} is none")
        return self.at(k)

    def _of_array(self, steps: np.ndarray) -> np.ndarray:
        if steps.dtype.kind not in "iuf":
            raise TypeError(f"steps are numbers, got an array of {steps.dtype}")
        k = np.ascontiguousarray(steps, dtype=np.float64).ravel()
        if k.size and not 0 <= k.min() <= k.max() < math.inf:
            bad = steps.ravel()[~((k >= 0) & (k < math.inf))][0]
            raise ValueError(f"a step counts from 0: {bad} is none")
        values = np.empty_like(k)
        for i in range(0, k.size, _CHUNK):
            values[i : i + _CHUNK] = self.at(k[i : i + _CHUNK])
        return values.reshape(steps.shape)

    def at(self, k: Any) -> Any:
        """The value at ``k`` >= 0: a float, a one-dimensional float64 array or a JAX value, not checked again."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Kind and arguments, of JSON's types."""
        raise NotImplementedError

    def to_json(self) -> str:
        """As text that ``schedules.from_json`` reads, on any later version."""
        return json.dumps({"version": VERSION, "schedule": self.to_dict()}, allow_nan=False)

    def parts(self) -> tuple[Schedule, ...]:
        """What ``>>`` joined: of ``a >> b`` it is ``(a, b)``, of anything else itself."""
        return (self,)

    def plateaus(self) -> Iterator[Any]:
        """The stateful schedules inside, left to right."""
        yield from ()

    def state_dict(self) -> dict[str, Any]:
        """What the metrics seen so far have changed: nothing, unless a ``plateau`` is inside."""
        return {"plateaus": [p.state_dict() for p in self.plateaus()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave.

        Raises:
            ValueError: no state of a schedule, or of one with another number of plateaus; nothing is changed.
        """
        for plateau, its in self.read_state(state):
            vars(plateau).update(its)

    def read_state(self, state: Any) -> list[tuple[Any, dict[str, Any]]]:
        """What ``load_state_dict`` would take over, checked and not taken over: each plateau and its attributes."""
        saved = state.get("plateaus") if isinstance(state, Mapping) else None
        if not isinstance(saved, list | tuple):
            raise ValueError(f"the state of a schedule has 'plateaus', a list; got {state!r:.120}")
        mine = list(self.plateaus())
        if len(mine) != len(saved):
            raise ValueError(f"this schedule has {len(mine)} plateaus inside, the saved one {len(saved)}")
        return [found for plateau, its in zip(mine, saved, strict=True) for found in plateau.read_state(its)]

    # ---------------------------------------------------------------- algebra (the formulas are in algebra.py)

    def __rshift__(self, other: Schedule) -> Schedule:
        return KINDS["then"]((*self.parts(), *other.parts())) if isinstance(other, Schedule) else NotImplemented

    def __mul__(self, other: Any) -> Schedule:
        return _pair("times", self, other)

    def __rmul__(self, other: Any) -> Schedule:
        return _pair("times", other, self)

    def __add__(self, other: Any) -> Schedule:
        return _pair("plus", self, other)

    def __radd__(self, other: Any) -> Schedule:
        return _pair("plus", other, self)

    def __sub__(self, other: Any) -> Schedule:
        return self + (-1.0 * other)

    def __rsub__(self, other: Any) -> Schedule:
        return _pair("plus", -1.0 * self, other)

    __array_ufunc__ = None  # numpy.float64(3) * schedule is a schedule, not an array of objects

    def shift(self, steps: float) -> Schedule:
        """Later by ``steps``, holding its first value before; a negative number starts in its middle."""
        return KINDS["shift"](self, steps)

    def scale(self, steps: float, units: float = 1, whole: bool = False) -> Schedule:
        """On another clock: ``units`` of this schedule pass in ``steps`` steps, so ``scale(2)`` is twice as slow.

        ``whole``: it sees whole units only, so its value changes when a unit is complete.
        """
        return KINDS["scale"](self, steps, units, whole)

    def in_epochs(self, steps_per_epoch: float, whole: bool = False) -> Schedule:
        """A schedule written in epochs, as one of steps. ``whole=True`` moves between epochs only, as
        torch's schedulers do when stepped once per epoch."""
        return self.scale(steps_per_epoch, 1, whole)

    def in_tokens(self, tokens_per_step: float) -> Schedule:
        """A schedule written in tokens (or samples), as one of steps."""
        return self.scale(1, tokens_per_step)

    def clamp(self, low: float | None = None, high: float | None = None) -> Schedule:
        """Values below ``low`` become ``low``, those above ``high`` become ``high``."""
        return KINDS["clamp"](self, low, high)

    def repeat(self, times: int | None = None) -> Schedule:
        """From the start again at its end, ``times`` times in all; None: without end."""
        return KINDS["repeat"](self, times)

    def until(self, steps: float) -> Schedule:
        """The same with the length ``steps``: an endless one ends there, a shorter one holds until then."""
        return KINDS["until"](self, steps)

    # ---------------------------------------------------------------- looking at it

    def _picture(self) -> str:
        from .plot import picture

        return picture(self)

    def draw(self, steps: float | None = None, width: int = 72, height: int = 12) -> str:
        """A picture of the first ``steps`` (default: its length; 1000 if endless) in braille signs."""
        from .plot import draw

        return draw(self, steps, width, height)

    def plot(self, steps: float | None = None, ax: Any = None) -> Any:
        """Draw on matplotlib's axes ``ax`` and return them; without matplotlib print ``draw()``, return None."""
        from .plot import plot

        return plot(self, steps, ax)


def _pair(kind: str, left: Any, right: Any) -> Any:
    for x in (left, right):
        if not isinstance(x, Schedule) and not is_number(x):
            return NotImplemented
    # A number goes first, so that `s * 2 == 2 * s`; both operations commute to the bit.
    return KINDS[kind](right, left) if not isinstance(right, Schedule) else KINDS[kind](left, right)
