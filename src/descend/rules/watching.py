"""What a step can measure of itself: stages that change nothing and leave numbers, one of each per tensor.

Their sums ride along with the pass that writes, so that they cost arithmetic and next to no time.
``descend.torch`` puts them into the chain of an optimizer that was given ``telemetry=``.
"""

from ..core.init import passing, passing_number
from ..core.ops import isfinite, norm, total, where
from ..core.rule import after, before


@before
def watch_gradient(p, g, gradient_norm=passing_number, nonfinite=passing_number):
    """Watch the gradient: its norm, and how many of its elements are NaN or infinite."""
    return g, norm(g), total(where(isfinite(g), 0.0, 1.0))


@after
def watch_step(p, q, g, update_norm=passing_number, weight_norm=passing_number):
    """Watch the step: the norm of the update, and of the weights behind it."""
    return q, norm(q - p), norm(q)


@after
def watch_turn(p, q, g, last_update=passing, cosine=passing_number):
    """Watch the direction: the cosine of the angle between this update and the last (two more streams of memory)."""
    u = q - p
    return q, u, total(u * last_update) / (norm(u) * norm(last_update))


STAGES = (watch_gradient, watch_step, watch_turn)
