"""Normal numbers as a function of step, seed and place: a hash, so that no engine keeps a generator's state.

The arithmetic is that of 32-bit unsigned integers inside 64-bit ones; it is written with operators alone and runs
on NumPy arrays and torch tensors alike.
"""

import math
from collections.abc import Callable
from typing import Any

_LOW = 0xFFFFFFFF


def _mixed(x: Any) -> Any:
    """The integer hash "lowbias32" of Chris Wellons' hash-prospector: every input bit flips half of the output's."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _LOW
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _LOW
    return x ^ (x >> 16)


def normal(index: Any, t: float, seed: float, library: Any) -> Any:
    """Standard normal numbers in float64 (Box and Muller 1958), one for each of the integers ``index`` (int64).

    ``library``: numpy or torch.
    """
    key = _mixed((int(t) + 0x9E3779B9 * int(seed)) & _LOW)
    u, v = (_mixed((_mixed((2 * index + i) & _LOW) + key) & _LOW) for i in (0, 1))
    # torch would make an integer and a half a number of its default type
    u, v = ((library.asarray(x, dtype=library.float64) + 0.5) / 2.0**32 for x in (u, v))
    return library.sqrt(-2.0 * library.log(u)) * library.cos(2.0 * math.pi * v)


ARRAYS: dict[str, Callable[..., Any]] = {
    "matrix": lambda x: x.reshape(x.shape[0], math.prod(x.shape[1:])),
    "shaped": lambda x, like: x.reshape(like.shape),
    "rows": lambda x: float(x.shape[-2]),
    "columns": lambda x: float(x.shape[-1]),
    "by_columns": lambda x, order: x[:, order],
    "by_rows": lambda x, order: x[order],
}
"""Words that mean the same for the arrays of every library."""


def spectral_bound(a: Any) -> Any:
    """At most the spectral norm of the symmetric ``a``, and seldom far below (Li's ``psgd_torch``)."""
    if 0 in a.shape:
        return a.sum()
    scale = abs(a).max()
    a = a / (scale + (scale == 0))
    x = a[:, (a * a).sum(0).argmax()] @ a
    size = (x @ x) ** 0.5
    y = (x / (size + (size == 0))) @ a
    return scale * (y @ y) ** 0.5
