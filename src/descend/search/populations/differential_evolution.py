"""Differential evolution: steps are differences of members of the population; L-SHADE learns their sizes.

Storn & Price 1997, "Differential Evolution – A Simple and Efficient Heuristic"; Zhang & Sanderson 2009, "JADE";
Tanabe & Fukunaga 2014 (CEC), "Improving the Search Performance of SHADE Using Linear Population Size Reduction".
"""

from typing import Any

import numpy as np

from ..kinds import whole
from ..method import Iteration, Stop, Wanted
from .start import Array, Population, events, replaced

STRATEGIES = ("rand1", "best1", "current_to_pbest")


class DE(Population):
    """Differential evolution with binomial crossover (Storn & Price 1997); a generation is selected all at once.

    Args:
        strategy: "rand1", "best1" or "current_to_pbest" (JADE's, without its archive).
        population: NP; None: 10 D, at least 8.
        F, CR: the scale of a difference, the share of coordinates taken from the mutant.
        p: the share of the best that "current_to_pbest" moves to.
        tol, sigma0: as for Population.
    """

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        strategy: str = "rand1",
        population: int | None = None,
        F: float = 0.5,
        CR: float = 0.9,
        p: float = 0.1,
        **base: Any,
    ) -> None:
        super().__init__(x0, bounds, **base)
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}; got {strategy!r}")
        if not 0 < F <= 2 or not 0 <= CR <= 1 or not 0 < p <= 1:
            raise ValueError(f"expected 0 < F ≤ 2, 0 ≤ CR ≤ 1 and 0 < p ≤ 1; got F={F}, CR={CR}, p={p}")
        self._strategy, self._F, self._CR, self._p = strategy, F, CR, p
        self.population = whole("population", population, max(8, 10 * self.n), 4)

    def iterate(self) -> Iteration:
        V = inside(self.mutants(), self.X, self.lower, self.upper)
        U = crossed_alike(self.rng, V, self.X, self._CR)
        values = yield Wanted("values", U)
        better = values <= self.f
        self.X, self.f = replaced(self.X, U, better), np.where(better, values, self.f)
        return alike(self.f, self._tol)

    def mutants(self) -> Array:
        X, F, count = self.X, self._F, len(self.X)
        match self._strategy:
            case "rand1":  # v = x_r1 + F (x_r2 − x_r3)
                a, b, c = others(self.rng, count, 3)
                return stepped(X.take(a, axis=0), F, X, b, c)
            case "best1":  # v = x_best + F (x_r1 − x_r2)
                a, b = others(self.rng, count, 2)
                return stepped(X[np.argmin(self.f)], F, X, a, b)
            case _:  # v = x_i + F (x_pbest − x_i) + F (x_r1 − x_r2)
                best = best_of(self.rng, self.f, self._p, count)
                a, b = others(self.rng, count, 2)
                return stepped(X + F * (X[best] - X), F, X, a, b)


class LSHADE(Population):
    """L-SHADE: sizes of steps from the history of successes, and a population that shrinks to the end of the budget.

    H, p, r^arc and r^Ninit are the tuned ones of the paper. Dialect: x0 is a member of the first population.

    Args:
        budget: evaluations over which the population shrinks to 4 (MAX_NFE); None: 10,000 D. The method goes on beyond.
        population: N^init; None: 18 D.
        tol, sigma0: as for Population.
    """

    H, P, ARCHIVE, LEAST = 6, 0.11, 2.6, 4

    def __init__(
        self, x0: Any, bounds: Any = None, *, budget: int | None = None, population: int | None = None, **base: Any
    ) -> None:
        super().__init__(x0, bounds, **base)
        self._budget = whole("budget", budget, 10_000 * self.n, 1)
        self.population = whole("population", population, 18 * self.n, self.LEAST)
        self.nfev = 0
        self.archive = np.empty((0, self.n))
        self.memory_F, self.memory_CR = np.full(self.H, 0.5), np.full(self.H, 0.5)  # NaN is the terminal value ⊥
        self.slot = 0

    def begin(self) -> Iteration:
        yield from super().begin()
        self.nfev += len(self.X)
        return None

    def iterate(self) -> Iteration:
        X, f, count = self.X, self.f, len(self.X)
        F, CR = self.draw()
        best = best_of(self.rng, f, self.P, count)
        a = other(self.rng, np.arange(count), count)
        b = third(self.rng, np.arange(count), a, count + len(self.archive))
        pool = np.concatenate((X, self.archive))
        scale = F[:, None]
        V = X + scale * (X[best] - X) + scale * (X[a] - pool[b])  # (9)
        U = crossed(self.rng, inside(V, X, self.lower, self.upper), X, CR[:, None])
        values = yield Wanted("values", U)
        self.nfev += count

        better = values < f
        self.remember(F[better], CR[better], np.minimum(f[better] - values[better], 1e300))
        self.archive = np.concatenate((self.archive, X[better]))
        kept = values <= f
        self.X, self.f = replaced(X, U, kept), np.where(kept, values, f)
        self.shrink()
        return alike(self.f, self._tol)

    def draw(self) -> tuple[Array, Array]:
        """F_i from Cauchy(M_F, 0.1), drawn again at 0 or below and cut at 1; CR_i from N(M_CR, 0.1), cut to [0, 1]."""
        count = len(self.X)
        r = self.rng.integers(self.H, size=count)
        centre = self.memory_CR[r]
        CR = np.clip(centre + 0.1 * self.rng.standard_normal(count), 0, 1)
        CR = np.where(np.isnan(centre), 0.0, CR)
        F = self.memory_F[r] + 0.1 * self.rng.standard_cauchy(count)
        while (low := F <= 0).any():
            F[low] = self.memory_F[r[low]] + 0.1 * self.rng.standard_cauchy(int(low.sum()))
        return np.minimum(F, 1.0), CR

    def remember(self, F: Array, CR: Array, gain: Array) -> None:
        """Algorithm 1: one slot of the memory takes the means of what succeeded, weighted by its gain."""
        if not len(F):
            return
        w = gain / gain.sum()  # (8)
        memory_F, memory_CR = self.memory_F.copy(), self.memory_CR.copy()
        at = self.slot
        memory_CR[at] = np.nan if np.isnan(memory_CR[at]) or CR.max() == 0 else (w @ CR**2) / (w @ CR)  # (7)
        memory_F[at] = (w @ F**2) / (w @ F)
        self.memory_F, self.memory_CR, self.slot = memory_F, memory_CR, (at + 1) % self.H

    def shrink(self) -> None:
        """Linear population size reduction (10): the worst leave, then random members of a full archive."""
        done = min(1.0, self.nfev / self._budget)
        size = round((self.LEAST - self.population) * done + self.population)
        if size < len(self.X):
            stay = np.sort(np.argsort(self.f, kind="stable")[:size])
            self.X, self.f = self.X[stay], self.f[stay]
        room = round(self.ARCHIVE * len(self.X))
        if len(self.archive) > room:
            self.archive = self.archive[np.sort(self.rng.permutation(len(self.archive))[:room])]


