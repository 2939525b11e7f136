"""The oracle: the rule's own function on float64 arrays. No tracer, no cleverness.

Every other engine is measured against this one. It defines what a rule computes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core import ops
from ..core.rule import Rule
from .base import Work
from .many import evaluate


ops.register(
    np.ndarray,
    {
        **{w: getattr(np, w) for w in ("sqrt", "exp", "log", "tanh", "isfinite", "maximum", "minimum", "where")},
        "sign": np.sign,
        "abs": np.abs,
        "total": lambda x, over: np.sum(x, dtype=np.float64),
        "count": lambda x, over: x.size,
    },
)
ops.register(np.generic, ops.words_of(np.zeros(1)))


class NumpyEngine:
    name = "numpy"
    on_memory = False

    def refuses(self, rule: Rule, dtype: str) -> str | None:
        return None if dtype in ("float64", "float32") else f"NumPy has no {dtype}"

    def prepare(self, works: list[Work], guard: bool = False) -> Callable[[int], bool]:
        return lambda threads: self._step(works, guard)

    def _step(self, works: list[Work], guard: bool) -> bool:
        if guard and not all(np.isfinite(g).all() for work in works for g in work.arrays["g"]):
            return False
        with np.errstate(all="ignore"):  # inf and NaN are values here; the vocabulary says which
            new = evaluate(works, lambda work, array: np.asarray(array, np.float64), np.float64)
        for work, values in zip(works, new, strict=True):
            for name, items in values.items():
                if name in work.numbers:
                    work.numbers[name][:] = items
                else:
                    for array, item in zip(work.arrays[name], items, strict=True):
                        array[...] = item
        return True


ENGINE = NumpyEngine()
