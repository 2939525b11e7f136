"""A function of somebody's as a surface: f(x, y) of numbers, NumPy arrays, torch tensors or JAX arrays."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core import script
from ...search.arrays import like
from ...search.arrays.base import Undifferentiable
from .surface import Point, Surface

RULES = ("gradient_descent", "momentum_accumulation", "nesterov_accumulation", "adagrad", "rmsprop", "adam")
FRAME = ((-5.0, 5.0), (-5.0, 5.0))


def own(
    f: Callable[[Any, Any], Any],
    frame: tuple[Point, Point] = FRAME,
    start: Point | None = None,
    minima: Sequence[Point] = (),
    name: str = "",
    lr: float = 0.01,
    steps: int = 200,
) -> Surface:
    """f as a surface.

    A function whose module has torch or JAX in it is called with their arrays and differentiated by them, any other
    with NumPy's, or with numbers if it takes no arrays, and differentiated by central differences.

    Args:
        frame: ((left, right), (low, high)) of the picture. start: default: a fifth of the frame from its corner.
        minima: default: the lowest of a grid of 101 × 101 in the frame, refined; several where they are equally low.
        lr, steps: of a run that does not say.
    Raises:
        ValueError: f does not give a number; the message says where and why.
    """
    (left, right), (low, high) = frame = tuple((float(a), float(b)) for a, b in frame)  # pyright: ignore[reportAssignmentType]
    if not (left < right and low < high):
        raise ValueError(f"frame must be ((left, right), (low, high)), ascending; got {frame!r}")
    name = name or getattr(f, "__name__", "f").strip("<>")
    start = start or (left + 0.2 * (right - left), low + 0.2 * (high - low))
    zeros, many = library(f)
    arrays = like(zeros)

    def one(p: Any) -> Any:
        return f(p[0], p[1])

    def number(x: float, y: float) -> float:
        return float(arrays.numbers(one(arrays.array(np.array([x, y])))).reshape(()))

    try:
        number(*start)
    except Exception as error:
        raise ValueError(f"{name}(x, y) at {start} gave no number: {type(error).__name__}: {error}") from error

    def or_nan(x: float, y: float) -> float:
        try:
            return number(x, y)
        except (ArithmeticError, ValueError):  # as math has it where there is no value
            return np.nan

    def value(x: Any, y: Any) -> Any:
        try:
            found = arrays.numbers(f(many(x), many(y)))
            if found.shape == np.shape(x):
                return found
        except Exception:  # it is written for single numbers
            pass
        return np.vectorize(or_nan, otypes=[np.float64])(x, y)

    h, k = 1e-6 * (right - left), 1e-6 * (high - low)

    def gradient(x: float, y: float) -> Point:
        try:
            u, v = arrays.gradient(one, np.array([x, y]))[1].tolist()
        except Undifferentiable:
            u = (number(x + h, y) - number(x - h, y)) / (2 * h)
            v = (number(x, y + k) - number(x, y - k)) / (2 * k)
        return u, v

    near = 0.01 * max(right - left, high - low)
    made = Surface(name, name, "", value, gradient, frame, start, tuple(minima), "", RULES, lr, steps, near)
    return made if minima else Surface(**{**vars(made), "minima": lowest(made)})


def lowest(surface: Surface) -> tuple[Point, ...]:
    """The lowest points of a grid, each refined by a search around it with steps that halve."""
    x, y, z = surface.heights(101)
    walled = np.pad(z, 1, constant_values=np.inf)
    around = [walled[i : i + 101, j : j + 101] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    low = (z < np.min(around, axis=0)) | (z == z.min())
    rows, columns = np.nonzero(low & (z <= z.min() + 0.01 * np.ptp(z)))
    order = np.argsort(z[rows, columns], kind="stable")[:8]
    found = [_refined(surface, (float(x[columns[k]]), float(y[rows[k]])), float(x[1] - x[0])) for k in order]
    best = min(value for value, _ in found)
    return tuple(point for value, point in found if value <= best + 1e-9 * float(np.ptp(z)))


def _refined(surface: Surface, at: Point, step: float) -> tuple[float, Point]:
    best = float(surface.value(*at))
    for _ in range(80):
        around = [(at[0] + a * step, at[1] + b * step) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        inside = surface.holds(np.array(around))
        values = [
            float(surface.value(*point)) if there else np.inf for point, there in zip(around, inside, strict=True)
        ]
        if min(values) < best:
            best = min(values)
            at = around[values.index(best)]
        else:
            step /= 2
    return best, at


def library(f: Callable[..., Any]) -> tuple[Any, Callable[[Any], Any]]:
    """Two numbers of the library that the function is written with, and what makes its arrays."""
    used = {getattr(thing, "__name__", "").partition(".")[0] for thing in getattr(f, "__globals__", {}).values()}
    if "torch" in used:
        import torch

        return torch.zeros(2, dtype=torch.float64), lambda a: torch.tensor(a, dtype=torch.float64)
    if "jax" in used:
        import jax

        return jax.numpy.zeros(2), jax.numpy.asarray
    return np.zeros(2), np.asarray


def from_file(path: Path, name: str) -> Surface:
    """The surface of a function in a Python file, which may also say FRAME, START, MINIMA, LR and STEPS.

    Raises:
        ValueError: the file cannot be run, has no such function, or that gives no number.
    """
    module = script.run(path, stay=True)
    f = getattr(module, name, None)
    if not callable(f):
        raise ValueError(f"{path.name} has no function {name}(x, y)")
    said = {word.lower(): getattr(module, word) for word in ("FRAME", "START", "MINIMA", "LR", "STEPS")
            if hasattr(module, word)}  # fmt: skip
    return own(f, name=name, **said)
