"""Sign rules: only the direction of each coordinate counts, never its size."""

from ..core.init import full, zeros
from ..core.ops import maximum, minimum, sign, where
from ..core.rule import rule


@rule
def sign_sgd(p, g, *, lr=1e-4):
    """signSGD: every coordinate moves by lr against its gradient (Bernstein et al. 2018, Algorithm 1)."""
    p = p - lr * sign(g)
    return p


@rule
def signum(p, g, m=zeros("exp_avg"), *, lr=1e-4, beta=0.9):
    """Signum: the sign of an averaged momentum (Bernstein et al. 2018, Algorithm 1)."""
    m = beta * m + (1 - beta) * g
    p = p - lr * sign(m)
    return p, m


@rule
def tiger(p, g, m=zeros("exp_avg"), *, lr=1e-4, beta=0.965, weight_decay=0.0):
    """Tiger: Lion with one beta, hence signum with decay (Su 2023)."""
    m = beta * m + (1 - beta) * g
    p = p - lr * (sign(m) + weight_decay * p)
    return p, m


@rule
def lion(p, g, m=zeros("exp_avg"), *, lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
    """Lion: the sign of an interpolated momentum (Chen et al. 2023, Algorithm 2)."""
    c = beta1 * m + (1 - beta1) * g
    p = p - lr * (sign(c) + weight_decay * p)
    m = beta2 * m + (1 - beta2) * g
    return p, m


# Rprop keeps a step size per parameter. It compares signs of successive gradients, so they must be of
# the same batch: with mini-batches the noise of the sampling turns the signs.


@rule
def rprop_simple(
    p, g, g_prev=zeros("prev"), step=full("lr")("step_size"), *,
    lr=1e-2, eta_minus=0.6, eta_plus=1.2, step_min=1e-6, step_max=50.0,
):  # fmt: skip
    """Rprop, simplest: steps grow by 1.2 while the sign stays and shrink by 0.6 when it turns (lecture form).

    Dialect: no back-tracking: the step is taken even when the sign has just turned; see rprop, also for a rate of 0.
    """
    turned = g * g_prev
    factor = where(turned > 0, eta_plus, where(turned < 0, eta_minus, 1.0))
    begun = where(step > 0, step, lr)
    step = where(lr > 0, minimum(maximum(begun * factor, step_min), step_max), step)
    p = where(lr > 0, p - sign(g) * step, p)
    g_prev = g
    return p, g_prev, step


@rule
def rprop(
    p, g, g_prev=zeros("prev"), step=full("lr")("step_size"), *,
    lr=1e-2, eta_minus=0.5, eta_plus=1.2, step_min=1e-6, step_max=50.0,
):  # fmt: skip
    """Rprop: where the sign has turned, wait one step (Riedmiller & Braun 1993; Igel & Hüsken 2000, iRprop⁻).

    Dialect: torch.optim.Rprop's, which forgets the gradient that turned. At a rate of 0 nothing moves, and steps begin
    at the first other rate; torch's begin at step_min. optax takes every step one gradient late.
    """
    turned = g * g_prev
    factor = where(turned > 0, eta_plus, where(turned < 0, eta_minus, 1.0))
    begun = where(step > 0, step, lr)
    step = where(lr > 0, minimum(maximum(begun * factor, step_min), step_max), step)
    g = where(turned < 0, 0.0, g)
    p = where(lr > 0, p - sign(g) * step, p)
    g_prev = g
    return p, g_prev, step
