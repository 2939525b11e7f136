"""The few operations on flat vectors that the methods need, written so that NumPy's and torch's do alike."""

from typing import Any


def dot(a: Any, b: Any) -> float:
    return float(a @ b)


def norm(a: Any) -> float:
    return float(a @ a) ** 0.5


def largest(a: Any) -> float:
    """The largest absolute entry; NaN if one is."""
    return float(abs(a).max())


def taxi(a: Any) -> float:
    """The sum of the absolute values."""
    return float(abs(a).sum())
