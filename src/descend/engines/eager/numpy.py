"""The oracle: the rule's own function on float64 arrays. No tracer, no cleverness.

Every other engine is measured against this one. It defines what a rule computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import ops
from ...core.rule import Rule
from ..base import Engine, Step, Work, finite, write
from ..noise import ARRAYS, normal, spectral_bound
from .many import evaluate

_AXIS = {"row": -1, "column": -2}


def _total(x: np.ndarray, over: str) -> Any:
    return np.sum(x, axis=_AXIS[over], keepdims=True) if over in _AXIS else np.sum(x, dtype=np.float64)


def _factors(of: Callable[[np.ndarray], tuple[np.ndarray, ...]]) -> Callable[[np.ndarray], Any]:
    """Of numbers that are not finite the factors are NaN: LAPACK may say so, or end with an error."""

    def word(x: np.ndarray) -> Any:
        finite = np.isfinite(x).all()
        made = list(of(x if finite else np.eye(x.shape[-2], x.shape[-1])))
        made = made if finite else [np.full_like(a, math.nan) for a in made]
        return tuple(made) if len(made) > 1 else made[0]

    return word


def _solve_lower(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:  # a zero on the diagonal: infinities, of which only NaN is left
        return np.full_like(b, math.nan)


ops.register(
    np.ndarray,
    {
        **{w: getattr(np, w) for w in ("sqrt", "exp", "log", "tanh", "isfinite", "maximum", "minimum", "where")},
        "sign": np.sign,
        "abs": np.abs,
        "when": lambda condition, then, otherwise: then() if condition else otherwise(),
        "total": _total,
        "count": lambda x, over: x.shape[_AXIS[over]] if over in _AXIS else x.size,
        **ARRAYS,
        "matmul": np.matmul,
        "transpose": lambda x: np.swapaxes(x, -1, -2),
        "eigh": _factors(lambda x: tuple(np.linalg.eigh(x))),
        "qr": _factors(lambda x: (np.linalg.qr(x)[0],)),
        "diagonal": np.diagonal,
        "order": lambda d: np.argsort(-d, kind="stable"),
        "upper": np.triu,
        "solve_lower": _solve_lower,
        "spectral_bound": spectral_bound,
        "noise": lambda x, t, seed: normal(np.arange(x.size), t, seed, np).reshape(x.shape),
    },
)
ops.register(np.generic, ops.words_of(np.zeros(1)))


class NumpyStep(Step):
    def __init__(self, works: list[Work], guard: bool) -> None:
        self.works, self.guard = works, guard

    def run(self, threads: int) -> bool:
        if self.guard and not finite(self.works):
            return False
        with np.errstate(all="ignore"):  # inf and NaN are values here; the vocabulary says which
            new = evaluate(self.works, lambda work, array: np.asarray(array, np.float64), np.float64)
        write(self.works, new)
        return True


class NumpyEngine(Engine):
    name = "numpy"
    on_numpy = True

    def refuses(self, rule: Rule, dtype: str) -> str | None:
        return None if dtype in ("float64", "float32") else f"NumPy has no {dtype}"

    def prepare(self, works: list[Work], guard: bool = False, capturable: bool = False) -> Step:
        return NumpyStep(works, guard)


ENGINE = NumpyEngine()
