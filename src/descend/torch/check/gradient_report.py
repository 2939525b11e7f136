"""What a gradient check found, and the words for it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...core.shown import Shown
from ...draw import terminal
from .differences import Slope

RIGHT, NEAR_KINKS, DOUBTFUL = 1e-7, 1e-4, 1e-2
"""Relative errors (Karpathy, CS231n notes): up to 1e-7 be happy; up to 1e-4 usual for losses with kinks, too much for
smooth ones; up to 1e-2 be uneasy; above, the gradient is probably wrong. The deeper the network, the larger."""


@dataclass(frozen=True)
class Checked:
    """One coordinate of a tensor, or the tensor along one random direction (``index`` None).

    Attributes:
        autograd, numeric: both slopes. allowance: how far off they may be by rounding and step size.
        verdict: ``right``; ``near kinks``, off by no more than is usual there; ``kink``, the point is one, and autograd
            lies between the one-sided slopes; ``too small`` to tell from rounding; ``doubtful``; ``wrong``.
    """

    index: tuple[int, ...] | None
    autograd: float
    numeric: float
    allowance: float
    slope: Slope
    verdict: str

    @property
    def error(self) -> float:
        """Relative: |autograd − numeric| / max(|autograd|, |numeric|); 0 where both are 0."""
        return _relative(abs(self.autograd - self.numeric), self.autograd, self.numeric)


def judged(index: tuple[int, ...] | None, autograd: float, found: Slope, rounding: float, tolerance: float) -> Checked:
    """The verdict on one slope; ``rounding``: the absolute error that autograd's value may have itself."""
    allowance = found.error + rounding
    off = abs(autograd - found.value)
    excess = _relative(max(0.0, off - allowance), autograd, found.value)
    low, high = min(found.left, found.right), max(found.left, found.right)
    if not (math.isfinite(autograd) and math.isfinite(found.value)):
        verdict = "wrong"
    elif found.kink:
        # along a direction several kinks may add up, and autograd takes its side at each
        inside = index is None or low - allowance <= autograd <= high + allowance
        verdict = "kink" if inside else "wrong"
    elif off and max(abs(autograd), abs(found.value)) <= 10 * allowance:
        verdict = "too small"
    elif excess <= tolerance:
        verdict = "right"
    elif excess <= NEAR_KINKS and found.kink_near:
        verdict = "near kinks"
    else:
        verdict = "doubtful" if excess <= DOUBTFUL else "wrong"
    return Checked(index, autograd, found.value, allowance, found, verdict)


def _relative(difference: float, a: float, b: float) -> float:
    return 0.0 if difference == 0 else difference / max(abs(a), abs(b))


@dataclass(frozen=True)
class TensorChecked:
    """One parameter: its checked coordinates and directions. ``reached``: the loss depends on it, says autograd."""

    name: str
    shape: tuple[int, ...]
    reached: bool
    checked: tuple[Checked, ...]

    @property
    def worst(self) -> Checked:
        """The one with the worst verdict, and among those the largest error."""
        return max(self.checked, key=lambda one: (_BADNESS[one.verdict], one.error))

    @property
    def verdict(self) -> str:
        """Of the worst."""
        return self.worst.verdict


_BADNESS = {word: i for i, word in enumerate(("too small", "right", "near kinks", "kink", "doubtful", "wrong"))}


@dataclass(frozen=True)
class GradientReport(Shown):
    """What ``check_gradients`` found. ``loss``: at the point, in float64; ``evaluations``: of the loss."""

    tensors: tuple[TensorChecked, ...]
    loss: float
    evaluations: int

    @property
    def ok(self) -> bool:
        """No coordinate and no direction is doubtful or wrong."""
        return not self.failed

    @property
    def failed(self) -> list[TensorChecked]:
        """The tensors whose gradient is doubtful or wrong."""
        return [t for t in self.tensors if t.verdict in ("doubtful", "wrong")]

    @property
    def kinks(self) -> list[tuple[str, tuple[int, ...] | None]]:
        """(tensor, coordinate) of each kink found at the point itself; None is a direction."""
        return [(t.name, c.index) for t in self.tensors for c in t.checked if c.slope.kink]

    def _parts(self) -> Sequence[Any]:
        rows = []
        for t in self.tensors:
            worst = t.worst
            where = "" if worst.index == () else "a direction" if worst.index is None else str(list(worst.index))
            pair = f"autograd {worst.autograd:.9g}, differences {worst.numeric:.9g}"
            words = t.verdict if t.reached else f"{t.verdict}; autograd does not reach it"
            near = sum(c.slope.kink or c.slope.kink_near for c in t.checked)
            shape = "×".join(map(str, t.shape)) or "scalar"
            said = f"{words}: {pair}" + (f" at {where}" if where else "") if t.verdict != "right" else words
            rows.append((t.name, shape, str(len(t.checked)), f"{worst.error:.0e}", str(near or ""), said))
        columns = ("tensor", "shape", "checked", "error", "kinks", "verdict")
        return [terminal.Table(columns, rows, right=("checked", "error", "kinks"), prose=True), self.sentence]

    @property
    def sentence(self) -> str:
        """The verdict on the whole."""
        if self.failed:
            names = ", ".join(t.name for t in self.failed)
            worst = max((t.worst for t in self.failed), key=lambda one: one.error).error
            return f"The gradient does not agree with differences of the loss, by up to {worst:.0e} relative: {names}."
        count = sum(len(t.checked) for t in self.tensors)
        kinks = (
            f" {len(self.kinks)} of them at a kink, where any slope between both sides is one." if self.kinks else ""
        )
        apart = ", ".join(t.name for t in self.tensors if not t.reached)
        apart = f" Neither autograd nor a difference finds that the loss depends on {apart}." if apart else ""
        return (
            f"The gradient agrees with differences of the loss: {count} slopes of {len(self.tensors)} tensors."
            f"{kinks}{apart}"
        )

    def __str__(self) -> str:
        return terminal.text(*self._parts())

    def show(self) -> None:
        """Print the table."""
        terminal.show(*self._parts())
