"""Trust regions: the best step of at most a length, by a quadratic model of the function; three ways to find it.

Each model answers ``within(radius)`` for as many radii as are tried at a point: what was learned of the curvature there
is not asked for again when a step is refused and the radius shrinks.
"""

import math
from collections.abc import Generator
from typing import Any, NamedTuple, Protocol

import numpy as np

from .vectors import dot, norm

Products = Generator[Any, Any, Any]  # yields a vector, is sent the Hessian times it


class Step(NamedTuple):
    """A step p (D,), what the model says the value falls by, and whether the radius held it back."""

    p: Any
    fall: float
    held: bool


class Model(Protocol):
    def within(self, radius: float) -> Generator[Any, Any, Step]: ...


class Steihaug:
    """Conjugate gradients to the edge of the region (Steihaug 1983; Nocedal and Wright 2006, Algorithm 7.2).

    Args:
        g: the gradient. tolerance: the residual at which the step is good enough.
    """

    def __init__(self, g: Any, tolerance: float, most: int) -> None:
        self.g, self.tolerance, self.most = g, tolerance, most
        self.legs: list[tuple[Any, Any, Any, Any, float]] = []  # z, H z, d, H d, and how far along d
        self.r, self.d = g, -g

    def within(self, radius: float) -> Generator[Any, Any, Step]:
        z, hz = 0 * self.g, 0 * self.g
        walked = 0
        while True:
            if walked == len(self.legs):
                if norm(self.r) <= self.tolerance or walked == self.most:
                    return Step(z, -dot(self.g, z) - dot(z, hz) / 2, False)
                hd = yield self.d
                self._walk(z, hz, hd)
            _, _, d, hd, alpha = self.legs[walked]
            walked += 1
            if not math.isfinite(alpha) or norm(z + alpha * d) >= radius:
                tau = to_edge(z, d, radius)
                z, hz = z + tau * d, hz + tau * hd
                return Step(z, -dot(self.g, z) - dot(z, hz) / 2, True)
            z, hz = z + alpha * d, hz + alpha * hd

    def _walk(self, z: Any, hz: Any, hd: Any) -> None:
        curved, square = dot(self.d, hd), dot(self.r, self.r)
        if not math.isfinite(curved):  # no product to be had: as if the function were linear
            hd, curved = 0 * self.d, 0.0
        alpha = square / curved if curved > 0 else math.inf
        self.legs.append((z, hz, self.d, hd, alpha))
        if math.isfinite(alpha):
            self.r = self.r + alpha * hd
            self.d = -self.r + (dot(self.r, self.r) / square) * self.d


def to_edge(z: Any, d: Any, radius: float) -> float:
    """The tau >= 0 with ‖z + tau d‖ = radius."""
    a, b, c = dot(d, d), dot(z, d), dot(z, z) - radius * radius
    root = math.sqrt(max(b * b - a * c, 0.0))
    return -c / (b + root) if b > 0 else (root - b) / a  # the form without cancellation


class Krylov:
    """The best step of the Krylov space, on the edge too (GLTR: Gould, Lucidi, Roma and Toint 1999).

    Lanczos vectors are kept and orthogonalised anew, k·D numbers for k products.
    """

    def __init__(self, g: Any, tolerance: float, most: int) -> None:
        self.g, self.tolerance, self.most = g, tolerance, most
        self.length = norm(g)
        self.basis = [g / self.length]
        self.diagonal: list[float] = []
        self.beside: list[float] = []  # of the tridiagonal matrix: beside[k] couples k and k + 1

    def within(self, radius: float) -> Generator[Any, Any, Step]:
        while True:
            k = len(self.diagonal)
            if k:
                t = np.diag(self.diagonal) + np.diag(self.beside[: k - 1], 1) + np.diag(self.beside[: k - 1], -1)
                exact = Exact(self.length * np.eye(k)[0], t)
                h, fall, held = exact.step(radius)
                rest = self.beside[k - 1] * abs(h[-1])  # the residual, (4.5)
                if rest <= self.tolerance or k == self.most or self.beside[k - 1] <= 1e-14 * abs(t).max():
                    p = sum(float(c) * q for c, q in zip(h, self.basis, strict=False))
                    return Step(p, fall, held)
            q = self.basis[-1]
            hq = yield q
            a = dot(q, hq)
            if not math.isfinite(a):
                hq, a = 0 * q, 0.0
            rest = hq
            for _ in range(2):  # twice is enough (Parlett 1998)
                for one in self.basis:
                    rest = rest - dot(one, rest) * one
            b = norm(rest)
            self.diagonal.append(a)
            self.beside.append(b)
            if b > 0:
                self.basis.append(rest / b)


class Exact:
    """The best step there is, from the eigenvectors of the Hessian (Moré and Sorensen 1983).

    Args:
        g: (D,) the gradient. H: (D, D) the Hessian, symmetric.
    """

    def __init__(self, g: np.ndarray, H: np.ndarray) -> None:
        self.values, self.vectors = np.linalg.eigh(H)
        self.g = self.vectors.T @ g

    def within(self, radius: float) -> Generator[Any, Any, Step]:
        yield from ()
        return self.step(radius)

    def step(self, radius: float) -> Step:
        """Solves (H + λI) p = -g with λ ≥ 0, H + λI ≥ 0 and λ (radius - ‖p‖) = 0: their (2.4)."""
        least = float(self.values[0])
        scale = float(np.abs(self.values).max()) or 1.0
        if least > 1e-14 * scale:
            p = -self.g / self.values
            if norm(p) <= radius:
                return self._made(p, False)
        bottom = max(0.0, -least)
        lam = max(bottom + 1e-14 * scale, 0.0)
        flat = self.values - least <= 1e-12 * scale
        if least <= 1e-14 * scale:
            p = np.where(flat, 0.0, -self.g / np.where(flat, 1.0, self.values + bottom))
            if norm(self.g[flat]) <= 1e-14 * norm(self.g) and norm(p) <= radius:  # the hard case
                p[0] += math.sqrt(max(radius**2 - dot(p, p), 0.0))
                return self._made(p, True)
        # 1/radius - 1/‖p(λ)‖ is nearly straight; Newton's method on it, kept in a bracket, (3.8)
        low, high = lam, max(norm(self.g) / radius - least, lam) + scale
        lam = max(lam, min(norm(self.g) / radius - least, high)) if norm(self.g) else lam
        for _ in range(100):
            shifted = self.values + lam
            p = -self.g / shifted
            size = norm(p)
            if abs(size - radius) <= 1e-10 * radius:
                break
            low, high = (lam, high) if size > radius else (low, lam)
            slope = float((self.g**2 / shifted**3).sum())
            lam += (size / radius - 1) * size**2 / slope if slope > 0 else math.nan
            if not low < lam < high:
                lam = (low + high) / 2
        return self._made(p, True)

    def _made(self, p: np.ndarray, held: bool) -> Step:
        fall = -dot(self.g, p) - float((self.values * p * p).sum()) / 2
        return Step(self.vectors @ p, fall, held)
