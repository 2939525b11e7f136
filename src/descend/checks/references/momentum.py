"""Gradient descent and its momenta."""

import numpy as np

from .registry import per_tensor


@per_tensor
def gradient_descent(x, gradients, *, lr):
    """Cauchy 1847: a step of length lr against the gradient."""
    for g in gradients:
        x = x - lr * g
        yield x, {}


@per_tensor
def momentum_accumulation(x, gradients, *, lr, momentum):
    """Polyak 1964 in torch's form: v sums gradients, lr multiplies the sum."""
    v = np.zeros_like(x)
    for g in gradients:
        v = momentum * v + g
        x = x - lr * v
        yield x, {"v": v}


@per_tensor
def momentum_dampened(x, gradients, *, lr, momentum, dampening):
    """torch.optim.SGD with dampening; torch: the first gradient enters undampened."""
    v = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        v = g if t == 1 else momentum * v + (1 - dampening) * g
        x = x - lr * v
        yield x, {"v": v}


@per_tensor
def momentum_ema(x, gradients, *, lr, beta):
    """Momentum as an exponential moving average of the gradients, starting at zero, uncorrected."""
    v = np.zeros_like(x)
    for g in gradients:
        v = beta * v + (1 - beta) * g
        x = x - lr * v
        yield x, {"v": v}


@per_tensor
def momentum_velocity(x, gradients, *, lr, momentum):
    """Sutskever et al. 2013, equations 1 and 2: v is a velocity and carries the learning rate."""
    v = np.zeros_like(x)
    for g in gradients:
        v = momentum * v - lr * g
        x = x + v
        yield x, {"v": v}


@per_tensor
def nesterov_lookahead(x, gradients, *, lr, momentum):
    """Sutskever et al. 2013, equations 3 and 4; g must have been taken at x + momentum * v."""
    v = np.zeros_like(x)
    for g in gradients:
        v = momentum * v - lr * g
        x = x + v
        yield x, {"v": v}


@per_tensor
def nesterov_rewritten(x, gradients, *, lr, momentum):
    """Bengio et al. 2013 (CS231n's form): the stored point is the look-ahead point y = x + momentum * v.

    Kept here as the two sequences it came from: y is left for x, the step is made, y is entered again.
    """
    y = x
    v = np.zeros_like(x)
    for g in gradients:
        x = y - momentum * v
        v = momentum * v - lr * g
        x = x + v
        y = x + momentum * v
        yield y, {"v": v}


@per_tensor
def nesterov_accumulation(x, gradients, *, lr, momentum):
    """torch.optim.SGD(nesterov=True)."""
    v = np.zeros_like(x)
    for g in gradients:
        v = momentum * v + g
        x = x - lr * (g + momentum * v)
        yield x, {"v": v}


@per_tensor
def quasi_hyperbolic(x, gradients, *, lr, beta, nu):
    """Ma & Yarats 2019, QHM: nu mixes the average with the plain gradient."""
    m = np.zeros_like(x)
    for g in gradients:
        m = beta * m + (1 - beta) * g
        x = x - lr * ((1 - nu) * g + nu * m)
        yield x, {"m": m}
