"""The second compiler: Numba, for kernels whose text ``native`` does not know. Slow to start, never kept on disk."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from . import numba_words as words
from .native_words import WIDTH

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def compiled(text: str, streams: tuple[str, ...], dtype: str) -> Callable[..., None]:
    """``kernel(addresses, chunks, scalars, partials, lo, hi)``, which takes the tables as arrays."""
    number = np.float64 if dtype == "float64" else np.float32
    scope: dict[str, Any] = {
        "math": math, "float64": np.float64, "select": words.select, "fma": words.fma,
        "add_any_order": words.add_any_order, "add_product_any_order": words.add_product_any_order,
        "fetch": words.fetch, "copysign": words.copysign,
        "zero": number(0), "one": number(1), "largest": np.finfo(number).max,
    }  # fmt: skip
    scope["power"] = numba.njit(**_OPTIONS)(lambda a, b: a**b)
    for index, name in enumerate(streams):
        kind = dtype if name in ("p", "g") else number.__name__
        scope[f"load_{name}"] = words.loader(index, len(streams), kind)
        scope[f"store_{name}"] = words.storer(index, len(streams), kind)
        scope[f"width_{name}"] = WIDTH[kind]
    exec(compile(text, "<descend kernel>", "exec"), scope)
    real = numba.float64 if dtype == "float64" else numba.float32
    signature = numba.void(
        numba.int64[:, ::1],
        numba.int64[:, ::1],
        real[:, ::1],
        numba.float64[:, ::1],
        numba.int64,
        numba.int64,
    )
    return numba.njit(signature, **_OPTIONS)(scope["kernel"])
