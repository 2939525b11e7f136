"""Layer 2: the engines, loaded by name when they are asked for."""

import importlib
from collections.abc import Sequence

from .base import Engine

ENGINES = ("numpy", "torch", "llvm", "triton")
FUSED = "llvm"  # what "auto" means where it can
_WHERE = {
    "numpy": "eager.numpy",
    "torch": "eager.torch",
    "llvm": "llvm.engine",
    "triton": "triton.engine",
    "jax": "jax.engine",
}
OF_ARRAYS = ("llvm", "numpy", "jax")
"""Those that step NumPy arrays. The last steps no torch tensors; in JAX itself rules are ``descend.jax``."""
FORMER = {"numba": "llvm"}
"""A name from before -> the name; accepted for a while, here and wherever an engine is asked for."""


def asked_for(name: str, among: Sequence[str] = ENGINES, of: str = "") -> str:
    """The engine that is meant, or ``"auto"``.

    Args:
        among: those that may be. of: what is stepped, for the message.
    Raises:
        ValueError: there is none of the name (the message lists them).
    """
    meant = FORMER.get(name, name) if isinstance(name, str) else name
    if meant not in ("auto", *among):
        raise ValueError(f"unknown engine {name!r}{of}; choose one of auto, {', '.join(among)}")
    return meant


def load(name: str) -> Engine:
    """The engine of that name.

    Raises:
        ValueError: there is none (the message lists them). ImportError: what it needs is not installed.
    """
    name = FORMER.get(name, name)
    if name not in _WHERE:
        raise ValueError(f"unknown engine {name!r}; choose one of {', '.join(_WHERE)}")
    try:
        return importlib.import_module(f"{__name__}.{_WHERE[name]}").ENGINE
    except ImportError as error:
        needed = "llvmlite" if name == "llvm" else f"'descend[{name}]'"
        raise ImportError(f"engine {name!r} cannot run here ({error}); pip install {needed}") from error
