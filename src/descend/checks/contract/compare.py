"""How the checks compare: what anybody sees of a step, where two runs part, and by how many units in the last place."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.rule import Rule
from ...core.settings import taken_by
from .runs import Snapshot


def points(rule: Rule, after: Snapshot, settings: dict[str, float]) -> list[np.ndarray]:
    """All that anybody sees of a step: the parameters, and the gradient's and the shipped point."""
    seen = list(after["p"])
    for point in (rule.gradient_point, rule.shipped_point):
        if point is not None:
            wanted = taken_by(point, settings)
            state = [after[slot.name] for slot in rule.slots]
            seen += [np.asarray(point(p, *own, **wanted)) for p, *own in zip(after["p"], *state, strict=True)]
    return seen


def differ(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> bool:
    """Whether any bit differs; NaN equals NaN."""
    return not all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


def all_of(after: Snapshot) -> list[np.ndarray]:
    return [array for arrays in after.values() for array in arrays]


def first_difference(one: Sequence[Snapshot], other: Sequence[Snapshot], begun: int = 1) -> str:
    """Where two runs first part, in words; empty if they never do."""
    for t, (a, b) in enumerate(zip(one, other, strict=True), begun):
        for name in a:
            for x, y in zip(a[name], b[name], strict=True):
                if not np.array_equal(x, y, equal_nan=True):
                    at = np.unravel_index(int(np.argmax((x != y) & ~((x != x) & (y != y)))), x.shape)
                    return f"{place(t, name, x.shape, at)} is {y[at]:.17g} and not {x[at]:.17g}"
    return ""


def place(t: int, name: str, shape: tuple[int, ...], at: Sequence[Any]) -> str:
    """``step 3, m[0, 1] of the tensor of shape (4, 3)``."""
    index = f"[{', '.join(str(int(i)) for i in at)}]" if len(shape) else ""
    return f"step {t}: {name}{index} of the tensor of shape {shape}"


def ulps(ours: Snapshot, theirs: Snapshot, dtype: str = "float64") -> float:
    """The largest difference in units in the last place of a tensor's largest number; inf if only one is finite."""
    worst = 0.0
    for name in ours:
        for x, y in zip(ours[name], theirs[name], strict=True):
            if not np.array_equal(np.isfinite(x), np.isfinite(y)):
                return float("inf")
            finite = np.isfinite(x)
            if finite.any():
                ulp = np.spacing(np.abs(x[finite]).max().astype(dtype))
                worst = max(worst, float(np.abs(x - y)[finite].max() / ulp))
    return worst