def stepped(base: Array, F: float, X: Array, a: Array, b: Array) -> Array:
    """base + F (X[a] − X[b])"""
    V = X.take(a, axis=0)
    V -= X.take(b, axis=0)
    V *= F
    V += base
    return V


def other(rng: np.random.Generator, i: Array, count: int) -> Array:
    """For each i a uniform index below ``count`` that is not i."""
    drawn = rng.integers(count - 1, size=len(i))
    return drawn + (drawn >= i)


def third(rng: np.random.Generator, i: Array, j: Array, count: int) -> Array:
    """For each pair i ≠ j a uniform index below ``count`` that is neither."""
    drawn = rng.integers(count - 2, size=len(i))
    drawn = drawn + (drawn >= np.minimum(i, j))
    return drawn + (drawn >= np.maximum(i, j))


def others(rng: np.random.Generator, count: int, how_many: int) -> list[Array]:
    """``how_many`` arrays (count,): for each i, uniform indices that differ from i and from each other."""
    taken = [np.arange(count)]
    for used in range(1, how_many + 1):
        drawn = rng.integers(count - used, size=count)
        for one in np.sort(taken, axis=0):
            drawn = drawn + (drawn >= one)
        taken.append(drawn)
    return taken[1:]


def best_of(rng: np.random.Generator, f: Array, p: float, count: int) -> Array:
    """For each member one of the ⌈p N⌉ best, two at least."""
    best = np.argsort(f, kind="stable")[: max(2, int(np.ceil(p * len(f))))]
    return best[rng.integers(len(best), size=count)]


def crossed(rng: np.random.Generator, V: Array, X: Array, CR: Any) -> Array:
    """Binomial crossover: a coordinate is the mutant's with probability CR, one of them always."""
    take = rng.random(V.shape) < CR
    take[np.arange(len(V)), rng.integers(V.shape[1], size=len(V))] = True
    return np.where(take, V, X)


def crossed_alike(rng: np.random.Generator, V: Array, X: Array, CR: float) -> Array:
    """``crossed`` with one CR for all, written into V: only what is kept of the parents is drawn."""
    kept = events(rng, V.size, 1 - CR)
    rows, sure = np.arange(len(V)), rng.integers(V.shape[1], size=len(V))
    mutant = V[rows, sure]
    V.reshape(-1)[kept] = X.reshape(-1)[kept]
    V[rows, sure] = mutant
    return V


def inside(V: Array, X: Array, lower: Array, upper: Array) -> Array:
    """JADE's repair: a coordinate outside of a bound is put halfway between the bound and its parent."""
    low, high = lower > V, upper < V
    if not (low.any() or high.any()):
        return V
    with np.errstate(invalid="ignore"):  # −inf + X where there is no bound is not taken
        return np.where(low, (lower + X) / 2, np.where(high, (upper + X) / 2, V))


def alike(f: Array, tol: float) -> Stop | None:
    best, worst = float(f.min()), float(f.max())
    if worst - best <= tol * (1 + abs(best)):  # False for inf − inf
        return Stop(f"the values of the population differ by less than {tol:g} · (1 + |best|)")
    return None
