"""Finite differences: derivatives of a function that nobody can differentiate, from its values or its gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Values = Callable[[np.ndarray], np.ndarray]  # (n, D) -> (n,)
Gradients = Callable[[np.ndarray], np.ndarray]  # (D,) -> (D,)


def gradient(
    values: Values, x: np.ndarray, value: float, low: np.ndarray, high: np.ndarray, eps: float, central: bool
) -> np.ndarray:
    """The gradient by one more value for each coordinate, or by two (``central``); all are asked for at once.

    The step is √ε or ∛ε of max(1, |x|), where the errors of rounding and of truncation are alike (Nocedal and Wright
    2006, section 8.1). A step that would leave the bounds goes to the other side. Where a value is not finite, the
    other side's is used; where both are not, the coordinate is 0.
    """
    size = eps ** (1 / 3 if central else 1 / 2) * np.maximum(1.0, np.abs(x))
    up = np.where(x + size <= high, size, 0.0)
    down = np.where(x - size >= low, size, 0.0)
    if not central:
        down = np.where(up > 0, 0.0, down)
    narrow = (up == 0) & (down == 0)  # a box narrower than the step
    up = np.where(narrow, np.maximum((high - x) / 2, 0), up)
    down = np.where(narrow & (up == 0), (x - low) / 2, down)
    above, below = x + np.diag(up), x - np.diag(down)
    asked = np.concatenate([above[up > 0], below[down > 0]])
    found = values(asked)
    at_up, at_down = np.full(len(x), value), np.full(len(x), value)
    at_up[up > 0], at_down[down > 0] = np.split(found, [int((up > 0).sum())])
    up, at_up = np.where(np.isfinite(at_up), up, 0.0), np.where(np.isfinite(at_up), at_up, value)
    down, at_down = np.where(np.isfinite(at_down), down, 0.0), np.where(np.isfinite(at_down), at_down, value)
    width = (x + up) - (x - down)  # as it was rounded
    return np.divide(at_up - at_down, width, out=np.zeros(len(x)), where=width > 0)


def jacobian(
    residuals: Gradients,
    x: np.ndarray,
    here: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    eps: float,
    central: bool,
) -> np.ndarray:
    """The Jacobian (m, D) of residuals, (m,) and ``here`` at x, by one or two evaluations for each coordinate."""
    size = eps ** (1 / 3 if central else 1 / 2) * np.maximum(1.0, np.abs(x))
    columns = []
    for row in np.diag(np.where(x + size <= high, size, -size)):
        ahead = residuals(x + row)
        behind, width = (residuals(x - row), 2 * row.sum()) if central else (here, row.sum())
        columns.append((ahead - behind) / width)
    return np.stack(columns, axis=1)


def product(gradients: Gradients, x: np.ndarray, along: np.ndarray, eps: float) -> np.ndarray:
    """The Hessian at x times ``along``, by a central difference of two gradients."""
    length = float(np.sqrt(along @ along))
    if length == 0:
        return np.zeros_like(x)
    step = eps ** (1 / 3) * max(1.0, float(np.sqrt(x @ x))) / length
    return (gradients(x + step * along) - gradients(x - step * along)) / (2 * step)


def hessian(gradients: Gradients, x: np.ndarray, eps: float) -> np.ndarray:
    """The Hessian by two gradients for each coordinate, made symmetric."""
    steps = eps ** (1 / 3) * np.maximum(1.0, np.abs(x))
    rows = [(gradients(x + row) - gradients(x - row)) / (2 * row.sum()) for row in np.diag(steps)]
    found = np.stack(rows)
    return (found + found.T) / 2
