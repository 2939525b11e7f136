"""Modifiers: what stands before or behind a rule in a ``chain``.

    chain(clip_norm(1.0), decay_l2(1e-4), momentum_accumulation)

is one rule, hence one kernel (and one more pass where a norm must be known first).
"""

from ..core.ops import maximum, minimum, norm
from ..core.rule import before


@before
def negate(p, g):
    """Negate: turn descent into ascent (torch's ``maximize=True``)."""
    return -g


@before
def decay_l2(p, g, *, weight_decay=1e-2):
    """L2 decay: the gradient of weight_decay/2 * |p|² joins the gradient (torch.optim.SGD, Adam)."""
    return g + weight_decay * p


@before
def clip_value(p, g, *, max_value=1.0):
    """Clip by value: every coordinate of the gradient into [-max_value, max_value] (torch: clip_grad_value_)."""
    return minimum(maximum(g, -max_value), max_value)


@before
def clip_norm(p, g, *, max_norm=1.0):
    """Clip by global norm: all gradients shrink together (Pascanu et al. 2013; torch: clip_grad_norm_).

    Dialect: torch's, which divides by (norm + 1e-6) and never enlarges.
    """
    return g * minimum(max_norm / (norm(g, over="all") + 1e-6), 1.0)
