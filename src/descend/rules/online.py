"""Online learning: rules that answer every past gradient at once, made for sparse features."""

from ..core.init import full, zeros
from ..core.ops import absolute, sign, sqrt, where
from ..core.rule import rule


@rule
def ftrl(p, g, z=zeros, n=zeros, last=full("lr", shape="tensor")("last_lr"), *, lr=0.1, smoothing=1.0, l1=0.0, l2=0.0):
    """FTRL-Proximal: p minimises all past linear losses plus L1 and L2 (McMahan et al. 2013, Algorithm 1).

    Dialect: the paper's α is lr, its β is smoothing; z starts at zero, so any start but p = 0 is forgotten. Of
    rates that change the paper does not speak: here the proximal terms follow the rate, so that a change by itself
    moves nothing (without L1 and L2), and at a rate of 0 nothing is learned.
    """
    ratio = where(last > 0, lr / last, 1.0)
    sigma = (sqrt(n + g * g) - ratio * sqrt(n) + (1 - ratio) * smoothing) / lr
    z = where(lr > 0, z + g - sigma * p, z)
    n = where(lr > 0, n + g * g, n)
    q = where(absolute(z) <= l1, 0.0, (sign(z) * l1 - z) / ((smoothing + sqrt(n)) / lr + l2))
    p = where(lr > 0, q, p)
    last = where(lr > 0, lr, last)
    return p, z, n, last
