"""A ball that rolls: Newton's law with friction, solved finely, beside momentum, which is the same law in coarse steps.

m·a = −η·v − ∇f. With differences over Δt, u ← (1 − ηΔt/m)·u − (Δt²/m)·∇f(x) and x ← x + u, where u = v·Δt is the way
of a step: `momentum_velocity` with momentum 1 − ηΔt/m and lr Δt²/m. Heights are energies: its weight is in f.
"""

from dataclasses import dataclass

import numpy as np

from .surface import Point, Surface

FINE = 20  # steps of the solver in one step of the rule


@dataclass(frozen=True, eq=False)
class Ball:
    """`curve`: (20·T + 1, 2): where it was, each twentieth of Δt. `gap`: the longest way from it to the rule."""

    mass: float
    friction: float
    dt: float
    curve: np.ndarray
    gap: float

    @property
    def said(self) -> str:
        momentum, lr = discretised(self.mass, self.friction, self.dt)
        law = f"mass {self.mass:g}, friction {self.friction:g}, steps of {self.dt:g}"
        return f"{law} = momentum {momentum:.3g}, lr {lr:.3g}; at most {self.gap:.2g} apart"


def discretised(mass: float, friction: float, dt: float) -> tuple[float, float]:
    """Momentum and learning rate of the rule."""
    return 1 - friction * dt / mass, dt * dt / mass


def rolled(surface: Surface, start: Point, mass: float, friction: float, dt: float, steps: int) -> np.ndarray:
    """(20·steps + 1, 2): the ball, from rest, by the classical Runge-Kutta method of fourth order."""
    h = dt / FINE

    def rate(s: np.ndarray) -> np.ndarray:
        x, y, u, v = s.tolist()
        a, b = surface.gradient(x, y)
        return np.array([u, v, -(friction * u + a) / mass, -(friction * v + b) / mass])

    now = np.array([*start, 0.0, 0.0])
    curve = np.empty((FINE * steps + 1, 2))
    curve[0] = start
    for t in range(1, len(curve)):
        a = rate(now)
        b = rate(now + h / 2 * a)
        c = rate(now + h / 2 * b)
        d = rate(now + h * c)
        now = now + h / 6 * (a + 2 * b + 2 * c + d)
        curve[t] = now[:2]
    return curve
