"""The streaming limit: how fast this machine updates k arrays in place from one more that is read.

Written without the engine it judges. Arrays are walked in short blocks, one array after the other, so
that each loop has two arrays (which every compiler vectorises) while a gradient block stays in the L1 cache.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, fastmath={"contract"})
def _add(a: Any, g: Any, lo: int, hi: int) -> None:
    for j in range(lo, hi):
        a[j] = a[j] + np.float32(1e-9) * g[j]


@numba.njit(nogil=True)
def _stream(arrays: Any, g: Any, lo: int, hi: int, block: int) -> None:
    for begin in range(lo, hi, block):
        end = min(begin + block, hi)
        for a in arrays:
            _add(a, g, begin, end)


def stream(arrays: tuple[np.ndarray, ...], g: np.ndarray, threads: int) -> Callable[[], None]:
    """A function that adds a little of ``g`` to every array in place, with so many threads."""

    def call() -> None:
        bounds = [len(g) * i // threads for i in range(threads + 1)]
        parts = [
            threading.Thread(target=_stream, args=(arrays, g, lo, hi, 2048))
            for lo, hi in zip(bounds[1:-1], bounds[2:], strict=True)
        ]
        for part in parts:
            part.start()
        _stream(arrays, g, bounds[0], bounds[1], 2048)
        for part in parts:
            part.join()

    return call
