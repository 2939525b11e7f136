"""The arithmetic between passes: numbers in float64, one by one or as a column with one for each tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import ops

_HOST = {name: getattr(ops, name) for name in ("divide", "power", "absolute")}
_HOST |= {name: ops.NUMBERS[name] for name in ("sqrt", "exp", "log", "tanh", "sign", "isfinite")}
_HOST |= {name: ops.NUMBERS[name] for name in ("maximum", "minimum", "where")} | {"invert": lambda x: not x}
_ARRAYS = {"divide": np.divide, "power": np.power, "absolute": np.abs, "invert": np.logical_not}
_ARRAYS |= {name: getattr(np, name) for name in ("sqrt", "exp", "log", "tanh", "sign", "isfinite")}
_ARRAYS |= {name: getattr(np, name) for name in ("maximum", "minimum", "where")}


def compiled(text: str, arrays: bool) -> Callable[..., Any]:
    """The function ``host`` of a program's text; ``arrays``: for columns."""
    scope = dict(_ARRAYS if arrays else _HOST)
    exec(compile(text, "<descend host>", "exec"), scope)
    return scope["host"]
