"""From values to places in a picture, and the round values that stand beside an axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Values `low..high` onto pixels `start..end`, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, wanted: int, log: bool = False) -> list[float]:
    """Round values from `low` to `high`, about as many as wanted: 1, 2, 5 times powers of ten, or fewer."""
    if log:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        inside = [
            [m * 10.0**p for p in powers for m in mantissas if low * 0.999 <= m * 10.0**p <= high * 1.001]
            for mantissas in ((1,), (1, 3), (1, 2, 5))
        ]
        fitting = [found for found in inside if len(found) <= wanted]
        return fitting[-1] if fitting else inside[0][:: -(-len(inside[0]) // wanted)]
    raw = (high - low) / wanted
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near those wanted, in the same order, at least `gap` apart, and in `low..high` if they fit."""
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    places = [0.0] * len(wanted)
    at = low - gap
    for k in order:
        at = places[k] = max(wanted[k], at + gap)
    at = high + gap
    for k in reversed(order):
        at = places[k] = min(places[k], at - gap)
    return places
