"""What a learning-rate curve says about tuning, and what several tasks say together; pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Width:
    """Learning rates within a share of the best loss; open where the grid ends before the loss rises."""

    low: float
    high: float
    open_below: bool
    open_above: bool

    @property
    def decades(self) -> float:
        return math.log10(self.high / self.low)


def usable_width(lrs: Sequence[float], losses: Sequence[float], within: float = 0.10) -> Width | None:
    """The learning rates around the best one that lose at most `within` of the best loss.

    `lrs` ascend. Between two points the loss is taken as linear in log lr; a diverged neighbour adds nothing.
    None if every run diverged.
    """
    best = min(range(len(lrs)), key=lambda k: losses[k])
    if not math.isfinite(losses[best]):
        return None
    limit = losses[best] + within * abs(losses[best])

    def reach(step: int) -> tuple[float, bool]:
        k = best
        while 0 <= k + step < len(lrs):
            here, there = losses[k], losses[k + step]
            if there > limit:
                part = (limit - here) / (there - here) if math.isfinite(there) else 0.0
                return lrs[k] * (lrs[k + step] / lrs[k]) ** part, False
            k += step
        return lrs[k], True

    (low, open_below), (high, open_above) = reach(-1), reach(+1)
    return Width(low, high, open_below, open_above)


def expected_best(losses: Sequence[float], trials: int) -> float:
    """The expected lowest of `trials` losses drawn from these without replacement; infinite if all may diverge."""
    ordered, n = sorted(losses), len(losses)
    ways = math.comb(n, trials)
    parts = [(x, math.comb(n - 1 - k, trials - 1) / ways) for k, x in enumerate(ordered)]
    return math.fsum(x * chance for x, chance in parts if chance)


def steps_for(loss: float, steps: Sequence[int], losses: Sequence[float]) -> float:
    """How many steps the leader needs for `loss`, between its budgets `steps` (ascending) with their final `losses`.

    Log-log between two budgets. Below the shortest budget: 0, that is fewer than it shows; above the longest: infinity.
    """
    for k, (n, x) in enumerate(zip(steps, losses, strict=True)):
        if x > loss:
            continue
        if k == 0:
            return 0.0
        m, y = steps[k - 1], losses[k - 1]
        known = min(x, loss) > 0 and math.isfinite(y)
        return m * (n / m) ** (math.log(y / loss) / math.log(y / x)) if known else float(n)
    return math.inf
