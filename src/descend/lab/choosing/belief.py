"""What runs of any length say of the loss at the end of the whole training: a Gaussian process, and what to try next.

The loss of a run, as a function of rule, rate, length and schedule, is a sum of parts, each a normal surprise of a size
that was learnt from exhaustive sweeps: a trend with the length; a valley over the rates that all rules share, so that a
good rate of one says where those of the others lie, and one for each rule beside it, both forgotten as the length
changes; the luck of a seed, shared by all runs of one seed and length, and that of a run. How large the surprises of a
task are, and how much luck there is in it, is read off the runs at hand.

The next run is the one by which the loss of the answer is expected to fall most for what it costs: the knowledge
gradient (Frazier, Powell & Dayanik 2009, doi:10.1287/ijoc.1080.0314, eq. 13), its expectation by quadrature, over
lengths as in Wu et al. 2020 (arXiv:1903.04703). Runs that are to be made at once are chosen one after the other, each
as if the ones before it had ended as expected.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..trials.trial import Trial
from .candidates import leaning, prior
from .lattice import nearest
from .outcomes import OTHER, Outcome, diverging

Array = np.ndarray[Any, Any]

SQUASH = 0.15  # of the range of logarithms: differences far above the best matter less
RANGE = 3.0  # the range of logarithms that is usual: to which losses that have none are scaled
FLOOR = 1e-12  # of the loss at the start: what is below counts as that
SIZE, SIZE_SPREAD = math.log(0.18), 0.8  # of the surprises, in logarithms of the loss
LUCK_SPREAD = 0.8  # of the logarithm by which luck differs among tasks
FACTOR, LEAST, MOST = math.sqrt(2), 0.05, 20.0  # by which the luck is fitted
FLAT = 100.0  # the variance of what all runs have in common
REACH, NEAR = 2, 1  # quarter decades beyond the rates that were tried: for runs, and for an answer
AWAY = 2  # and beyond the best rates of a rule at each length, for runs: what lies farther is only believed to be good
SEEDS = 3
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@dataclass(frozen=True)
class Learnt:
    """Sizes of the surprises, in units of the task's; `python -m benchmarks.choosing fit` learns them.

    Places are quarter decades of the rate around the expected one, lengths doublings that are left.
    """

    trend: float  # mean slope with the length left
    trends: float  # how that differs among tasks
    bends: float  # its curvature
    rule: float  # of a rule: of its loss at the end,
    slopes: float  # and of its slope with the length
    tilt: float  # mean slope with the place
    tilts: float
    rule_tilts: float
    bowl: float  # mean curvature over places
    bowls: float
    rule_bowls: float
    drift: float  # places by which the valley moves with a doubling
    ripple: float  # what is smooth over places besides,
    rule_ripple: float
    width: float  # over so many places
    memory: float  # doublings of the length after which a valley is another,
    lasting: float  # but for this part of it, 0 to 1
    run: float  # the luck of a run
    seed: float  # the luck of a seed
    schedule: float  # of the other schedule, for all rules
    rule_schedule: float


LEARNT = Learnt(
    trend=0.556, trends=0.0925, bends=0.0123, rule=0.0933, slopes=0.0226, tilt=-0.0929, tilts=0.0447, rule_tilts=0.0277,
    bowl=0.0076, bowls=0.00488, rule_bowls=0.00704, drift=0.214, ripple=0.736, rule_ripple=1.16, width=1.6, memory=2.09,
    lasting=0.215, run=0.225, seed=0.0894, schedule=0.192, rule_schedule=0.155,
)  # fmt: skip


class Points(NamedTuple):
    """Where the loss is asked for; arrays of one length."""

    rule: Array  # its number
    place: Array  # quarter decades above the expected rate
    left: Array  # doublings of the length up to the whole
    other: Array  # 1 for the other schedule, 0 for linear

    def __getitem__(self, some: Any) -> "Points":  # type: ignore[override]
        return Points(*(of[some] for of in tuple(self)))


class Try(NamedTuple):
    """A run that may be made."""

    rule: str
    place: int  # of the lattice
    share: float
    seed: int  # its number among the seeds
    schedule: str


class Scale:
    """Losses as numbers whose differences matter: logarithms, or parts of what was gained; squeezed above the best."""

    def __init__(self, start: float, losses: Sequence[float]) -> None:
        finite = [x for x in losses if math.isfinite(x)]
        lowest = min(finite, default=start)
        self.start, self.log = start, start > 0 and lowest >= 0
        self.unit = (start - lowest) / RANGE or 1.0
        self.lowest = self._height(min(lowest, start))
        self.bend = SQUASH * max(self._height(start) - self.lowest, 1e-6)

    def _height(self, loss: float) -> float:
        return math.log(max(loss, FLOOR * self.start)) if self.log else loss / self.unit

    def to(self, loss: float) -> float:
        height = self._height(min(loss, self.start) if math.isfinite(loss) else self.start)
        above = height - self.lowest
        return self.bend * math.log1p(above / self.bend) if above > 0 else above

    def back(self, value: float) -> float:
        height = self.lowest + (self.bend * math.expm1(value / self.bend) if value > 0 else value)
        return min(math.exp(height), self.start) if self.log else min(height * self.unit, self.start)


class Fitted:
    """The process given values at points.

    Args:
        means: of each rule, at the end and for each doubling that is left.
        group: runs with the same number share the luck of a seed.
    """

    def __init__(self, means: tuple[Array, Array], at: Points, group: Array, values: Array, learnt: Learnt) -> None:
        self.means, self.at, self.group, self.learnt = means, at, group, learnt
        self.values, self._shared, self._alike = values, self._kernel(at, at), group[:, None] == group[None]
        self.luck(1.0, 1.0)

    def luck(self, run: float, seed: float) -> float:
        """Take so much luck; the negative logarithm of how likely the values then are, but for a constant."""
        self.run, self.seed = (run * self.learnt.run) ** 2, (seed * self.learnt.seed) ** 2
        n, mean = len(self.values), self._mean(self.at)
        self._middle, self._level = float(mean.mean()), float(self.values.mean())
        self._lower = np.linalg.cholesky(self._shared + self.seed * self._alike + self.run * np.eye(n))
        both = np.linalg.solve(self._lower, np.stack([self.values - self._level, mean - self._middle], 1))
        aa, ab, bb = float(both[:, 0] @ both[:, 0]), float(both[:, 0] @ both[:, 1]), float(both[:, 1] @ both[:, 1])
        logs = np.linspace(SIZE - 3 * SIZE_SPREAD, SIZE + 3 * SIZE_SPREAD, 61)
        sizes = np.exp(logs)
        told = n * logs + (aa / sizes**2 - 2 * ab / sizes + bb) / 2 + ((logs - SIZE) / SIZE_SPREAD) ** 2 / 2
        best = int(told.argmin())
        self.size = float(sizes[best])
        self._weights = np.linalg.solve(self._lower.T, both[:, 0] / self.size - both[:, 1])
        unusual = ((math.log(run) / LUCK_SPREAD) ** 2 + (math.log(seed) / LUCK_SPREAD) ** 2) / 2
        return float(told[best]) + float(np.log(np.diag(self._lower)).sum()) + unusual

    def fit(self) -> tuple[float, float]:
        """Take the luck under which the values are likeliest; how many times the usual it is: of a run, of a seed."""
        luck, best, moved = [1.0, 1.0], self.luck(1.0, 1.0), True
        while moved:
            moved = False
            for k, times in ((0, FACTOR), (0, 1 / FACTOR), (1, FACTOR), (1, 1 / FACTOR)):
                while LEAST < luck[k] * times < MOST:
                    other = [*luck]
                    other[k] *= times
                    likely = self.luck(*other)
                    if likely >= best - 1e-6:
                        break
                    luck, best, moved = other, likely, True
        self.luck(*luck)
        return luck[0], luck[1]

    def given(self, more: Points, group: Array, values: Array) -> "Fitted":
        """With more values, and the same luck."""
        at = Points(*(np.concatenate(pair) for pair in zip(self.at, more, strict=True)))
        made = Fitted(self.means, at, np.concatenate([self.group, group]), np.concatenate([self.values, values]),
                      self.learnt)  # fmt: skip
        made.luck(math.sqrt(self.run) / self.learnt.run, math.sqrt(self.seed) / self.learnt.seed)
        return made

    def _mean(self, p: Points) -> Array:
        learnt, u = self.learnt, p.place - self.learnt.drift * p.left
        ends, slopes = self.means
        return (learnt.trend + slopes[p.rule]) * p.left + ends[p.rule] + learnt.bowl * u * u + learnt.tilt * u

    def _kernel(self, p: Points, q: Points) -> Array:
        """The covariance, in units of the size."""
        k = self.learnt
        u, v = p.place - k.drift * p.left, q.place - k.drift * q.left
        same = p.rule[:, None] == q.rule[None]
        kept = np.exp(-(((p.left[:, None] - q.left[None]) / k.memory) ** 2) / 2)
        kept = k.lasting + (1 - k.lasting) * kept
        near = np.exp(-(((u[:, None] - v[None]) / k.width) ** 2) / 2)
        line, left = np.outer(u, v), np.outer(p.left, q.left)
        shared = kept * (k.tilts**2 * line + k.bowls**2 * line * line + k.ripple**2 * near)
        own = kept * (k.rule_tilts**2 * line + k.rule_bowls**2 * line * line + k.rule_ripple**2 * near)
        own += k.rule**2 + k.slopes**2 * left + k.rule_schedule**2 * np.outer(p.other, q.other)
        shared += FLAT + k.trends**2 * left + k.bends**2 * left * left + k.schedule**2 * np.outer(p.other, q.other)
        return shared + same * own

    def _variance(self, p: Points) -> Array:
        """The diagonal of the covariance of points with themselves."""
        k, u = self.learnt, (p.place - self.learnt.drift * p.left) ** 2
        valley = (k.tilts**2 + k.rule_tilts**2) * u + (k.bowls**2 + k.rule_bowls**2) * u * u
        rest = k.ripple**2 + k.rule_ripple**2 + k.rule**2 + FLAT + k.bends**2 * p.left**4
        return valley + rest + (k.slopes**2 + k.trends**2) * p.left**2 + p.other * (k.schedule**2 + k.rule_schedule**2)

    def _seen_from(self, p: Points, group: Array | None = None) -> tuple[Array, Array]:
        """(mean, covariances with the values, whitened) at points; of runs with their groups, if these are given."""
        across = self._kernel(self.at, p)
        if group is not None:
            across = across + self.seed * (self.group[:, None] == group[None])
        mean = self._level + self.size * (self._mean(p) - self._middle + across.T @ self._weights)
        return mean, np.linalg.solve(self._lower, across)

    def told(self, p: Points) -> tuple[Array, Array]:
        """The mean and the covariance of the loss at points, without luck."""
        mean, white = self._seen_from(p)
        return mean, self.size**2 * (self._kernel(p, p) - white.T @ white)

    def deviation(self) -> float:
        """The standard deviation of luck: of a run, and of its seed."""
        return self.size * math.sqrt(self.run + self.seed)

    def gradient(self, ends: Points, runs: Points, group: Array) -> tuple[Array, Array]:
        """By how much the least mean over `ends` is expected to fall through each run alone; the runs' means."""
        mean, white = self._seen_from(ends)
        expected, seen = self._seen_from(runs, group)
        through = self._kernel(ends, runs) - white.T @ seen
        spread = self._variance(runs) + self.seed + self.run - (seen * seen).sum(0)
        through *= self.size / np.sqrt(np.maximum(spread, 1e-9))
        then = sum(w * (mean[:, None] + z * through).min(0) for z, w in zip(NODES, WEIGHTS, strict=True))
        return mean.min() - then, expected

    def improvement(self, ends: Points, runs: Points) -> Array:
        """By how much the loss at runs of the whole length is expected to be below the least mean over `ends`."""
        mean, white = self._seen_from(runs)
        unsure = self.size * np.sqrt(np.maximum(self._variance(runs) - (white * white).sum(0), 1e-12))
        z = (self._seen_from(ends)[0].min() - mean) / unsure
        density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        below = np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in z])
        return np.where(runs.left == 0, unsure * (density + z * below), 0.0)


