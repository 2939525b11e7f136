"""Works of NumPy arrays: how their state begins, where it lies, and the points that a rule makes of it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..core.init import Init
from ..core.rule import Rule
from ..core.settings import taken_by
from .base import Row, Work
from .eager.many import at_point
from .eager.numpy import ENGINE as ENGINE  # registers the words of the vocabulary for arrays


def begun(rule: Rule, params: list[np.ndarray], settings: dict[str, float], dtype: str = "float64") -> Work:
    """A Work on these arrays, with state that has not begun."""
    work = Work(rule, dtype, [p.size for p in params], [Row(0, settings)], np.zeros(len(params), np.int64))
    work.arrays["p"] = params
    for slot in rule.slots:
        if slot.init.is_number:
            work.numbers[slot.name] = np.full(len(params), float(slot.init.first(settings)))
        else:
            work.arrays[slot.name] = [first(slot.init, p, settings) for p in params]
    return work


def first(init: Init, p: np.ndarray, settings: Mapping[str, float]) -> np.ndarray:
    """What state of an array holds before the first step."""
    if init.fill == "p":
        return p.copy()
    fill, shape = init.first(settings) if init.fill != "g" else 0.0, init.shape_for(p.shape)
    return fill * np.eye(shape[0], dtype=p.dtype) if init.is_square else np.full(shape, fill, p.dtype)


def take_first_gradients(work: Work) -> None:
    """Begin the state that copies the first gradient; also of tensors."""
    for slot in work.rule.slots:
        if slot.init.fill == "g":
            for state, g in zip(work.arrays[slot.name], work.arrays["g"], strict=True):
                state[...] = g


def address(work: Work) -> None:
    """Tell where the arrays are, which may be told again for other gradients."""
    if work.addresses is None:
        work.addresses = np.array([[a.ctypes.data for a in work.arrays[n]] for n in work.names], np.int64)
    work.addresses[1] = [g.ctypes.data for g in work.arrays["g"]]


def point_of(point: Callable[..., Any] | None, work: Work) -> list[Any]:
    """Of each tensor the point that a rule's function makes of it, its state and the settings."""
    if point is None:
        return work.arrays["p"]
    slots = [(work.arrays | work.numbers)[slot.name] for slot in work.rule.slots]
    settings = [taken_by(point, row.settings) for row in work.rows]
    tensors = zip(work.row_of, work.arrays["p"], *slots, strict=True)
    return [at_point(point, p, state, settings[row]) for row, p, *state in tensors]
