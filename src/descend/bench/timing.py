"""Times of contestants that take turns, so that a noisy machine disturbs all of them alike."""

import gc
import statistics
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

Times = dict[str, list[float]]
LEAST = 3  # rounds below which a median is no median
SLOW = 0.5  # seconds of a call above which one is enough to estimate it
SLOWER = 3.0  # a peer's form that takes so many times its fastest one is timed once and leaves


@dataclass(frozen=True)
class Clock:
    """What the time is, in seconds, and how to wait; a test gives its own."""

    now: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep


CLOCK = Clock()


def interleaved(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int = 9,
    block: float = 0.05,
    *,
    until: float | None = None,
    rivals: Collection[str] = (),
    kept: Collection[str] = (),
    warm: int = 1,
    clock: Clock = CLOCK,
) -> Times:
    """Seconds per call: each round every contestant runs for about ``block`` seconds, one after the other.

    A block, not a single call, because a step is never alone in practice: the second of two calls finds its
    data where the first left it, whether that is the cache or memory. Before each block stand a pause, in which
    the last contestant's OpenMP threads stop spinning on the cores of the next, and a call that is not timed.
    Every other round goes backwards, so nobody always follows the same neighbour. Python's garbage collector
    rests: its passes would fall on whoever allocates, at a moment that others chose.

    Args:
        until: the clock's time by which it should be over; rounds are left out for that, down to ``LEAST``.
        rivals: contestants of which only the fastest matters. Those ``SLOWER`` times slower than it leave
            after the warm-up with one time, except those ``kept``.
        warm: calls before anything is timed.

    Returns: name -> mean time of one call in each round; a single entry for one that left.
    """
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        first = {}
        for name, call in contestants.items():
            began = clock.now()
            for _ in range(warm):
                call()  # compiles, allocates
            slow = clock.now() - began > SLOW * warm
            first[name] = min(_timed(call, 1, clock) for _ in range(1 if slow else 2))
        fastest = min((first[name] for name in rivals), default=0.0)
        left = [n for n in contestants if n not in rivals or n in kept or first[n] <= SLOWER * fastest]
        counts = {name: max(1, int(block / max(first[name], 1e-7))) for name in left}
        if until is not None:
            fitting = int((until - clock.now()) / _cost(first, counts))
            rounds = max(min(LEAST, rounds), min(rounds, fitting))
        times: Times = {name: [] for name in contestants}
        for k in range(rounds):
            for name in left[:: -1 if k % 2 else 1]:
                clock.sleep(0.01)
                contestants[name]()
                times[name].append(_timed(contestants[name], counts[name], clock))
    finally:
        if collecting:
            gc.enable()
    return {name: found or [first[name]] for name, found in times.items()}


def _timed(call: Callable[[], object], count: int, clock: Clock) -> float:
    repeat = range(count)
    begin = clock.now()
    for _ in repeat:
        call()
    return (clock.now() - begin) / count


def _cost(first: Mapping[str, float], counts: Mapping[str, int]) -> float:
    """Seconds of a round."""
    return sum(0.01 + (count + 1) * max(first[name], 1e-7) for name, count in counts.items())


def spread(times: list[float]) -> float:
    """Half the distance between the quartiles, relative to the median; NaN of a single time."""
    if len(times) < 2:
        return float("nan")
    low, _, high = statistics.quantiles(times, n=4)
    return (high - low) / 2 / median(times)


class Measured(NamedTuple):
    """A median, and half the distance between the quartiles, in its own unit; 0 where nobody knows."""

    value: float
    spread: float = 0.0


def measured(times: list[float], scale: float = 1.0) -> Measured:
    """Of several times of one thing."""
    value = scale * median(times)
    return Measured(value, spread(times) * value if len(times) > 1 else 0.0)


def ratios(times: Times, ours: str, theirs: str) -> list[float]:
    """How many times faster ``ours`` is, round by round; with the medians where one of them left."""
    a, b = times[ours], times[theirs]
    if len(a) != len(b):
        return [median(b) / median(a)]
    return [y / x for x, y in zip(a, b, strict=True)]


def ratio(times: Times, ours: str, theirs: str) -> float:
    """How many times faster ``ours`` is: the median over the rounds of the ratio within a round."""
    return median(ratios(times, ours, theirs))
