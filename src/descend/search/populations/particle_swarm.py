"""Particle swarms: points with a velocity, drawn to the best place each has seen and to the best its neighbours have.

Shi & Eberhart 1998, "A Modified Particle Swarm Optimizer" (inertia); Clerc & Kennedy 2002, "The Particle Swarm –
Explosion, Stability, and Convergence" (constriction).
"""

import math
from typing import Any

import numpy as np

from ..kinds import between, whole
from ..method import Iteration, Stop, Wanted
from .start import Population, replaced

TOPOLOGIES = ("ring", "global")


class PSO(Population):
    """Particle swarm optimization; all particles move at once.

    Args:
        form: "constriction": v ← χ (v + c1 r1 (p − x) + c2 r2 (g − x)), or "inertia": v ← w v + c1 … + c2 ….
        topology: g is the best of all ("global") or of a particle and its two neighbours ("ring").
        c1, c2: None: 2.05 for constriction, 2 χ/… = 1.49618 for inertia.
        inertia: w.
        population: None: 10 + 2 √D, rounded, at least 40.
        tol: it ends when the swarm is smaller than tol · (1 + |best x|) in every coordinate.
        sigma0: spread of the first swarm around x0; None: uniform in the box where all bounds are finite.
    """

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        form: str = "constriction",
        topology: str = "global",
        c1: float | None = None,
        c2: float | None = None,
        inertia: float = 0.7298,
        population: int | None = None,
        **base: Any,
    ) -> None:
        super().__init__(x0, bounds, **base)
        if form not in ("constriction", "inertia"):
            raise ValueError(f"form must be 'constriction' or 'inertia', got {form!r}")
        if topology not in TOPOLOGIES:
            raise ValueError(f"topology must be one of {', '.join(TOPOLOGIES)}; got {topology!r}")
        for name, value in (("c1", c1), ("c2", c2), ("inertia", inertia)):
            between(name, 0 if value is None else value, 0)
        usual = 2.05 if form == "constriction" else 1.49618
        self._c1, self._c2 = usual if c1 is None else c1, usual if c2 is None else c2
        if form == "constriction":
            self._w = constriction(self._c1 + self._c2)
            self._c1, self._c2 = self._w * self._c1, self._w * self._c2
        else:
            self._w = inertia
        self._topology = topology
        self._bounded = bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())
        self.population = whole("population", population, max(40, round(10 + 2 * math.sqrt(self.n))), 3)
        self.V = self.P = self.X  # f are the values of P, the best places

    def begin(self) -> Iteration:
        self.X = self.first()
        self.V = (self.first() - self.X) / 2  # half the way to another point of the kind
        self.P = self.X
        self.f = yield Wanted("values", self.X)
        return None

    def iterate(self) -> Iteration:
        V = self._w * self.V
        for c, place in ((self._c1, self.P), (self._c2, self.P[self.leaders()])):
            pull = self.rng.random(self.X.shape)
            pull *= c
            pull *= place - self.X
            V += pull
        X = self.X + V
        if self._bounded:
            out = (self.lower > X) | (self.upper < X)
            X, V = np.clip(X, self.lower, self.upper), np.where(out, 0.0, V)  # a wall takes the velocity
        self.X, self.V = X, V
        values = yield Wanted("values", X)
        better = values < self.f
        self.P, self.f = replaced(self.P, X, better), np.where(better, values, self.f)
        if self.nit % 10 == 0:
            size = np.ptp(X, axis=0) + np.abs(V).max(axis=0)
            if (size <= self._tol * (1 + np.abs(self.P[np.argmin(self.f)]))).all():
                return Stop(f"the swarm is smaller than {self._tol:g} · (1 + |x|)")
        return None

    def leaders(self) -> Any:
        """For each particle, or for all, whose best place it is drawn to."""
        if self._topology == "global":
            return np.argmin(self.f)
        ring = np.arange(self.population)
        near = np.stack((np.roll(ring, 1), ring, np.roll(ring, -1)))
        return near[np.argmin(self.f[near], axis=0), ring]


def constriction(phi: float) -> float:
    """χ = 2 / |2 − φ − √(φ² − 4φ)| (Clerc & Kennedy, equation 4.14 with κ = 1); φ = c1 + c2 must be above 4."""
    if phi <= 4:
        raise ValueError(f"c1 + c2 must be above 4 with form='constriction', got {phi}; use form='inertia'")
    return 2 / abs(2 - phi - math.sqrt(phi**2 - 4 * phi))
