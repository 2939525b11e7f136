"""Rules whose step is scaled by norms of each tensor."""

import numpy as np

from .registry import per_tensor


@per_tensor
def lars(x, gradients, *, lr, momentum, weight_decay, trust_coefficient):
    """You, Gitman & Ginsburg 2017, Algorithm 1.

    Here lr stands outside the velocity (the paper puts it inside; for a constant lr the points are the
    same). The ratio is 1 where x or g is zero, which the paper leaves open.
    """
    v = np.zeros_like(x)
    for g in gradients:
        x_norm = np.sqrt(np.sum(x**2))
        g_norm = np.sqrt(np.sum(g**2))
        if x_norm > 0 and g_norm > 0:
            ratio = trust_coefficient * x_norm / (g_norm + weight_decay * x_norm)
        else:
            ratio = 1.0
        v = momentum * v + ratio * (g + weight_decay * x)
        x = x - lr * v
        yield x, {"v": v}


@per_tensor
def lamb(x, gradients, *, lr, beta1, beta2, eps, weight_decay):
    """You et al. 2020, Algorithm 2, phi the identity.

    The ratio is 1 where either norm is zero, which the paper leaves open.
    """
    m = v = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        r = m_hat / (np.sqrt(v_hat) + eps)
        u = r + weight_decay * x
        x_norm = np.sqrt(np.sum(x**2))
        u_norm = np.sqrt(np.sum(u**2))
        ratio = x_norm / u_norm if x_norm > 0 and u_norm > 0 else 1.0
        x = x - lr * ratio * u
        yield x, {"m": m, "v": v}


@per_tensor
def novograd(x, gradients, *, lr, beta1, beta2, eps, weight_decay):
    """Ginsburg et al. 2019, Algorithm 1: v is one number for each tensor, m sums without (1 - beta1).

    eps is added in the first step too, where the paper prints none.
    """
    m = np.zeros_like(x)
    v = np.zeros(())
    for t, g in enumerate(gradients, 1):
        square = np.sum(g**2)
        v = square if t == 1 else beta2 * v + (1 - beta2) * square
        m = beta1 * m + (g / (np.sqrt(v) + eps) + weight_decay * x)
        x = x - lr * m
        yield x, {"m": m, "v": v}
