"""Momentum: follow the gradient, and remember where you were going.

Sorted from the simplest on; each rule differs from one before it by the line that differs.
``g`` is the gradient at ``p``: of the whole data set (batch), of one sample (stochastic) or of a few
(mini-batch). That choice is the training loop's; the rule is the same.
"""

from ..core.init import zeros
from ..core.ops import where
from ..core.rule import rule


@rule
def gradient_descent(p, g, *, lr=1e-3):
    """Gradient descent: a step against the gradient (Cauchy 1847; stochastic: Robbins & Monro 1951)."""
    p = p - lr * g
    return p


# Three conventions are in use for one idea. With a constant learning rate they describe the same
# path (see docs/momentum.md), but `lr` means something else in each, so a learning rate tuned for
# one is wrong for another, and a schedule acts on a different quantity.


@rule
def momentum_accumulation(p, g, v=zeros("momentum_buffer"), *, lr=1e-3, momentum=0.9):
    """Momentum, accumulated: v is a fading sum of gradients (Polyak 1964; torch.optim.SGD)."""
    v = momentum * v + g
    p = p - lr * v
    return p, v


@rule
def momentum_ema(p, g, v=zeros("exp_avg"), *, lr=1e-3, beta=0.9):
    """Momentum, averaged: v is a moving average of gradients (as in Adam, Kingma & Ba 2015)."""
    v = beta * v + (1 - beta) * g
    p = p - lr * v
    return p, v


@rule
def momentum_velocity(p, g, v=zeros("velocity"), *, lr=1e-3, momentum=0.9):
    """Momentum, as a velocity: a ball with friction; v is the step itself (Sutskever et al. 2013, eq. 1-2)."""
    v = momentum * v - lr * g
    p = p + v
    return p, v


@rule
def momentum_dampened(p, g, v=zeros("momentum_buffer"), *, t, lr=1e-3, momentum=0.9, dampening=0.0):
    """Momentum, accumulated and dampened (torch.optim.SGD with dampening).

    Dialect: torch's. The first gradient enters whole, only later ones are dampened.
    """
    v = momentum * v + where(t == 1, 1.0, 1 - dampening) * g
    p = p - lr * v
    return p, v


# Nesterov's momentum takes the gradient where the velocity is about to carry p: at p + momentum * v.


def look_ahead(p, v, *, momentum):
    return p + momentum * v


@rule(gradient_point=look_ahead)
def nesterov_lookahead(p, g, v=zeros("velocity"), *, lr=1e-3, momentum=0.9):
    """Nesterov momentum, look-ahead form: g is the gradient at p + momentum * v (Sutskever et al. 2013, eq. 3-4)."""
    v = momentum * v - lr * g
    p = p + v
    return p, v


@rule
def nesterov_rewritten(p, g, v=zeros("velocity"), *, lr=1e-3, momentum=0.9):
    """Nesterov momentum, rewritten: the stored p IS the look-ahead point, so g is taken at p (Bengio et al. 2013)."""
    v_prev = v
    v = momentum * v - lr * g
    p = p - momentum * v_prev + (1 + momentum) * v
    return p, v


@rule
def nesterov_accumulation(p, g, v=zeros("momentum_buffer"), *, lr=1e-3, momentum=0.9):
    """Nesterov momentum, rewritten and accumulated (torch.optim.SGD with nesterov=True).

    Dialect: torch's. With a constant lr the same path as nesterov_rewritten; when lr changes, not.
    """
    v = momentum * v + g
    p = p - lr * (g + momentum * v)
    return p, v


@rule
def quasi_hyperbolic(p, g, m=zeros("exp_avg"), *, lr=1e-3, beta=0.999, nu=0.7):
    """Quasi-hyperbolic momentum: a mixture of the gradient and its average (Ma & Yarats 2019, eq. 3-4)."""
    m = beta * m + (1 - beta) * g
    p = p - lr * ((1 - nu) * g + nu * m)
    return p, m
