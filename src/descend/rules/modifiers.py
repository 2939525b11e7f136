"""Modifiers: what stands before or behind a rule in a ``chain``.

    chain(clip_norm(1.0), decay_l2(1e-4), momentum_accumulation)

is one rule, hence one kernel (and one more pass where a norm must be known first).
"""

from ..core.init import start
from ..core.ops import matrix, maximum, mean, minimum, norm, shaped, total, where
from ..core.rule import after, before
from ..core.settings import shared


@before
def negate(p, g):
    """Negate: turn descent into ascent (torch's ``maximize=True``)."""
    return -g


@before
def unscale(p, g, *, loss_scale=65536.0):
    """Unscale: the gradient of a loss that was multiplied to keep float16 away from zero (Micikevicius et al. 2018).

    Dialect: torch.amp.GradScaler's; on classes of ``descend.torch`` the scaler asks for it by itself.
    """
    return g / loss_scale


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

    Dialect: torch's, which divides by (norm + 1e-6) and never enlarges. optax adds nothing to the norm.
    """
    return g * minimum(max_norm / (norm(g, over="all") + 1e-6), 1.0)


@before
def clip_tensor(p, g, *, max_norm=1.0):
    """Clip by tensor norm: each gradient by its own norm (Pascanu et al. 2013, per tensor).

    Dialect: divides by (norm + 1e-6) and never enlarges, as clip_norm.
    """
    return g * minimum(max_norm / (norm(g) + 1e-6), 1.0)


@before
def adaptive_clip_vector(p, g, *, clipping=0.01, eps=1e-3):
    """Adaptive clipping, for vectors: the whole tensor is one unit (Brock et al. 2021, eq. 3)."""
    limit = clipping * maximum(norm(p), eps)
    return g * minimum(limit / maximum(norm(g), 1e-6), 1.0)


@before(vectors=adaptive_clip_vector)
def adaptive_clip(p, g, *, clipping=0.01, eps=1e-3):
    """Adaptive clipping: each unit's gradient against its weights, row by row (Brock et al. 2021, eq. 3).

    Dialect: the paper's units, the rows. optax has them along the last axis.
    """
    limit = clipping * maximum(norm(matrix(p), over="row"), eps)
    return shaped(matrix(g) * minimum(limit / maximum(norm(matrix(g), over="row"), 1e-6), 1.0), p)


@before
def keep(p, g):
    """Keep: the gradient as it is (1.0 * g, the identity of a chain)."""
    return g


@before(vectors=keep)
def centralize(p, g):
    """Gradient centralisation: every row of the gradient sums to zero (Yong et al. 2020, eq. 1)."""
    return shaped(matrix(g) - mean(matrix(g), over="row"), p)


@after
def cautious(p, q, g):
    """Cautious: only coordinates where step and gradient agree move (Liang et al. 2024, Algorithm 1).

    Dialect: the authors' code, whose share is at least 1e-3; the whole step is masked, decay included.
    pytorch_optimizer counts one coordinate more and has no least share.
    """
    agrees = where((p - q) * g > 0, 1.0, 0.0)
    return p - (p - q) * agrees / maximum(mean(agrees), 1e-3)


@after
def cautious_bounded(p, q, g, *, least=0.5):
    """Cautious, bounded: what stands still without a gradient is not made up for (Liang et al. 2024, Algorithm 1).

    Dialect: cautious, with the share counted among the coordinates that have a gradient, and of at least ``least``.
    There the rows of an embedding that a batch leaves out make the others' steps up to a thousand times as long.
    """
    agrees = where((p - q) * g > 0, 1.0, 0.0)
    seen = total(where(g != 0, 1.0, 0.0))
    return p - (p - q) * agrees * (seen / maximum(total(agrees), maximum(least * seen, 1.0)))


@after
def cautious_weight_decay(p, q, g, *, lr=shared, weight_decay=0.01):
    """Cautious weight decay: decay only where it goes the way of the step (Chen et al. 2025, eq. 3).

    Dialect: strictly the same way; where the step is zero nothing decays.
    """
    return q - lr * weight_decay * where((p - q) * p > 0, p, 0.0)


def _averaged(p, average):
    return average


@after(shipped_point=_averaged)
def ema(p, q, g, e=start("ema"), *, decay=0.999):
    """EMA of weights: ship a moving average of the points (Polyak & Juditsky 1992, with fading memory)."""
    e = decay * e + (1 - decay) * q
    return q, e


@after(shipped_point=_averaged)
def swa(p, q, g, average=start("swa"), *, t, begin=1.0):
    """SWA: ship the plain average of the points from step ``begin`` on (Izmailov et al. 2018, Algorithm 1)."""
    average = average + (q - average) / maximum(t - begin + 1, 1.0)
    return q, average


@after
def lookahead(p, q, g, slow=start("slow"), *, t, k=6.0, alpha=0.5):
    """Lookahead: every k steps, back towards where the k began (Zhang et al. 2019, Algorithm 1)."""
    now = t % k == 0
    slow = where(now, slow + alpha * (q - slow), slow)
    q = where(now, slow, q)
    return q, slow