@dataclass(frozen=True)
class End:
    """What is believed of a rule at the end: its best place and schedule, and the loss, in the scale's numbers."""

    place: float
    schedule: str
    mean: float
    deviation: float  # of the loss of one training there


class Belief:
    """What the runs of a choice say.

    Args:
        rules: that are asked about.
        outcomes: of runs; of each rule some.
        shares: how long each was, of what the horizon costs.
        first: the least seed of the choice: they are numbered from it.
        start: the loss before any step.
        horizon: steps of the training that is chosen for.
    """

    def __init__(
        self,
        rules: Sequence[str],
        outcomes: Sequence[Outcome],
        shares: Mapping[Trial, float],
        first: int,
        start: float,
        horizon: int,
    ) -> None:
        self.rules = [rule for rule in rules if any(o.trial.rule == rule for o in outcomes)]
        self.expected = [nearest(prior(rule)) for rule in self.rules]
        self.horizon = horizon
        outcomes = [o for o in outcomes if o.trial.rule in self.rules]
        self.scale = Scale(start, [o.loss for o in outcomes])
        # of the lattice, from which on a rule diverges: nothing is asked or answered there
        self.edges = {rule: diverging(outcomes, rule, start) for rule in self.rules}
        self.runs = [
            Try(o.trial.rule, nearest(o.trial.lr), shares[o.trial], o.trial.seed - first, o.trial.schedule)
            for o in outcomes
        ]
        means = np.array([leaning(rule) for rule in self.rules]).T
        at, group = self._points(self.runs)  # of a seed and a length
        values = np.array([self.scale.to(o.loss) for o in outcomes])
        self.fitted = Fitted((means[0], means[1]), at, group, values, LEARNT)
        self.fitted.fit()

    def _points(self, runs: Sequence[Try]) -> tuple[Points, Array]:
        rule = np.array([self.rules.index(t.rule) for t in runs])
        place = np.array([float(t.place - self.expected[r]) for t, r in zip(runs, rule, strict=True)])
        left = np.array([-math.log2(t.share) for t in runs])
        group = np.array([t.seed * 100 + round(4 * x) for t, x in zip(runs, left, strict=True)])
        return Points(rule, place, left, np.array([float(t.schedule == OTHER) for t in runs])), group

    def _ends(self, reach: int, step: float = 1.0, left: float = 0.0) -> Points:
        """Each rule around the rates that were tried for it, by both schedules, at the end.

        Args:
            reach: places beyond the first and the last that was tried.
            step: between two of them.
            left: doublings of the length up to the whole; below 0 beyond it.
        """
        tried = self.fitted.at
        found: list[tuple[Array, Array, Array]] = []
        for rule in range(len(self.rules)):
            of = tried.place[tried.rule == rule]
            places = np.arange(of.min() - reach, of.max() + reach + step / 2, step)
            below = places[places < self.edges[self.rules[rule]] - self.expected[rule]]
            places = below if below.size else places
            if reach == REACH:
                bests = self._bests(rule)
                near = places[(places >= min(bests) - AWAY) & (places <= max(bests) + AWAY)]
                places = near if near.size else places
            found += [(np.full(len(places), rule), places, np.full(len(places), other)) for other in (0.0, 1.0)]
        rules, places, others = (np.concatenate(of) for of in zip(*found, strict=True))
        return Points(rules, places, np.full(len(rules), left), others)

    def _bests(self, rule: int) -> list[float]:
        """The places of the best runs of a rule at each length."""
        at, values = self.fitted.at, self.fitted.values
        lengths = [(at.rule == rule) & (at.left == left) for left in np.unique(at.left[at.rule == rule])]
        return [float(at.place[of][values[of].argmin()]) for of in lengths]

    def next(self, left: float, lengths: Mapping[str, Sequence[float]], spent: float) -> list[Try]:
        """What to run next, all at once: each as if the ones before had ended as expected. Nothing that costs too much.

        From SURE trainings on every second one is where the loss may well be lower than the lowest mean, at the whole
        length: a belief that is wrong is found out by trying what it says.

        Args:
            left, spent: of the budget, in trainings.
            lengths: those of each rule that may be asked for, in parts of the horizon.
        """
        chosen: list[Try] = []
        fitted, ends = self.fitted, self._ends(REACH)
        cost = 0.0
        while len(chosen) < 2 or (len(chosen) < AT_ONCE and cost < spent / PART):
            runs = self._runs(ends, lengths, [*self.runs, *chosen])
            runs = [t for t in runs if t.share <= left - cost + 1e-9]
            if not runs:
                break
            at, group = self._points(runs)
            gain, means = fitted.gradient(ends, at, group)
            if spent >= SURE and len(chosen) % 2:
                gain = fitted.improvement(ends, at)
            best = int((gain / [run.share for run in runs]).argmax())
            chosen.append(runs[best])
            cost += runs[best].share
            fitted = fitted.given(at[best : best + 1], group[best : best + 1], means[best : best + 1])
        return chosen

    def _runs(self, ends: Points, lengths: Mapping[str, Sequence[float]], there: Sequence[Try]) -> list[Try]:
        """The runs that may be made: of each place and length the next seed; the other schedule at the whole alone."""
        seeds: dict[tuple[str, int, float, str], int] = {}
        for t in there:
            key = (t.rule, t.place, t.share, t.schedule)
            seeds[key] = max(seeds.get(key, 0), t.seed + 1)
        found = []
        for r, place, other in zip(ends.rule, ends.place, ends.other, strict=True):
            rule, at, schedule = self.rules[r], int(place) + self.expected[r], OTHER if other else "linear"
            for share in lengths.get(rule, ()):
                seed = seeds.get((rule, at, share, schedule), 0)
                if seed < SEEDS and (share == 1 or not other):
                    found.append(Try(rule, at, share, seed, schedule))
        return found

    def at_end(self, times: float = 1.0) -> dict[str, End]:
        """Each rule at the end of a training so many times as long as the whole: its best place there."""
        points = self._ends(NEAR, FINE, -math.log2(times))
        mean, covariance = self.fitted.told(points)
        unsure = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        found = {}
        for r, rule in enumerate(self.rules):
            of = np.flatnonzero(points.rule == r)
            best = of[mean[of].argmin()]
            same = of[points.other[of] == points.other[best]]
            within = math.hypot(unsure[best], self.fitted.size * math.sqrt(self.fitted.run))
            weights = np.exp(-(mean[same] - mean[best]) / within)
            place = float(weights @ points.place[same] / weights.sum())
            schedule = OTHER if points.other[best] else "linear"
            deviation = math.hypot(unsure[best], self.fitted.deviation())
            found[rule] = End(place + self.expected[r], schedule, float(mean[best]), deviation)
        return found

    def regret(self) -> float:
        """How far the answer is expected to be behind the best, for all that is unknown, as a part of what it gains."""
        ends = self._ends(NEAR)
        mean, covariance = self.fitted.told(ends)
        draws = np.random.default_rng(0).multivariate_normal(mean, covariance, DRAWS, method="eigh")
        best = int(mean.argmin())
        mine = np.array([self.scale.back(x) for x in draws[:, best]])
        least = np.array([self.scale.back(x) for x in draws.min(1)])
        gained = self.scale.start - self.scale.back(float(mean[best]))
        return float((mine - least).mean()) / gained if gained > 0 else 0.0


SURE = 10.0  # trainings
AT_ONCE, PART = 6, 8  # runs at once: two, or up to six while they cost less than an eighth of what was spent
FINE = 0.25  # of a quarter decade: the steps in which a rate is looked for
DRAWS = 200
