"""The median of the last values of a stream."""

from bisect import bisect_left, insort
from collections import deque
from itertools import islice


class RunningMedian:
    """The lower median of at most ``window`` last values, kept sorted: each ``add`` moves a few words of memory."""

    def __init__(self, window: int) -> None:
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []
        self._window = window

    def add(self, value: float) -> None:
        """Take a value in; it must not be NaN."""
        if len(self._recent) == self._window:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
        self._recent.append(value)
        insort(self._sorted, value)

    @property
    def count(self) -> int:
        return len(self._sorted)

    @property
    def largest_before(self) -> float:
        """The largest of the older half; 0 where there is none."""
        return max(islice(self._recent, len(self._recent) // 2), default=0.0)

    @property
    def value(self) -> float | None:
        """None before the first value."""
        return self._sorted[(len(self._sorted) - 1) // 2] if self._sorted else None
