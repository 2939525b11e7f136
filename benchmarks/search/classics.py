"""The classics of unconstrained minimization, with which a method is judged as a whole and not on one valley.

From Moré, Garbow and Hillstrom (1981, "Testing unconstrained optimization software", ACM TOMS 7), by their numbers,
with their starting points: sums of squares, written for torch, whose derivatives are exact. Besides, a longer Wood's
function, a logistic regression, and a chain of double wells, where the curvature is negative at the start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from descend.search.problem import Problem

from .calls import METHODS, Count, ours, scipys

GRADIENT = 1e-6  # at which a run has arrived, times the largest of 1 and the value


class Classic:
    """A function of a float64 tensor with a start, and what ``calls`` wants of a problem."""

    def __init__(self, name: str, start: list[float], f: Callable[[Tensor], Tensor]) -> None:
        self.name, self.start = name, np.array(start)
        everywhere = np.full(len(start), -np.inf), np.full(len(start), np.inf)
        self._problem = Problem(f, torch.tensor(start, dtype=torch.float64), everywhere)
        self._last: tuple[bytes, float, np.ndarray] = b"", 0.0, self.start
        self.first = self.value(self.start)

    def value(self, x: np.ndarray) -> float:
        if self._last[0] != x.tobytes():
            self._last = x.tobytes(), *self._problem.gradient(x)
        return self._last[1]

    def gradient(self, x: np.ndarray) -> np.ndarray:
        self.value(x)
        return self._last[2]

    def product(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        return self._problem.product(x, v)

    def hessian(self, x: np.ndarray) -> np.ndarray:
        return self._problem.hessian(x)

    def arrived(self, f: float, g: np.ndarray | None = None) -> bool:
        if g is None or not f <= self.first:  # far away, a huge value makes any gradient small beside it
            return False
        return float(np.abs(g).max()) <= GRADIENT * max(1.0, abs(f))


Residuals = Callable[[Tensor], Tensor]


def squares(residuals: Residuals) -> Callable[[Tensor], Tensor]:
    return lambda x: residuals(x).square().sum()


def freudenstein_roth(x: Tensor) -> Tensor:
    a, b = x
    return torch.stack([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b])


def powell_badly_scaled(x: Tensor) -> Tensor:
    return torch.stack([1e4 * x[0] * x[1] - 1, (-x[0]).exp() + (-x[1]).exp() - 1.0001])


def brown_badly_scaled(x: Tensor) -> Tensor:
    return torch.stack([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


def beale(x: Tensor) -> Tensor:
    i = torch.arange(1, 4, dtype=x.dtype)
    return torch.tensor([1.5, 2.25, 2.625], dtype=x.dtype) - x[0] * (1 - x[1] ** i)


def helical_valley(x: Tensor) -> Tensor:
    turn = torch.atan2(x[1], x[0]) / (2 * math.pi)
    return torch.stack([10 * (x[2] - 10 * turn), 10 * ((x[0] ** 2 + x[1] ** 2).sqrt() - 1), x[2]])


def bard(x: Tensor) -> Tensor:
    y = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]
    u = torch.arange(1, 16, dtype=x.dtype)
    v = 16 - u
    return torch.tensor(y, dtype=x.dtype) - (x[0] + u / (v * x[1] + torch.minimum(u, v) * x[2]))


def gaussian(x: Tensor) -> Tensor:
    half = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521]
    t = (8 - torch.arange(1, 16, dtype=x.dtype)) / 2
    return x[0] * (-x[1] * (t - x[2]) ** 2 / 2).exp() - torch.tensor([*half, 0.3989, *half[::-1]], dtype=x.dtype)


def box(x: Tensor) -> Tensor:
    t = torch.arange(1, 11, dtype=x.dtype) / 10
    return (-t * x[0]).exp() - (-t * x[1]).exp() - x[2] * ((-t).exp() - (-10 * t).exp())


def powell_singular(x: Tensor) -> Tensor:
    a, b, c, d = x.reshape(-1, 4).T
    return torch.cat([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2])


def wood(x: Tensor) -> Tensor:
    a, b, c, d = x.reshape(-1, 4).T
    return torch.cat([10 * (b - a**2), 1 - a, 90**0.5 * (d - c**2), 1 - c, 10**0.5 * (b + d - 2), (b - d) / 10**0.5])


def kowalik_osborne(x: Tensor) -> Tensor:
    y = [0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246]
    u = torch.tensor([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625], dtype=x.dtype)
    return torch.tensor(y, dtype=x.dtype) - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


def brown_dennis(x: Tensor) -> Tensor:
    t = torch.arange(1, 21, dtype=x.dtype) / 5
    return (x[0] + t * x[1] - t.exp()) ** 2 + (x[2] + x[3] * t.sin() - t.cos()) ** 2


def biggs(x: Tensor) -> Tensor:
    t = torch.arange(1, 14, dtype=x.dtype) / 10
    y = (-t).exp() - 5 * (-10 * t).exp() + 3 * (-4 * t).exp()
    return x[2] * (-t * x[0]).exp() - x[3] * (-t * x[1]).exp() + x[5] * (-t * x[4]).exp() - y


def watson(x: Tensor) -> Tensor:
    t, j = (torch.arange(1, 30, dtype=x.dtype) / 29)[:, None], torch.arange(len(x), dtype=x.dtype)
    slope = (j[1:] * x[1:] * t ** (j[1:] - 1)).sum(1)
    return torch.cat([slope - (x * t**j).sum(1) ** 2 - 1, x[:1], (x[1] - x[0] ** 2 - 1)[None]])


def penalty_1(x: Tensor) -> Tensor:
    return torch.cat([1e-5**0.5 * (x - 1), (x.square().sum() - 0.25)[None]])


def variably_dimensioned(x: Tensor) -> Tensor:
    moment = (torch.arange(1, len(x) + 1, dtype=x.dtype) * (x - 1)).sum()
    return torch.cat([x - 1, moment[None], moment[None] ** 2])


def trigonometric(x: Tensor) -> Tensor:
    i = torch.arange(1, len(x) + 1, dtype=x.dtype)
    return len(x) - x.cos().sum() + i * (1 - x.cos()) - x.sin()


def brown_almost_linear(x: Tensor) -> Tensor:
    return torch.cat([x[:-1] + x.sum() - (len(x) + 1), x.prod()[None] - 1])


def boundary_value(x: Tensor) -> Tensor:
    h = 1 / (len(x) + 1)
    t = h * torch.arange(1, len(x) + 1, dtype=x.dtype)
    padded = torch.nn.functional.pad(x, (1, 1))
    return 2 * x - padded[:-2] - padded[2:] + h**2 * (x + t + 1) ** 3 / 2


def broyden_tridiagonal(x: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(x, (1, 1))
    return (3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1


def logistic(x: Tensor) -> Tensor:
    """Of 60 samples that a line nearly separates, with a little decay."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(60, len(x), generator=generator, dtype=x.dtype) * torch.logspace(0, 2, len(x), dtype=x.dtype)
    signs = torch.sign(rows[:, 0] + 0.3 * torch.randn(60, generator=generator, dtype=x.dtype))
    return torch.nn.functional.softplus(-signs * (rows @ x)).mean() + 1e-4 * x.square().sum()


