"""What an argument of a schedule may be: a name for each kind of value, written as its annotation, and its check."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from ..core.settings import is_number
from .schedule import Schedule

Real: TypeAlias = float
"""A finite number."""
Positive: TypeAlias = float
"""A finite number above 0, such as a length in steps."""
Nonnegative: TypeAlias = float
"""A finite number, 0 or more."""
Beta: TypeAlias = float
"""A number in (0, 1)."""
Count: TypeAlias = int
"""A whole number above 0."""
Flag: TypeAlias = bool
Reals: TypeAlias = tuple[float, ...] | list[float]
"""One or more finite numbers."""
Steps: TypeAlias = tuple[float, ...] | list[float]
"""One or more steps above 0, none before the one left of it."""
Mode: TypeAlias = str
Part: TypeAlias = Schedule
Parts: TypeAlias = tuple[Schedule, ...]
Operand: TypeAlias = Schedule | float

MODES = ("triangular", "triangular2", "exp_range")


def tidy(x: float) -> float:
    """An int where the number is whole, else a float."""
    return int(x) if math.isfinite(x) and x == int(x) else float(x)


def number(of: str, name: str, value: Any) -> float:
    """``value`` as a Python number, an int if it is one.

    Raises:
        TypeError: it is none. ValueError: it is not finite.
    """
    if not is_number(value):
        raise TypeError(f"{of}: {name} must be a number, got {value!r}")
    try:
        x = float(value)
    except OverflowError:
        x = math.inf
    if not math.isfinite(x):
        raise ValueError(f"{of}: {name} must be finite, got {value!r}")
    return int(value) if hasattr(value, "__index__") else x


def _within(fits: Callable[[float], bool], what: str) -> Callable[[str, str, Any], float]:
    def check(of: str, name: str, value: Any) -> float:
        x = number(of, name, value)
        if not fits(x):
            raise ValueError(f"{of}: {name} must be {what}, got {value!r}")
        return x

    return check


def _reals(of: str, name: str, values: Any) -> tuple[float, ...]:
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError(f"{of}: {name} must be numbers in a row, got {values!r}")
    found = tuple(number(of, f"{name}[{i}]", x) for i, x in enumerate(values))
    if not found:
        raise ValueError(f"{of}: {name} must hold at least one number")
    return found


def _steps(of: str, name: str, values: Any) -> tuple[float, ...]:
    found = _reals(of, name, values)
    if any(b < a for a, b in zip((0, *found), found, strict=False)) or found[0] == 0:
        raise ValueError(f"{of}: {name} must be steps above 0 in ascending order, got {list(found)}")
    return found


def _flag(of: str, name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{of}: {name} must be True or False, got {value!r}")
    return value


def _mode(of: str, name: str, value: Any) -> str:
    if value not in MODES:
        raise ValueError(f"{of}: {name} must be one of {', '.join(MODES)}; got {value!r}")
    return value


def _part(of: str, name: str, value: Any) -> Schedule:
    if not isinstance(value, Schedule):
        raise TypeError(f"{of}: {name} must be a schedule, got {value!r}")
    return value


def _parts(of: str, name: str, values: Any) -> tuple[Schedule, ...]:
    return tuple(_part(of, f"{name}[{i}]", x) for i, x in enumerate(values))


def _operand(of: str, name: str, value: Any) -> Schedule | float:
    return value if isinstance(value, Schedule) else float(number(of, name, value))


positive = _within(lambda x: x > 0, "above 0")

CHECKS: dict[str, Callable[[str, str, Any], Any]] = {
    "Real": number,
    "Positive": positive,
    "Nonnegative": _within(lambda x: x >= 0, "0 or more"),
    "Beta": _within(lambda x: 0 < x < 1, "in (0, 1)"),
    "Count": _within(lambda x: x >= 1 and x == int(x), "a whole number above 0"),
    "Flag": _flag,
    "Mode": _mode,
    "Reals": _reals,
    "Steps": _steps,
    "Part": _part,
    "Parts": _parts,
    "Operand": _operand,
}
