"""Finite differences: derivatives of a function that nobody can differentiate, from its values or its gradients.

How far apart the values are taken follows from how exact they are and how much the function bends, both measured. For a
function that computes in float32 somewhere, or ends a simulation early, steps of √ε of float64 see nothing but noise.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Values = Callable[[np.ndarray], np.ndarray]  # (n, D) -> (n,)
Gradients = Callable[[np.ndarray], np.ndarray]  # (D,) -> (D,)

AT = np.arange(1, 7) * 0.6180339887498949 % 1  # uneven: even distances can all round alike
CLOSE = 8.0  # how far these reach, in units of √ε of the sizes
ROUNDED = 0.5  # of an ulp: what one value is off at least
DECISIVE = 10.0  # forward differences are believed while the gradient is so many times their error
LARGEST = 0.5  # step in units of the sizes; beyond, differences are no derivatives
LARGE = 1e150  # whose square is finite
MEASURED = 22  # values that measuring takes at most


class Slopes(NamedTuple):
    """A gradient (D,), how far off each entry may be, and how far off a value may be.

    ``hidden`` (D,): entries that promise a fall no larger than that, which nobody would see.
    """

    g: np.ndarray
    error: np.ndarray
    noise: float
    hidden: np.ndarray


class Differences:
    """Gradients by one more value for each coordinate, or by two; all are asked for at once.

    Forward differences serve while their error is small beside the gradient, central ones from there on: these are
    exact to noise^(2/3), those to √noise. The noise is what a parabola leaves of seven values close together (after
    Moré and Wild 2011, "Estimating computational noise"), the steps are theirs (2012, "Estimating derivatives of noisy
    simulations", section 3): 2 √(noise / bend) forward, ∛(3 noise / bend) central, in units of max(1, |x|), where the
    bend is of the line through all coordinates until central differences have told that of each.

    A step that would leave the bounds goes to the other side. Where a value is not finite, the other side's is used;
    where both are not, the coordinate is 0.

    Args:
        values: of points. low, high: (D,) that every point keeps to. eps: the rounding of the numbers that f is given.
        scheme: "2-point", "3-point", or None for one after the other. rounded: a point as f is given it.
    """

    def __init__(
        self,
        values: Values,
        low: np.ndarray,
        high: np.ndarray,
        eps: float,
        scheme: str | None = None,
        rounded: Callable[[np.ndarray], np.ndarray] = lambda points: points,
    ) -> None:
        self.values, self.low, self.high, self.eps, self.rounded = values, low, high, eps, rounded
        self.scheme = scheme
        self.central = scheme == "3-point"
        self.noise = 0.0  # measured, at a point of the value
        self.measured_at = np.nan
        self.bend = np.zeros(len(low))  # |f_ii| in units of the sizes; 0: not known

    def gradient(self, x: np.ndarray, value: float, left: float = np.inf) -> Slopes:
        """At x, where the value is ``value``, from ``left`` values at most, if that is not fewer than one needs."""
        n = len(x)
        if np.isnan(self.measured_at) and left >= MEASURED + 3 * n:
            left -= self._measure(x, value)
        found = self._differences(x, value, self.central)
        left -= n * (2 if self.central else 1)
        if self.scheme is not None or not np.isfinite(self.measured_at):
            return found
        if not self.central and (np.abs(found.g) <= DECISIVE * found.error).all() and left >= MEASURED + 2 * n:
            if abs(value) < abs(self.measured_at) / 2:  # noise mostly falls with the value
                self._measure(x, value)
            self.central = True
            return self._differences(x, value, True)
        if self.central and (np.abs(found.g) > 10 * DECISIVE * self._error(x, False)).any():
            self.central = False
        return found

    @property
    def exact(self) -> float:
        """How exact the gradients are, in units of what they change by over the size of x."""
        share = self._share()
        return float(np.median(share ** (2 / 3) if self.central else share**0.5))

    def _measure(self, x: np.ndarray, value: float) -> int:
        """Noise and bend on a line through x that goes into the box; how many values it took."""
        n, inwards = len(x), np.where(self.high - x >= x - self.low, 1.0, -1.0)
        room = np.where(inwards > 0, self.high - x, x - self.low)
        line = inwards * np.minimum(np.maximum(1.0, np.abs(x)) * np.where(np.arange(n) % 2, 1.0, 0.75), room)
        self.measured_at = value
        self.noise, self.bend = ROUNDED * self.eps * abs(value), np.zeros(n)

        def along(at: np.ndarray) -> np.ndarray:
            return self.values(np.clip(x + at[:, None] * line, self.low, self.high)) - value

        taken, reach, t = 0, CLOSE * self.eps**0.5, np.append(0.0, AT)
        for _ in range(3):  # where most values are alike, f rounds what it is given: look farther
            close = np.append(0.0, along(reach * AT))
            taken += len(AT)
            if not np.abs(close).max() < LARGE:
                return taken
            if np.count_nonzero(close) > len(AT) / 2:
                break
            reach *= 30
        rest = close - np.polyval(np.polyfit(t, close, 2), t)
        self.noise = max(self.noise, float(np.linalg.norm(rest) / (len(t) - 3) ** 0.5))
        step = min((self.noise / max(abs(value), self.noise, 1e-300)) ** 0.25, LARGEST)
        for _ in range(2):  # their section 4: where the bend does not stand out, a longer step
            one, two = along(np.array([0.5, 1.0]) * step)
            taken += 2
            bent = abs(float(two - 2 * one))
            if bent > 100 * self.noise or step == LARGEST:
                break
            step = min(30 * step, LARGEST)
        if bent < LARGE:
            self.bend = np.full(n, max(bent, 4 * self.noise) / (step / 2) ** 2 / n)
        return taken

    def _share(self) -> np.ndarray:
        """(D,) the noise in units of the bend."""
        share = np.divide(self.noise, self.bend, out=np.full(len(self.bend), self.eps), where=self.bend > 0)
        return np.maximum(share, self.eps * self.eps)

    def _steps(self, central: bool) -> np.ndarray:
        """(D,) in units of the sizes."""
        share = self._share()
        return np.clip(np.cbrt(3 * share) if central else 2 * np.sqrt(share), 4 * self.eps, LARGEST)

    def _error(self, x: np.ndarray, central: bool) -> np.ndarray:
        """(D,) how far off the entries of the gradient may be: the noise over the step, and what the step leaves."""
        if not np.isfinite(self.measured_at):
            return np.zeros(len(x))
        steps = self._steps(central)
        rest = self.bend * (steps**2 / 6 if central else steps / 2)
        over = (1 if central else 2) * self.noise / steps + rest
        return over / np.maximum(1.0, np.abs(x))

    def _differences(self, x: np.ndarray, value: float, central: bool) -> Slopes:
        size = self._steps(central) * np.maximum(1.0, np.abs(x))
        up, down = self._within(x, size, central)
        here = self.rounded(x)
        above, below = self.rounded(x + np.diag(up)), self.rounded(x - np.diag(down))
        asked = np.concatenate([above[up > 0], below[down > 0]])
        found = self.values(asked) if len(asked) else np.zeros(0)
        at_up, at_down = np.full(len(x), value), np.full(len(x), value)
        at_up[up > 0], at_down[down > 0] = np.split(found, [int((up > 0).sum())])
        right, left = above.diagonal() - here, here - below.diagonal()  # as they were rounded
        right, at_up = np.where(np.isfinite(at_up), right, 0.0), np.where(np.isfinite(at_up), at_up, value)
        left, at_down = np.where(np.isfinite(at_down), left, 0.0), np.where(np.isfinite(at_down), at_down, value)
        width = right + left
        g = np.divide(at_up - at_down, width, out=np.zeros(len(x)), where=width > 0)
        if central and np.isfinite(self.measured_at):
            self._bent(x, at_up - value, value - at_down, right, left)
        hidden = np.sqrt(2 * self.noise * self.bend) / np.maximum(1.0, np.abs(x))
        return Slopes(g, self._error(x, central), self.noise, hidden)

    def _bent(self, x: np.ndarray, rise: np.ndarray, fall: np.ndarray, right: np.ndarray, left: np.ndarray) -> None:
        """What central differences tell of the bend of each coordinate, where that stands out from the noise."""
        both = (right > 0) & (left > 0)
        half = np.where(both, (right + left) / 2, 1.0)
        size = np.maximum(1.0, np.abs(x))
        bend = np.abs(rise / np.where(both, right, 1.0) - fall / np.where(both, left, 1.0)) / half * size**2
        seen = both & (bend * (half / size) ** 2 > 4 * self.noise) & np.isfinite(bend)
        self.bend = np.where(seen, bend, self.bend)

    def _within(self, x: np.ndarray, size: np.ndarray, central: bool) -> tuple[np.ndarray, np.ndarray]:
        """Steps upwards and downwards that keep to the bounds; 0 where none is taken."""
        up = np.where(x + size <= self.high, size, 0.0)
        down = np.where(x - size >= self.low, size, 0.0)
        if not central:
            down = np.where(up > 0, 0.0, down)
        narrow = (up == 0) & (down == 0)  # a box narrower than the step
        up = np.where(narrow, np.maximum((self.high - x) / 2, 0), up)
        down = np.where(narrow & (up == 0), (x - self.low) / 2, down)
        return up, down


def jacobian(residuals: Gradients, x: np.ndarray, here: np.ndarray, eps: float, central: bool) -> np.ndarray:
    """The Jacobian (m, D) of residuals, (m,) and ``here`` at x, by one or two evaluations for each coordinate.

    It knows no bounds, nor does any method that asks for it.
    """
    size = eps ** (1 / 3 if central else 1 / 2) * np.maximum(1.0, np.abs(x))
    columns = []
    for row in np.diag(size):
        ahead = residuals(x + row)
        behind, width = (residuals(x - row), 2 * row.sum()) if central else (here, row.sum())
        columns.append((ahead - behind) / width)
    return np.stack(columns, axis=1)


def product(gradients: Gradients, x: np.ndarray, along: np.ndarray, exact: float) -> np.ndarray:
    """The Hessian at x times ``along``, by a central difference of two gradients that are ``exact``, relative."""
    length = float(np.sqrt(along @ along))
    if length == 0:
        return np.zeros_like(x)
    step = exact ** (1 / 3) * max(1.0, float(np.sqrt(x @ x))) / length
    return (gradients(x + step * along) - gradients(x - step * along)) / (2 * step)


def hessian(gradients: Gradients, x: np.ndarray, exact: float) -> np.ndarray:
    """The Hessian by two gradients for each coordinate, made symmetric."""
    steps = exact ** (1 / 3) * np.maximum(1.0, np.abs(x))
    rows = [(gradients(x + row) - gradients(x - row)) / (2 * row.sum()) for row in np.diag(steps)]
    found = np.stack(rows)
    return (found + found.T) / 2
