"""Options of a method: of the kind that its class says, and within limits; what is not is refused by name."""

import collections.abc
import math
import types
from numbers import Integral, Real
from typing import Any, Union, get_args, get_origin

import numpy as np

WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a name", type(None): "None"}


def checked(name: str, value: Any, annotation: Any) -> None:
    """Refuse a value that is none of what the annotation of the option admits; NaN is no number.

    Raises:
        TypeError, ValueError: it names the option, and what it may be.
    """
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    if not any(is_one(value, kind) for kind in kinds):
        what = " or ".join(WORDS.get(kind, "a function") for kind in kinds)
        wrong = ValueError if isinstance(value, Real) else TypeError  # 2.5 or NaN; "2"
        raise wrong(f"{name} must be {what}, got {value!r}")


def is_one(value: Any, kind: Any) -> bool:
    if kind in (int, float):
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real) or math.isnan(value):
            return False
        return kind is float or isinstance(value, Integral) or float(value).is_integer()
    if kind is bool:
        return isinstance(value, bool | np.bool_)
    if get_origin(kind) is collections.abc.Callable:
        return callable(value)
    return kind is Any or isinstance(value, get_origin(kind) or kind)


def whole(name: str, value: int | None, default: int, least: int) -> int:
    """A number of points: ``value``, or ``default`` where it is None.

    Raises:
        ValueError: fewer than ``least``, by name.
    """
    if value is None:
        return max(default, least)
    if not least <= value < math.inf or int(value) != value:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value}")
    return int(value)


def between(name: str, value: float, least: float, most: float = math.inf) -> float:
    """``value``, which must be finite and from ``least`` to ``most``.

    Raises:
        ValueError: it is not, by name.
    """
    if not (least <= value <= most and abs(value) < math.inf):
        limits = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise ValueError(f"{name} must be a finite number, {limits}; got {value}")
    return value