def wells(x: Tensor) -> Tensor:
    """A double well in each coordinate, coupled to its neighbours; a saddle near the start."""
    return ((x.square() - 1) ** 2).sum() / 4 + 2 * (x[1:] - x[:-1]).square().sum() + 0.1 * x.sum()


def problems() -> Iterator[Classic]:
    alternating, cycle = [3.0, -1.0, 0.0, 1.0], [-3.0, -1.0, -3.0, -1.0]
    yield Classic("2 Freudenstein-Roth", [0.5, -2], squares(freudenstein_roth))
    yield Classic("3 Powell badly scaled", [0, 1], squares(powell_badly_scaled))
    yield Classic("4 Brown badly scaled", [1, 1], squares(brown_badly_scaled))
    yield Classic("5 Beale", [1, 1], squares(beale))
    yield Classic("7 helical valley", [-1, 0, 0], squares(helical_valley))
    yield Classic("8 Bard", [1, 1, 1], squares(bard))
    yield Classic("9 Gaussian", [0.4, 1, 0], squares(gaussian))
    yield Classic("12 Box", [0, 10, 20], squares(box))
    yield Classic("13 Powell singular", alternating, squares(powell_singular))
    yield Classic("14 Wood", cycle, squares(wood))
    yield Classic("15 Kowalik-Osborne", [0.25, 0.39, 0.415, 0.39], squares(kowalik_osborne))
    yield Classic("16 Brown-Dennis", [25, 5, -5, -1], squares(brown_dennis))
    yield Classic("18 Biggs", [1, 2, 1, 1, 1, 1], squares(biggs))
    yield Classic("20 Watson 6", [0.0] * 6, squares(watson))
    yield Classic("22 Powell singular 20", alternating * 5, squares(powell_singular))
    yield Classic("23 penalty 10", [float(i) for i in range(1, 11)], squares(penalty_1))
    yield Classic("25 variably dimensioned 10", [1 - i / 10 for i in range(1, 11)], squares(variably_dimensioned))
    yield Classic("26 trigonometric 10", [0.1] * 10, squares(trigonometric))
    yield Classic("27 Brown almost linear 10", [0.5] * 10, squares(brown_almost_linear))
    yield Classic("28 boundary value 20", [(t := i / 21) * (t - 1) for i in range(1, 21)], squares(boundary_value))
    yield Classic("30 Broyden tridiagonal 30", [-1.0] * 30, squares(broyden_tridiagonal))
    yield Classic("Wood 40", cycle * 10, squares(wood))
    yield Classic("logistic 20", [0.0] * 20, logistic)
    yield Classic("wells 30", [1e-3 * (-1) ** i for i in range(30)], wells)


LIMIT = 3000  # values with gradients, after which a run has failed


def rows() -> Iterator[list[str]]:
    """A method, how many of the classics it failed, its calls on the others and all; the same of SciPy's."""
    everything = list(problems())
    for name, theirs in METHODS.items():
        cells = [name, *summed([ours(problem, name, LIMIT) for problem in everything])]
        other = summed([scipys(problem, theirs, LIMIT) for problem in everything]) if theirs else ("", "", "")
        yield [*cells, theirs or "", *other]


def summed(counts: list[Count]) -> tuple[str, str, str]:
    """Failures; geometric means of values with gradients and of all calls, where a failure counts as LIMIT."""
    fg = [count.fg if count.arrived else LIMIT for count in counts]
    calls = [count.fg + count.hessians + count.products if count.arrived else LIMIT for count in counts]
    means = (math.exp(float(np.log(many).mean())) for many in (fg, calls))
    return str(sum(not count.arrived for count in counts)), *(f"{mean:.1f}" for mean in means)  # type: ignore[return-value]
