"""Paired comparisons over seeds, and what a learning-rate curve says about tuning; pure functions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True)
class Paired:
    """Mean of paired differences, its standard error, and the two-sided p value of a t test against 0."""

    mean: float
    error: float
    p: float
    n: int

    def half_width(self, alpha: float) -> float:
        """Half the width of the `1 - alpha` t interval of the mean."""
        if self.error == 0:
            return 0.0
        from scipy.special import stdtrit

        return float(stdtrit(self.n - 1, 1 - alpha / 2)) * self.error


def paired(differences: Sequence[float]) -> Paired:
    """Student's paired t test of at least two differences.

    Raises:
        ValueError: fewer than two differences, or one that is not finite.
    """
    n = len(differences)
    if n < 2 or not all(math.isfinite(d) for d in differences):
        raise ValueError(f"a paired interval needs at least 2 finite differences, got {list(differences)}")
    mean = math.fsum(differences) / n
    error = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (n - 1) / n)
    if error == 0:
        return Paired(mean, 0.0, 1.0 if mean == 0 else 0.0, n)
    from scipy.special import stdtr

    return Paired(mean, error, float(2 * stdtr(n - 1, -abs(mean) / error)), n)


def holm_alphas(p_values: Sequence[float], alpha: float = 1 - LEVEL) -> list[float]:
    """The level each comparison is held to by Holm's step-down procedure (Holm 1979).

    The k-th smallest of m p values is held to `alpha / (m - k)`, k from 0; from the first that misses its
    level on, all are held to that level. Hence an interval at the returned level covers 0 exactly when
    Holm's procedure does not reject.
    """
    m = len(p_values)
    alphas = [0.0] * m
    stopped_at: float | None = None
    for k, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        alphas[i] = alpha / (m - k) if stopped_at is None else stopped_at
        if stopped_at is None and p_values[i] > alphas[i]:
            stopped_at = alphas[i]
    return alphas


@dataclass(frozen=True)
class Standing:
    """One competitor against the leader. `difference` and the half widths are None without an interval."""

    name: str
    rank: int
    mean: float
    tied: bool
    diverged: int
    difference: float | None = None
    half_holm: float | None = None
    half_plain: float | None = None
    p: float | None = None


def standings(losses: Mapping[str, Sequence[float]]) -> list[Standing]:
    """Competitors by rank: the leader and all who are tied with it are 1, the rest count on from there.

    `losses` holds one final loss per seed, the same seeds in the same order for all; infinite = diverged.
    The leader has the lowest mean. A competitor with a diverged run has the mean of its other runs, is never
    tied with the leader and stands behind everyone with fewer.
    """
    diverged = {name: sum(not math.isfinite(x) for x in values) for name, values in losses.items()}
    means = {name: _mean_of_finite(values) for name, values in losses.items()}
    order = sorted(losses, key=lambda name: (diverged[name], means[name]))
    if not order or diverged[order[0]]:
        return [Standing(name, k, means[name], False, diverged[name]) for k, name in enumerate(order, 1)]
    leader, *others = order
    against = {
        name: paired([b - a for a, b in zip(losses[leader], losses[name], strict=True)])
        for name in others
        if not diverged[name]
    }
    alphas = dict(zip(against, holm_alphas([c.p for c in against.values()]), strict=True))
    tied = {name for name, c in against.items() if abs(c.mean) <= c.half_width(alphas[name])}
    rows = [Standing(leader, 1, means[leader], False, 0)]
    rest = [name for name in others if name in tied] + [name for name in others if name not in tied]
    for position, name in enumerate(rest, 2):
        c = against.get(name)
        rank = 1 if name in tied else position
        if c is None:
            rows.append(Standing(name, rank, means[name], False, diverged[name]))
            continue
        widths = (c.half_width(alphas[name]), c.half_width(1 - LEVEL))
        rows.append(Standing(name, rank, means[name], name in tied, 0, c.mean, *widths, c.p))
    return rows


def _mean_of_finite(values: Sequence[float]) -> float:
    finite = [x for x in values if math.isfinite(x)]
    return math.fsum(finite) / len(finite) if finite else math.inf


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
    limit = losses[best] * (1 + within)

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
