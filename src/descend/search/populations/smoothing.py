"""Gradients of a smoothed objective, estimated from mirrored samples: PGPE and OpenAI's evolution strategy.

Sehnke et al. 2010 (Neural Networks 23), "Parameter-exploring Policy Gradients"; Salimans et al. 2017
(arXiv:1703.03864), "Evolution Strategies as a Scalable Alternative to Reinforcement Learning". For many coordinates
and noisy values, where steps cannot be as exact as those of CMA-ES.
"""

from typing import Any

import numpy as np

from ..kinds import between, whole
from ..method import VALUES, Iteration, Method, Wanted
from .bounds import box_of
from .start import Array, spread_of


def centred_ranks(values: Array) -> Array:
    """Utilities from 1/2 for the best value to −1/2 for the worst."""
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.linspace(0.5, -0.5, len(values))
    return ranks


class Mirrored(Method):
    """Pairs of points mean ± ε with ε ~ N(0, σ²).

    Args:
        sigma0: the standard deviation; None: from the bounds, or from x0.
        population: points per generation, made even; None: 4 + ⌊3 ln D⌋, at least 20.
        lr: step size of the mean, in units of σ.
    """

    uses = VALUES

    def __init__(
        self,
        x0: Any,
        bounds: Any = None,
        *,
        sigma0: float | None = None,
        population: int | None = None,
        lr: float | None = None,
        **base: Any,
    ) -> None:
        super().__init__(np.asarray(x0, float), bounds, **base)
        self.population = whole("population", population, max(20, int(4 + 3 * np.log(self.n))), 2)
        self.population += self.population % 2
        self._lr = self.LR if lr is None else between("lr", lr, 0)
        self._box = box_of(self.lower, self.upper)
        self.mean = self.x0 if self._box is None else self._box.unfold(self.x0)
        sigma, scale = spread_of(self.x0, self.lower, self.upper, sigma0)
        self.sigma = sigma * scale  # (D,)

    LR = 0.1

    def iterate(self) -> Iteration:
        half = self.sigma * self.rng.standard_normal((self.population // 2, self.n))
        X = np.concatenate((self.mean + half, self.mean - half))
        values = yield Wanted("values", X if self._box is None else self._box.fold(X))
        if np.isfinite(values.min()):
            self.learn(half, *np.split(centred_ranks(values), 2))
        return None

    def learn(self, half: Array, plus: Array, minus: Array) -> None:
        raise NotImplementedError


class PGPE(Mirrored):
    """Parameter-exploring policy gradients with symmetric sampling (Sehnke et al. 2010, Algorithm 2).

    Dialect: utilities are centred ranks, whose baseline is 0, in place of rewards less their running mean.

    Args:
        lr_sigma: step size of σ, relative to itself.
    """

    LR = 2.0

    def __init__(self, x0: Any, bounds: Any = None, *, lr_sigma: float = 0.5, **base: Any) -> None:
        super().__init__(x0, bounds, **base)
        self._lr_sigma = between("lr_sigma", lr_sigma, 0)

    def learn(self, half: Array, plus: Array, minus: Array) -> None:
        T, S = half, (half**2 - self.sigma**2) / self.sigma
        self.mean = self.mean + self._lr * ((plus - minus) / 2) @ T / len(half)
        relative = self._lr_sigma * ((plus + minus) / 2) @ S / len(half) / self.sigma
        self.sigma = self.sigma * (1 + np.clip(relative, -0.5, 0.5))  # a step may not turn σ negative


class OpenAIES(Mirrored):
    """OpenAI's evolution strategy (Salimans et al. 2017): σ stays, the mean follows Adam on the estimated gradient.

    Args:
        decay: σ and the step are multiplied by it after each generation; 1 as in the paper.
    """

    LR = 0.1
    BETA1, BETA2, EPS = 0.9, 0.999, 1e-8

    def __init__(self, x0: Any, bounds: Any = None, *, decay: float = 1.0, **base: Any) -> None:
        super().__init__(x0, bounds, **base)
        if not 0 < decay <= 1:
            raise ValueError(f"decay must be above 0 and at most 1, got {decay}")
        self._decay = decay
        self.t = 0
        self.m, self.v = np.zeros(self.n), np.zeros(self.n)

    def learn(self, half: Array, plus: Array, minus: Array) -> None:
        self.t += 1
        g = (plus - minus) @ (half / self.sigma) / (2 * len(half))  # 1/(nσ) Σ F_i ε_i, in units of σ
        self.m = self.BETA1 * self.m + (1 - self.BETA1) * g
        self.v = self.BETA2 * self.v + (1 - self.BETA2) * g**2
        m = self.m / (1 - self.BETA1**self.t)
        v = self.v / (1 - self.BETA2**self.t)
        self.mean = self.mean + self._lr * self.sigma * m / (np.sqrt(v) + self.EPS)
        self.sigma = self._decay * self.sigma
