"""How a learning rate is chosen: sweeps, what they suggest, and short probes at constant rates.

The curve alone cannot decide. For plain SGD on the digits its geometric median trains to 1.74 times the best loss of
a grid: a rule without momentum bears in training what it bears in a sweep, where momentum and Adam bear less. So a few
constant rates around the median are tried for a quarter of the sweep's steps. Short trials like large rates; hence not
the best probe is taken but the smallest rate that does nearly as well.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from . import curve as curves
from .curve import Curve

NEARLY = 0.5  # of the best probe's loss above it,
OF_PROGRESS = 0.10  # but at most this share of what the best probe gained since the start
EXTENSION = 1e3  # the range grows by so much, once, at the end where the minimum sits
TREMBLE = 0.1  # a gain over the same batches counts from this share of the noise between batches
PROBES = 8
SERIES = (1, 2, 5)

Steps = Callable[[Iterable[float], bool], Iterator[float]]
"""(rate of each step, paired) -> losses. A trial begins where the model stands; paired ones see the same batches."""


@dataclass(frozen=True)
class Probe:
    """A short training at a constant lr. `loss` is the mean of its last third; infinite if it diverged."""

    lr: float
    loss: float
    steps: int


@dataclass
class Evidence:
    """All that was tried."""

    sweeps: list[Curve] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    lost: int = 0  # sweeps that diverged before there was anything to read
    extended: str = ""  # "up" or "down": where the range was extended
    start: float = math.nan  # the loss a probe would have without training, on its own batches
    noise: float = 0.0  # what a probe must gain over that to count

    @property
    def read(self) -> list[dict[str, float]]:
        """The suggestions of each sweep."""
        return [c.read for c in self.sweeps]

    @property
    def suggestions(self) -> dict[str, float]:
        """rule -> its geometric median over the sweeps."""
        return {rule: curves.middle(found[rule] for found in self.read) for rule in self.read[0]}

    @property
    def medians(self) -> list[float]:
        """Of each sweep, the geometric median of its first three suggestions."""
        return [curves.middle(found[rule] for rule in curves.RULES) for found in self.read]

    @property
    def limit(self) -> float:
        """The loss up to which a probe does nearly as well as the best one; NaN where no probe gained anything."""
        best = min((probe.loss for probe in self.probes), default=math.inf)
        if not best < self.start - self.noise:
            return math.nan
        return best + min(NEARLY * abs(best), OF_PROGRESS * (self.start - best))

    @property
    def plateau(self) -> list[float]:
        """The probed rates that do nearly as well as the best one, ascending."""
        return sorted(probe.lr for probe in self.probes if probe.loss <= self.limit)

    @property
    def stable(self) -> float:
        """Half the lowest lr at which a sweep turned ragged, or a probe failed; the highest probed lr if all gained."""
        stable = min(curves.edge(c) for c in self.sweeps) / 2
        failed = [probe.lr for probe in self.probes if not probe.loss <= self.start + self.noise / TREMBLE]
        gained = [probe.lr for probe in self.probes if probe.loss <= self.start]
        if gained and not failed:
            stable = max(stable, max(gained))
        elif failed:
            stable = min(stable, min(failed) / 2)
        return stable


def sweep(steps: Steps, low: float, high: float, count: int, validate: Callable[[], float] | None = None) -> Curve:
    """One sweep from `low` to `high`; the validation loss is taken at twenty places of it."""
    lrs = np.geomspace(low, high, count)
    val: list[tuple[float, float]] = []

    def watched() -> Iterator[float]:
        for k, loss in enumerate(steps(lrs, False)):
            if validate is not None and k % max(1, count // 20) == 0:
                val.append((float(lrs[k]), validate()))
            yield loss

    return replace(curves.record(lrs, watched()), val=tuple(val))


def gather(
    steps: Steps,
    low: float,
    high: float,
    *,
    count: int,
    repeats: int,
    probes: int,
    probe_steps: int,
    late: Callable[[], bool],
    validate: Callable[[], float] | None = None,
) -> Evidence:
    """Sweep, extend the range once if the minimum sits at an end, repeat, probe.

    Args:
        low, high: the range.
        count: steps of a sweep.
        repeats: sweeps in all, each with other batches.
        probes: at most so many probes, of `probe_steps` steps each.
        late: whether the time is up.
        validate: the validation loss, by which probes are then judged instead of the training loss.
    Returns:
        The evidence; without a sweep, where even the first could not be read.
    Raises:
        ValueError: the validation loss is not finite at the start.
    """
    found = Evidence()
    if validate is not None and not math.isfinite(before := validate()):
        raise ValueError(f"the validation loss is {before} at the starting point, before any step")
    first = sweep(steps, low, high, count, validate)
    if not len(first.raw):
        return found  # the time is up
    where, opening = at_end(first, count), first.raw
    if where and not late():
        low, high = (low, high * EXTENSION) if where == "up" else (low / EXTENSION, high)
        wider = sweep(steps, low, high, count, validate)
        if curves.readable(wider):
            found.extended, first = where, wider
    if not curves.readable(first):
        return found
    found.sweeps.append(first)
    found.start = before if validate is not None else _untrained(opening, probe_steps, curves.settled(first))
    found.noise = 1e-3 * abs(found.start) if validate is not None else TREMBLE * curves.noise(first)
    while len(found.sweeps) + found.lost < repeats and not late():
        again = sweep(steps, low, high, count)
        if late():
            break  # half a sweep would pull the medians down
        if curves.readable(again):
            found.sweeps.append(again)
        else:
            found.lost += 1
    middle = curves.middle(found.medians)
    top = curves.middle(c.lr[c.minimum] for c in found.sweeps)
    for lr in candidates(middle, max(top, middle), found, probes):
        if late():
            break
        probe = _probe(steps, lr, probe_steps, found.start, validate)
        if late():
            break
        found.probes.append(probe)
    return found


def at_end(curve: Curve, count: int) -> str:
    """Where a range of `count` steps is too short: "up" if nothing but falling was seen, "down" if nothing but rising.

    A rise that only begins in the upper two thirds is the usual one; rates below that did nothing, and lower ones will
    do no more.
    """
    if not curves.readable(curve):
        return "down" if curve.diverged_at is not None else ""
    risen = np.flatnonzero(curve.smoothed > curves.settled(curve) + curves.noise(curve))
    risen = risen[risen > curve.judged.start]
    if curve.diverged_at is not None or (len(risen) and risen[-1] == len(curve.raw) - 1):
        early = risen[0] if len(risen) else len(curve.raw)
        return "down" if not curves.fall(curve) and early < count / 3 else ""
    last = len(curve.raw) - max(2, len(curve.raw) // 20)
    return "up" if not curves.fall(curve) or curve.minimum >= last else ""


def candidates(middle: float, top: float, found: Evidence, most: int) -> Iterator[float]:
    """The rates to probe, one after the other, of the series 1-2-5: from the middle up, while it gets better and
    up to `top`, then down, while it stays nearly as good."""
    start = nearest(middle)
    place, tried = start, 0
    while tried < most:
        yield rate(place)
        tried += 1
        losses = [probe.loss for probe in found.probes]
        if not losses or losses[-1] >= min(losses[:-1], default=math.inf) or rate(place + 1) > top:
            break
        place += 1
    place = start
    while tried < most and found.probes:
        lowest = min(found.probes, key=lambda probe: probe.lr)
        # from a start that gains nothing, down without a limit to compare with
        if lowest.loss > found.limit:
            break
        place -= 1
        yield rate(place)
        tried += 1


def _probe(steps: Steps, lr: float, count: int, start: float, validate: Callable[[], float] | None) -> Probe:
    losses: list[float] = []
    for loss in steps([lr] * count, True):
        losses.append(loss)
        if not math.isfinite(loss) or loss > start + curves.DIVERGED * max(abs(start), 1e-12):
            return Probe(lr, math.inf, len(losses))
    last = losses[-max(1, len(losses) // 3) :]
    loss = validate() if validate is not None else sum(last) / max(len(last), 1)
    return Probe(lr, loss if math.isfinite(loss) else math.inf, len(losses))


def _untrained(opening: np.ndarray, steps: int, settled: float) -> float:
    """The loss over the batches that count in a probe, as the first sweep saw them at rates too small to matter."""
    same = opening[steps - max(1, steps // 3) : steps]
    return min(float(same.mean()), settled) if len(same) and np.isfinite(same).all() else settled


def rate(place: int) -> float:
    """A number of the series 1-2-5: ..., 0.5, 1, 2, 5, 10, ...; place 0 is 1."""
    power, digit = divmod(place, len(SERIES))
    return float(f"{SERIES[digit]}e{power}")


def nearest(lr: float) -> int:
    """The place of the number of the series that is nearest in log."""
    power = math.floor(math.log10(lr)) * len(SERIES)
    return min(range(power, power + 4), key=lambda place: abs(math.log(rate(place) / lr)))
