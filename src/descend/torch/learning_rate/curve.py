"""The curve of a range test, and what rules of thumb read off it: pure functions of two arrays.

Every derivative is taken in log lr. In lr itself the steepest place of such a curve is the lower end of its range,
whatever the curve does: between 1e-6 and 1e-5 the loss need only tremble.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

BETA = 0.98
DIVERGED = 4.0  # times the best smoothed loss
SKIP_START = 0.1  # share of the steps in front, where the average still settles
SKIP_END = 5  # steps before the stop, which are already on the way up
FEWEST = 3  # finite losses that make a curve
RULES = ("valley", "steepest", "minimum/10")  # the three that are good enough to count; slide is shown beside them


@dataclass(frozen=True)
class Curve:
    """One sweep. All arrays have shape (n,), float64, n ≤ the steps asked for.

    Attributes:
        lr: ascending, equally spaced in log lr.
        raw: loss of each step's batch, before the step; the last may be infinite or NaN.
        smoothed: bias-corrected exponential average of `raw`.
        diverged_at: the lr at which the loss was over four times the best smoothed one or not finite; else None.
        val: (lr, validation loss) where a validation loader was given.
    """

    lr: np.ndarray
    raw: np.ndarray
    smoothed: np.ndarray
    diverged_at: float | None = None
    val: tuple[tuple[float, float], ...] = ()

    @cached_property
    def read(self) -> dict[str, float]:
        """`suggestions(self)`, worked out once."""
        return suggestions(self)

    @property
    def minimum(self) -> int:
        """Index of the lowest smoothed loss of the part that is judged."""
        judged = self.judged
        return judged.start + int(np.argmin(self.smoothed[judged]))

    @property
    def judged(self) -> slice:
        """Without the settling start and the rise before the stop; of a short curve, all that is finite."""
        n = int(np.isfinite(self.smoothed).sum())
        start, end = round(n * SKIP_START), n - SKIP_END * (self.diverged_at is not None)
        return slice(start, end) if end - start >= 3 else slice(0, n)


def record(lrs: np.ndarray, losses: Iterable[float], beta: float = BETA) -> Curve:
    """Follow a sweep until it has diverged or `losses` ends; nothing is asked of `losses` after that.

    It has diverged when the smoothed loss is over four times its best; once the best is negative, when it has risen
    over the first loss by that loss and four times what had been gained.
    """
    raw: list[float] = []
    smoothed: list[float] = []
    average, best, diverged_at = 0.0, math.inf, None
    for lr, loss in zip(lrs, losses, strict=False):
        raw.append(loss)
        average = beta * average + (1 - beta) * loss
        smoothed.append(average / (1 - beta ** len(raw)))
        best = min(best, smoothed[-1])
        limit = DIVERGED * best if best > 0 else raw[0] + DIVERGED * (raw[0] - best) + abs(raw[0])
        if not math.isfinite(loss) or (len(raw) > SKIP_END and smoothed[-1] > limit):
            diverged_at = float(lr)
            break
    return Curve(np.asarray(lrs[: len(raw)], float), np.array(raw), np.array(smoothed), diverged_at)


def readable(curve: Curve) -> bool:
    """Whether there are enough finite losses to read anything off."""
    return int(np.isfinite(curve.smoothed).sum()) >= FEWEST


def suggestions(curve: Curve) -> dict[str, float]:
    """What each rule of thumb reads off a curve: rule -> lr.

    valley: the middle of the middle third of the longest falling subsequence (fastai). steepest: the steepest fall
    in log lr, before the minimum. minimum/10: a tenth of the lr with the lowest loss. slide: a window slides down
    from the right until both its ends are equally steep (Smith & Howard in fastai).

    Raises:
        ValueError: the curve is not readable.
    """
    if not readable(curve):
        raise ValueError(f"a curve of {len(curve.raw)} losses, of which fewer than {FEWEST} are finite, says nothing")
    part = curve.judged
    lr, loss = curve.lr[part], curve.smoothed[part]
    low = int(np.argmin(loss))
    slope = np.gradient(loss, np.log(lr))
    start, end = _longest_fall(loss)
    third = (end - start) // 3
    return {
        "valley": float(lr[start + third + third // 2]),
        "steepest": float(lr[int(np.argmin(slope[: max(low, 2) + 1]))]),
        "minimum/10": float(lr[low] / 10),
        "slide": _slide(lr, loss),
    }


def middle(values: Iterable[float]) -> float:
    """The geometric median: of an even number, the geometric mean of the two in the middle."""
    return float(np.exp(np.median(np.log(list(values)))))


def _longest_fall(loss: np.ndarray) -> tuple[int, int]:
    """Where the longest strictly falling subsequence ends, and its length before that, as fastai counts."""
    lowest: list[float] = []  # of each length, minus the highest loss at which such a subsequence ends
    length = []
    for value in (-loss).tolist():
        place = bisect_left(lowest, value)
        lowest[place : place + 1] = [value]
        length.append(place + 1)
    end = int(np.argmax(length))
    return max(end - length[end], 0), end


def _slide(lr: np.ndarray, loss: np.ndarray, window: int = 15, level: float = 0.005) -> float:
    slope = np.gradient(loss)
    right, left = len(lr) - 1, max(len(lr) - 1 - window, 0)
    found = lr[left]
    while left >= 0 and abs(slope[right] - slope[left]) > level:
        found = lr[left]
        left, right = left - 1, right - 1
    return float(found)


def edge(curve: Curve, window: int = 7) -> float:
    """The lr at which the raw loss turns ragged for good: past its lowest part it stays over twice that.

    The smoothed curve says so much later: its average reaches fifty steps back, nearly two decades in 300 steps
    over seven.
    """
    raw = curve.raw[np.isfinite(curve.raw)]
    if len(raw) < 2 * window:
        return float(curve.lr[-1])
    local = np.array([np.median(part) for part in _windows(raw, window)])
    rough = np.array([part.max() for part in _windows(raw, window)])
    low = int(np.argmin(local))
    limit = local[low] + max(abs(local[low]), 0.1 * (raw[0] - local[low]))
    over = np.flatnonzero(rough[low:] > limit)
    return float(curve.lr[low + over[0]]) if len(over) else float(curve.lr[-1])


def begins_to_fall(curve: Curve, share: float = 0.1) -> float:
    """The lr at which the smoothed loss has made a tenth of its whole fall."""
    part = curve.judged
    loss = curve.smoothed[part]
    low = int(np.argmin(loss))
    top = float(loss[: low + 1].max())
    fallen = np.flatnonzero(loss[: low + 1] <= top - share * (top - loss[low]))
    return float(curve.lr[part][fallen[0]])


def settled(curve: Curve) -> float:
    """The smoothed loss where its average has settled and the rate does nothing yet."""
    return float(curve.smoothed[curve.judged.start])


def noise(curve: Curve) -> float:
    """What a change of the smoothed loss must exceed to be one.

    The middle difference of neighbouring losses in the first third, where the rate is too small to matter. An average
    over fifty of them trembles by a seventh of it.
    """
    steps = np.abs(np.diff(curve.raw[: max(2, len(curve.raw) // 3)]))
    return max(float(np.median(steps)), 1e-3 * abs(settled(curve)))


def fall(curve: Curve) -> float:
    """How far the smoothed loss falls from where it has settled; 0 where that is within the noise of the batches."""
    drop = settled(curve) - float(curve.smoothed[curve.minimum])
    return drop if drop > noise(curve) else 0.0


def _windows(values: np.ndarray, window: int) -> Iterator[np.ndarray]:
    yield from np.lib.stride_tricks.sliding_window_view(values, window)
