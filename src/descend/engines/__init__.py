"""Layer 2: the engines, loaded by name when they are asked for."""

from __future__ import annotations

import importlib

from .base import Engine

ENGINES = ("numpy", "torch", "numba", "triton")
_WHERE = {
    "numpy": "eager.numpy",
    "torch": "eager.torch",
    "numba": "llvm.engine",
    "triton": "triton.engine",
    "jax": "jax.engine",
}
OF_ARRAYS = ("numba", "numpy", "jax")
"""Those that step NumPy arrays. The last steps no torch tensors; in JAX itself rules are ``descend.jax``."""


def load(name: str) -> Engine:
    """The engine of that name.

    Raises:
        ValueError: there is none (the message lists them). ImportError: what it needs is not installed.
    """
    if name not in (*ENGINES, *OF_ARRAYS):
        raise ValueError(f"unknown engine {name!r}; choose one of auto, {', '.join(ENGINES)}")
    try:
        return importlib.import_module(f"{__name__}.{_WHERE[name]}").ENGINE
    except ImportError as error:
        raise ImportError(f"engine {name!r} cannot run here ({error}); pip install 'descend[{name}]'") from error
