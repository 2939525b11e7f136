"""Sign rules: only the direction of each coordinate counts, never its size."""

from ..core.ops import sign
from ..core.rule import rule, zeros


@rule
def lion(p, g, m=zeros("exp_avg"), *, lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
    """Lion: the sign of an interpolated momentum (Chen et al. 2023, Algorithm 2)."""
    c = beta1 * m + (1 - beta1) * g
    p = p - lr * (sign(c) + weight_decay * p)
    m = beta2 * m + (1 - beta2) * g
    return p, m
