"""The streaming limit: how fast this machine updates k arrays in place from one more that is read.

One plain loop per k, static halves for the threads: no chunk table, no scalars table, no rule. It shares
with the engine only the instructions that load and store an element.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from ..engines import numba_words as words


@functools.cache
def _kernel(arrays: int) -> Callable[..., None]:
    scope: dict[str, Any] = {"s": np.float32(1e-9)}
    for i in range(arrays + 1):
        scope[f"load{i}"] = words.loader(i, arrays + 1, "float32")
        scope[f"store{i}"] = words.storer(i, arrays + 1, "float32")
    names = [f"a{i}" for i in range(arrays + 1)]  # the last is only read
    text = [
        f"def kernel({', '.join(names)}, lo, hi):",
        " for j in range(lo, hi):",
        f"  g = load{arrays}(a{arrays}, j)",
    ]
    text += [f"  store{i}(a{i}, j, load{i}(a{i}, j) + s * g)" for i in range(arrays)]
    exec("\n".join(text), scope)
    return numba.njit(numba.void(*[numba.int64] * (arrays + 3)), nogil=True)(scope["kernel"])


def stream(arrays: tuple[np.ndarray, ...], g: np.ndarray, threads: int) -> Callable[[], None]:
    """A function that adds a little of ``g`` to every array (float32) in place, with so many threads."""
    kernel = _kernel(len(arrays))
    kept = (*arrays, g)
    addresses = [a.ctypes.data for a in kept]
    bounds = [len(g) * i // threads for i in range(threads + 1)]

    def call() -> None:
        parts = [
            threading.Thread(target=kernel, args=(*addresses, lo, hi)) for lo, hi in itertools.pairwise(bounds[1:])
        ]
        for part in parts:
            part.start()
        kernel(*addresses, bounds[0], bounds[1])
        assert len(kept) == len(addresses)  # the closure owns the arrays behind the addresses
        for part in parts:
            part.join()

    return call
