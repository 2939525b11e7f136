"""Times of contestants that take turns, so that a noisy machine disturbs all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Times = dict[str, list[float]]


def interleaved(contestants: Mapping[str, Callable[[], object]], rounds: int = 9, block: float = 0.05) -> Times:
    """Seconds per call: each round every contestant runs for about ``block`` seconds, one after the other.

    A block, not a single call, because a step is never alone in practice: the second of two calls finds its
    data where the first left it, whether that is the cache or memory. Before each block stand a pause, in which
    the last contestant's OpenMP threads stop spinning on the cores of the next, and a call that is not timed.

    Returns: name -> mean time of one call in each round.
    """
    counts = {}
    for name, call in contestants.items():
        call()  # compile, allocate
        begin = time.perf_counter()
        call()
        counts[name] = max(1, int(block / max(time.perf_counter() - begin, 1e-7)))
    times: Times = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            time.sleep(0.01)
            call()
            repeat = range(counts[name])
            begin = time.perf_counter()
            for _ in repeat:
                call()
            times[name].append((time.perf_counter() - begin) / counts[name])
    return times


def median(times: list[float]) -> float:
    return statistics.median(times)


def spread(times: list[float]) -> float:
    """Half the distance between the quartiles, relative to the median."""
    low, _, high = statistics.quantiles(times, n=4)
    return (high - low) / 2 / median(times)


def ratio(times: Times, ours: str, theirs: str) -> float:
    """How many times faster ``ours`` is: the median over the rounds of the ratio within a round."""
    return statistics.median(b / a for a, b in zip(times[ours], times[theirs], strict=True))
