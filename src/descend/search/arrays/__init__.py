"""The arrays that the function of a search is written for: NumPy's, torch's, JAX's."""

import sys
from typing import Any

from .base import Arrays
from .numpy import NumpyArrays


def like(x0: Any) -> Arrays:
    """The arrays that x0 is one of; what is no array of torch or JAX is NumPy's."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")  # who has such an array has loaded it
    if torch is not None and isinstance(x0, torch.Tensor):
        from .torch import TorchArrays

        return TorchArrays(x0)
    if jax is not None and isinstance(x0, jax.Array):
        from .jax import JaxArrays

        return JaxArrays(x0)
    return NumpyArrays(x0)
