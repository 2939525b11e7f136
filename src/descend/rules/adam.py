"""The Adam family: momentum on top, the root of the second moment below.

"Adam" has at least six formulas in the field. Each rule here is one of them and says which.
"""

from ..core.ops import sqrt
from ..core.rule import rule, zeros


@rule
def adam_uncorrected(p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam without bias correction: RMSprop with momentum on the gradient (Kingma & Ba 2015, first sketch).

    Dialect: ε outside the root. The first steps are too long by (1-β₁)/√(1-β₂): 3.2 times at the defaults.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    p = p - lr * m / (sqrt(v) + eps)
    return p, m, v


@rule
def adam(p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam: both moments corrected for their start at zero (Kingma & Ba 2015, Algorithm 1; torch.optim.Adam)."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    p = p - lr * m_hat / (sqrt(v_hat) + eps)
    return p, m, v


@rule
def adam_eps_inside(p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam, ε inside: divides by √(v̂ + ε) (Kingma & Ba 2015, as in some lecture notes; optax's eps_root).

    Dialect: the paper and torch add ε to √v̂; see adam.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    p = p - lr * m_hat / sqrt(v_hat + eps)
    return p, m, v


@rule
def adamw(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2
):
    """AdamW: Adam, with the decay of weights apart from the gradient (Loshchilov & Hutter 2019, Algorithm 2).

    Dialect: decay is lr * weight_decay, as in torch.optim.AdamW; the paper multiplies by the schedule alone.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    p = (1 - lr * weight_decay) * p - lr * m_hat / (sqrt(v_hat) + eps)
    return p, m, v
