"""Trust ratios: the length of a tensor's step in proportion to the length of the tensor."""

from ..core.init import number, zeros
from ..core.ops import norm, sqrt, total, where
from ..core.rule import rule


@rule
def lars(p, g, v=zeros("momentum_buffer"), *, lr=1.0, momentum=0.9, weight_decay=1e-4, trust_coefficient=1e-3):
    """LARS: one rate per layer, from the norms of weights and gradient (You, Gitman & Ginsburg 2017, Algorithm 1).

    Dialect: lr stands outside the velocity, where a schedule acts at once; the paper has it inside. The ratio
    is 1 where a norm is zero. optax takes the norm of gradient and decay together; pytorch_optimizer gives
    vectors neither ratio nor decay, and a zero gradient its ratio.
    """
    usable = (norm(p) > 0) & (norm(g) > 0)
    ratio = where(usable, trust_coefficient * norm(p) / (norm(g) + weight_decay * norm(p)), 1.0)
    v = momentum * v + ratio * (g + weight_decay * p)
    p = p - lr * v
    return p, v


@rule
def lamb(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-6, weight_decay=0.01
):
    """LAMB: LARS's trust ratio around Adam's direction (You et al. 2020, Algorithm 2).

    Dialect: φ is the identity, moments are bias-corrected, the ratio is 1 where a norm is zero.
    pytorch_optimizer does not correct v, counts |p| as 10 at most and adds ε to |u|.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    u = m / (1 - beta1**t) / (sqrt(v) / sqrt(1 - beta2**t) + eps) + weight_decay * p
    ratio = where((norm(p) > 0) & (norm(u) > 0), norm(p) / norm(u), 1.0)
    p = p - lr * ratio * u
    return p, m, v


@rule
def novograd(
    p, g, m=zeros("exp_avg"), v=number("exp_avg_sq"), *, t, lr=1e-3, beta1=0.95, beta2=0.98, eps=1e-8, weight_decay=0.0
):
    """NovoGrad: one second moment per tensor, and momentum of normalised gradients (Ginsburg et al. 2019, Algorithm 1).

    Dialect: ε is added in the first step too, where the paper prints none.
    """
    square = total(g * g)
    v = where(t == 1, square, beta2 * v + (1 - beta2) * square)
    m = beta1 * m + (g / (sqrt(v) + eps) + weight_decay * p)
    p = p - lr * m
    return p, m, v
