"""Whether a gradient that a user has given is that of the function: a few values along it tell."""

from collections.abc import Callable

import numpy as np

TAKES = 4  # values
APART = 0.01  # relative difference of two slopes from which on one of them is wrong
ODD = 0.02  # share of the slopes from which on two points contradict each other; 5 of 60 right runs ended so


def wrong_gradient(
    values: Callable[[np.ndarray], np.ndarray], x: np.ndarray, value: float, gradient: np.ndarray, eps: float
) -> str:
    """What is wrong with the gradient at x, a sentence; "" where nothing is, or differences do not tell.

    The line goes along the gradient, and every coordinate takes part in it. Central differences of two steps must agree
    with one another and from side to side before they count: noise, kinks and steps of the function are no mistakes.

    Args:
        values: of points (n, D). x, gradient: (D,). value: at x. eps: the rounding of values.
    """
    size = np.maximum(1.0, np.abs(x))
    scaled = gradient * size
    steepest = float(np.abs(scaled).max())
    if not np.isfinite(steepest) or steepest == 0:
        return ""
    along = size * np.where(gradient < 0, -1.0, 1.0) * (np.abs(scaled) / steepest + 0.25)
    given = float(gradient @ along)
    h = eps ** (1 / 3) * np.array([1.0, 4.0])
    found = values(np.concatenate((x + h[:, None] * along, x - h[:, None] * along)))
    if not np.isfinite(found).all():
        return ""
    up, down = found[:2], found[2:]
    slopes, jumps = (up - down) / (2 * h), (up - 2 * value + down) / h
    off = abs(slopes[0] - given)
    rounding = 4 * eps * max(abs(value), float(np.abs(found).max())) / h[0]
    doubt = max(abs(slopes[0] - slopes[1]), abs(jumps[0]) / 2)
    if off <= APART * max(abs(given), abs(slopes[0])) + 10 * rounding or doubt > 0.1 * off:
        return ""
    length = float(np.linalg.norm(along))
    says = f"along it f rises by {slopes[0] / length:.3g} per unit, and jac says {given / length:.3g}"
    if slopes[0] < 0 and abs(slopes[0] + given) <= APART * given:
        return f"jac has the wrong sign: {says}"
    return f"jac is not the gradient of f: {says}"


def worst_entry(values: Callable[[np.ndarray], np.ndarray], x: np.ndarray, gradient: np.ndarray, eps: float) -> str:
    """Which entry of a wrong gradient is farthest from a central difference, in words; takes 2·D values."""
    h = eps ** (1 / 3) * np.maximum(1.0, np.abs(x))
    found = values(np.concatenate((x + np.diag(h), x - np.diag(h))))
    if not np.isfinite(found).all():
        return ""
    slopes = (found[: len(x)] - found[len(x) :]) / (2 * h)
    i = int(np.abs((slopes - gradient) * h).argmax())
    return f", farthest off in entry {i}, {gradient[i]:.3g} where f has {slopes[i]:.3g}"


def contradicts(
    before: tuple[float, np.ndarray, np.ndarray], after: tuple[float, np.ndarray, np.ndarray], eps: float
) -> bool | None:
    """Whether values and gradients at two points, (value, x, gradient), are unlikely of one function; None: too close.

    Of a parabola the value changes by the mean of the two slopes, of any smooth function by that and the cube of the
    step. It costs nothing, and long steps may contradict by their bends: it is a reason to look, and no more.
    """
    (f0, x0, g0), (f1, x1, g1) = before, after
    s = x1 - x0
    starts, ends = float(g0 @ s), float(g1 @ s)
    if not abs(ends - starts) > 1e3 * eps * max(abs(f0), abs(f1)):
        return None
    return abs(f1 - f0 - (starts + ends) / 2) > ODD * (abs(starts) + abs(ends))
