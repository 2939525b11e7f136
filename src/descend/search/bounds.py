"""Bounds as people write them, and the start they must contain; what cannot be meant is refused by name."""

from typing import Any

import numpy as np

NO_BOUND = 1e300  # widths beyond would overflow; who writes the largest float means that there is no bound


def two_arrays(bounds: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds, each (n,) float64 with ±inf where there is none.

    Args:
        bounds: n pairs (low, high), where None is no bound; one such pair for all coordinates; or an object with
            ``lb`` and ``ub``, such as SciPy's ``Bounds``.

    Raises:
        ValueError: another number of pairs, NaN, or a low that is not below its high.
    """
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        low, high = np.asarray(bounds.lb, float), np.asarray(bounds.ub, float)
    else:
        try:
            pairs = np.array(bounds.tolist() if hasattr(bounds, "tolist") else bounds, object)
            low, high = (np.array([none if v is None else float(v) for v in side], float)
                         for side, none in zip(pairs.reshape(-1, 2).T, (-np.inf, np.inf), strict=True))  # fmt: skip
        except (TypeError, ValueError):
            raise ValueError(f"bounds must be pairs (low, high) of numbers or None, got {bounds!r}") from None
        if pairs.shape[-1:] != (2,):
            raise ValueError(f"bounds must be pairs (low, high), one for each of {n} coordinates or one for all")
    if low.size not in (1, n) or high.size not in (1, n):
        raise ValueError(
            f"bounds must be {n} pairs, one for each coordinate, or one for all; got {max(low.size, high.size)}"
        )
    low, high = np.broadcast_to(low.ravel(), (n,)), np.broadcast_to(high.ravel(), (n,))
    low, high = np.where(low <= -NO_BOUND, -np.inf, low), np.where(high >= NO_BOUND, np.inf, high)
    return ordered(low, high)


def sides(bounds: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds as methods take them: (lower, upper), each (n,) or one number.

    Raises:
        ValueError: something else, NaN, or a low that is not below its high.
    """
    try:
        low, high = (np.broadcast_to(np.asarray(side, float), (n,)) for side in bounds)
    except (TypeError, ValueError):
        says = f"bounds of a method must be (lower, upper), each of shape ({n},) or one number; got {bounds!r}"
        raise ValueError(says) from None
    return ordered(low, high)


def ordered(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Refuse bounds of which a low is not below its high."""
    for i in np.flatnonzero(~(low < high)):
        what = "equal" if low[i] == high[i] else "reversed" if low[i] > high[i] else "not a number"
        raise ValueError(f"bounds[{i}] is {what}: low {low[i]:g}, high {high[i]:g}; low must be below high")
    return low, high


def checked_start(x0: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Refuse a start that is not finite or lies outside the bounds."""
    for i in np.flatnonzero(~np.isfinite(x0)):
        raise ValueError(f"x0[{i}] is {x0[i]}; a start must be finite")
    for i in np.flatnonzero((x0 < low) | (x0 > high)):
        raise ValueError(f"x0[{i}] = {x0[i]:g} is outside its bounds ({low[i]:g}, {high[i]:g})")


def middle(bounds: Any) -> np.ndarray:
    """Where to start when nobody says: between finite bounds, one pair for each coordinate.

    Raises:
        ValueError: one pair for nobody knows how many coordinates, or a bound that is not finite.
    """
    each = getattr(bounds, "lb", bounds)
    if np.ndim(each) == 0 or (each is bounds and np.ndim(bounds[0]) == 0):
        raise ValueError("x0 is missing, and bounds do not tell how many coordinates there are; give a pair for each")
    low, high = two_arrays(bounds, len(each))
    for i in np.flatnonzero(~np.isfinite(low) | ~np.isfinite(high)):
        raise ValueError(f"x0 is missing, and bounds[{i}] is not finite; give x0, or two numbers for each coordinate")
    return (low + high) / 2
