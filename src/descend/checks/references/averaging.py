"""Rules that keep an average of the points, or a second sequence of points."""

import math

import numpy as np

from .registry import per_tensor


@per_tensor
def asgd(x, gradients, *, lr, lambd, alpha, t0):
    """Polyak & Juditsky 1992; torch.optim.ASGD: eta and mu are set after each step, for the next one.

    The states eta and mu are one number for each tensor, the values the next step will use.
    """
    ax = np.zeros_like(x)
    eta = lr
    mu = 1.0
    for t, g in enumerate(gradients, 1):
        x = (1 - lambd * eta) * x - eta * g
        ax = ax + mu * (x - ax)
        eta = lr / (1 + lambd * lr * t) ** alpha
        mu = 1 / max(1, t - t0)
        yield x, {"eta": eta, "mu": mu, "ax": ax}


@per_tensor
def lookahead_sgd(x, gradients, *, lr, k, alpha):
    """Zhang et al. 2019, Algorithm 1 around plain SGD; x is the fast point theta, slow is phi."""
    phi = x
    for t, g in enumerate(gradients, 1):
        x = x - lr * g
        if t % k == 0:
            phi = phi + alpha * (x - phi)
            x = phi
        yield x, {"slow": phi}


@per_tensor
def schedule_free_sgd(x, gradients, *, lr, momentum, weight_decay, warmup_steps):
    """Defazio et al. 2024, Schedule-Free SGD, weighted by the square of the largest lr so far.

    The parameter given and returned is y; state x is the average. schedulefree 1.4.1: linear warmup
    t / warmup_steps, decay taken at y.
    """
    y = z = x
    weight_sum = lr_max = 0.0
    for t, g in enumerate(gradients, 1):
        gamma = lr * min(1.0, t / warmup_steps) if warmup_steps > 0 else lr
        lr_max = max(lr_max, gamma)
        weight_sum = weight_sum + lr_max**2
        c = lr_max**2 / weight_sum if weight_sum > 0 else 0.0
        z = z - gamma * (g + weight_decay * y)
        x = (1 - c) * x + c * z
        y = (1 - momentum) * z + momentum * x
        yield y, {"z": z, "x": x}


@per_tensor
def schedule_free_adamw(x, gradients, *, lr, beta1, beta2, eps, weight_decay, warmup_steps):
    """Defazio et al. 2024, Algorithm 1 (Schedule-Free AdamW).

    The parameter given and returned is y; state x is the average. schedulefree 1.4.1: v is bias
    corrected before the root (the paper multiplies gamma by sqrt(1 - beta2^t) instead, also in c).
    """
    y = z = x
    v = np.zeros_like(x)
    weight_sum = lr_max = 0.0
    for t, g in enumerate(gradients, 1):
        gamma = lr * min(1.0, t / warmup_steps) if warmup_steps > 0 else lr
        lr_max = max(lr_max, gamma)
        weight_sum = weight_sum + lr_max**2
        c = lr_max**2 / weight_sum if weight_sum > 0 else 0.0
        v = beta2 * v + (1 - beta2) * g**2
        v_hat = v / (1 - beta2**t)
        z = z - gamma * (g / (np.sqrt(v_hat) + eps) + weight_decay * y)
        x = (1 - c) * x + c * z
        y = (1 - beta1) * z + beta1 * x
        yield y, {"z": z, "v": v, "x": x}


@per_tensor
def schedule_free_radam(x, gradients, *, lr, beta1, beta2, eps, weight_decay):
    """RAdamScheduleFree of schedulefree 1.4.1 (silent_sgd_phase=True); no paper states it.

    The rectification of Liu et al. 2020 takes the place of the warmup; until rho_t > 4 nothing moves,
    but v is fed.
    """
    y = z = x
    v = np.zeros_like(x)
    weight_sum = lr_max = 0.0
    rho_inf = 2 / (1 - beta2) - 1
    for t, g in enumerate(gradients, 1):
        v = beta2 * v + (1 - beta2) * g**2
        rho_t = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho_t > 4:
            rect = math.sqrt((rho_t - 4) * (rho_t - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho_t))
            gamma = lr * rect
            lr_max = max(lr_max, gamma)
            weight_sum = weight_sum + lr_max**2
            c = lr_max**2 / weight_sum if weight_sum > 0 else 0.0
            v_hat = v / (1 - beta2**t)
            z = z - gamma * (g / (np.sqrt(v_hat) + eps) + weight_decay * y)
            x = (1 - c) * x + c * z
            y = (1 - beta1) * z + beta1 * x
        yield y, {"z": z, "v": v, "x": x}
