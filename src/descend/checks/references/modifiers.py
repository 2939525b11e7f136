"""Changes of the gradients before a rule sees them: (x list, g list) -> new g list."""

import math
from collections.abc import Sequence

import numpy as np

from .registry import Array, modifier


@modifier
def clip_norm(x: Sequence[Array], g: Sequence[Array], *, max_norm: float) -> list[Array]:
    """Pascanu, Mikolov & Bengio 2013 over all tensors; torch: clip_grad_norm_ adds 1e-6 to the norm."""
    squares = 0.0
    for g_i in g:
        squares += float(np.sum(g_i**2))
    factor = max_norm / (math.sqrt(squares) + 1e-6)
    if factor > 1:
        factor = 1.0
    return [np.asarray(factor * g_i) for g_i in g]


@modifier
def clip_value(x: Sequence[Array], g: Sequence[Array], *, max_value: float) -> list[Array]:
    """torch.nn.utils.clip_grad_value_: every entry into [-max_value, max_value]."""
    return [np.minimum(np.maximum(g_i, -max_value), max_value) for g_i in g]


@modifier
def decay_l2(x: Sequence[Array], g: Sequence[Array], *, weight_decay: float) -> list[Array]:
    """The gradient of weight_decay/2 * |x|^2 added to g."""
    return [np.asarray(g_i + weight_decay * x_i) for x_i, g_i in zip(x, g, strict=True)]
