"""Rules that move by signs."""

import numpy as np

from .registry import per_tensor


@per_tensor
def lion(x, gradients, *, lr, beta1, beta2, weight_decay):
    """Chen et al. 2023, Algorithm 2."""
    m = np.zeros_like(x)
    for g in gradients:
        c = beta1 * m + (1 - beta1) * g
        x = x - lr * (np.sign(c) + weight_decay * x)
        m = beta2 * m + (1 - beta2) * g
        yield x, {"m": m}


@per_tensor
def sign_sgd(x, gradients, *, lr):
    """Bernstein et al. 2018, Algorithm 1 (signSGD)."""
    for g in gradients:
        x = x - lr * np.sign(g)
        yield x, {}


@per_tensor
def signum(x, gradients, *, lr, beta):
    """Bernstein et al. 2018, Algorithm 1 (Signum, with the momentum as a moving average)."""
    m = np.zeros_like(x)
    for g in gradients:
        m = beta * m + (1 - beta) * g
        x = x - lr * np.sign(m)
        yield x, {"m": m}


@per_tensor
def tiger(x, gradients, *, lr, beta, weight_decay):
    """Su 2023 (Tiger: Lion with one beta); the sign is taken of the new average."""
    m = np.zeros_like(x)
    for g in gradients:
        m = beta * m + (1 - beta) * g
        x = x - lr * (np.sign(m) + weight_decay * x)
        yield x, {"m": m}


@per_tensor
def rprop(x, gradients, *, lr, eta_minus, eta_plus, step_min, step_max):
    """Riedmiller & Braun 1993 without weight back-tracking (iRprop-, Igel & Huesken 2000).

    torch: where the sign turned, the gradient is forgotten, so this step does not move and the next
    one neither grows nor shrinks; every step size starts at lr. An lr of 0 holds everything still.
    """
    previous = np.zeros_like(x)
    step = np.full_like(x, lr)
    for g in gradients:
        product = g * previous
        factor = np.where(product > 0, eta_plus, np.where(product < 0, eta_minus, 1.0))
        step = np.minimum(np.maximum(step * factor, step_min), step_max) if lr > 0 else step
        g = np.where(product < 0, 0.0, g)
        x = x - np.sign(g) * step
        previous = g
        yield x, {"prev": previous, "step_size": step}


@per_tensor
def rprop_simple(x, gradients, *, lr, eta_minus, eta_plus, step_min, step_max):
    """A rate per parameter that grows while the sign stays and shrinks when it turns (no paper).

    The move is made also where the sign turned. The rate starts at lr and is held within
    [step_min, step_max] after every change, the first step included; with an lr of 0 it stays 0.
    """
    previous = np.zeros_like(x)
    rate = np.full_like(x, lr)
    for g in gradients:
        agreement = np.sign(g) * np.sign(previous)
        rate = np.where(agreement > 0, rate * eta_plus, np.where(agreement < 0, rate * eta_minus, rate))
        rate = np.minimum(np.maximum(rate, step_min), step_max) if lr > 0 else rate
        x = x - rate * np.sign(g)
        previous = g
        yield x, {"prev": previous, "step_size": rate}
