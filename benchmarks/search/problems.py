"""The smooth problems of the tables, each with value, gradient and Hessian, written for NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

ABOVE = 1e-6  # the optimum, at which a run has arrived on the digits
GRADIENT = 1e-8  # the gradient at which it has arrived on Rosenbrock's function


class Rosenbrock:
    """Σ 100 (x[i+1] - x[i]²)² + (1 - x[i])² (Rosenbrock 1960), from (-1.2, 1, -1.2, 1, …); 0 at (1, …, 1).

    From four coordinates on it has a local minimum near (-1, 1, …, 1) with the value 3.99 or so.
    """

    least = 0.0

    def __init__(self, n: int) -> None:
        self.name = f"Rosenbrock {n}"
        self.start = np.tile([-1.2, 1.0], (n + 1) // 2)[:n]

    def value(self, x: np.ndarray) -> float:
        return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())

    def gradient(self, x: np.ndarray) -> np.ndarray:
        bend = x[1:] - x[:-1] ** 2
        g = np.zeros_like(x)
        g[:-1] = -400 * bend * x[:-1] - 2 * (1 - x[:-1])
        g[1:] += 200 * bend
        return g

    def product(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        diagonal = np.zeros_like(x)
        diagonal[:-1] = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
        diagonal[1:] += 200
        beside = -400 * x[:-1]
        hv = diagonal * v
        hv[:-1] += beside * v[1:]
        hv[1:] += beside * v[:-1]
        return hv

    def hessian(self, x: np.ndarray) -> np.ndarray:
        return np.stack([self.product(x, unit) for unit in np.eye(len(x))])

    def arrived(self, f: float, g: np.ndarray | None = None) -> bool:
        return g is not None and bool(np.abs(g).max() <= GRADIENT)


class Softmax:
    """Softmax regression on the 1797 handwritten digits of scikit-learn, full batch, with λ/2 ‖x‖², λ = 1e-3.

    650 coordinates: a weight for each of 64 pixels, scaled to [0, 1], and 10 classes, and 10 offsets.
    """

    name = "softmax digits"

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        self.rows = np.hstack([np.asarray(pixels) / 16, np.ones((len(pixels), 1))])
        self.hot = np.eye(10)[labels]
        self.start = np.zeros(650)
        self.least = self._least()

    def _chances(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = self.rows @ x.reshape(65, 10)
        scores = scores - scores.max(axis=1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return logs, np.exp(logs)

    def value(self, x: np.ndarray) -> float:
        logs, _ = self._chances(x)
        return float(-(logs * self.hot).sum() / len(self.rows) + 5e-4 * (x @ x))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        _, chances = self._chances(x)
        return (self.rows.T @ (chances - self.hot)).ravel() / len(self.rows) + 1e-3 * x

    def product(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        _, chances = self._chances(x)
        along = self.rows @ v.reshape(65, 10)
        along = chances * (along - (chances * along).sum(axis=1, keepdims=True))
        return (self.rows.T @ along).ravel() / len(self.rows) + 1e-3 * v

    def hessian(self, x: np.ndarray) -> np.ndarray:
        return np.stack([self.product(x, unit) for unit in np.eye(len(x))])

    def arrived(self, f: float, g: np.ndarray | None = None) -> bool:
        return f <= self.least + ABOVE

    def _least(self) -> float:
        """The value at the optimum, by Newton steps from the start; the problem is convex."""
        from descend.search.names import build

        method = build("trust_ncg", self.start, tol=1e-12)
        while (wanted := method.wanted) is not None:
            method.answer(answer(self, wanted))
        return method.best.f


def answer(problem: Any, wanted: Any) -> Any:
    """What a method wants of one of these problems."""
    x = wanted.points[0]
    match wanted.what:
        case "values":
            return np.array([problem.value(point) for point in wanted.points])
        case "gradient":
            return problem.value(x), problem.gradient(x)
        case "product":
            return problem.product(x, wanted.along)
    return problem.hessian(x)
