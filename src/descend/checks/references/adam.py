"""Adam, its dialects, AdamW, and the relatives torch has."""

import math

import numpy as np

from .registry import per_tensor


@per_tensor
def adam(x, gradients, *, lr, beta1, beta2, eps):
    """Kingma & Ba 2015, Algorithm 1."""
    m = v = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        x = x - lr * m_hat / (np.sqrt(v_hat) + eps)
        yield x, {"m": m, "v": v}


@per_tensor
def adam_uncorrected(x, gradients, *, lr, beta1, beta2, eps):
    """Kingma & Ba 2015, Algorithm 1 without its two bias corrections."""
    m = v = np.zeros_like(x)
    for g in gradients:
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        x = x - lr * m / (np.sqrt(v) + eps)
        yield x, {"m": m, "v": v}


@per_tensor
def adam_eps_inside(x, gradients, *, lr, beta1, beta2, eps):
    """Kingma & Ba 2015, Algorithm 1 with eps under the root."""
    m = v = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        x = x - lr * m_hat / np.sqrt(v_hat + eps)
        yield x, {"m": m, "v": v}


@per_tensor
def adam_epsilon_hat(x, gradients, *, lr, beta1, beta2, eps):
    """Kingma & Ba 2015, end of section 2 (eps is its epsilon hat); torch.optim.SparseAdam, TensorFlow, Keras."""
    m = v = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        alpha_t = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        x = x - alpha_t * m / (np.sqrt(v) + eps)
        yield x, {"m": m, "v": v}


@per_tensor
def adamw(x, gradients, *, lr, beta1, beta2, eps, weight_decay):
    """Loshchilov & Hutter 2019, Algorithm 2; torch: the decay is multiplied by lr and comes first."""
    m = v = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        x = x - lr * weight_decay * x
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        x = x - lr * m_hat / (np.sqrt(v_hat) + eps)
        yield x, {"m": m, "v": v}


@per_tensor
def amsgrad(x, gradients, *, lr, beta1, beta2, eps):
    """Reddi, Kale & Kumar 2018, Algorithm 2; torch: bias corrections as in Adam, the maximum is of raw v."""
    m = v = v_max = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        v_max = np.maximum(v_max, v)
        m_hat = m / (1 - beta1**t)
        v_hat = v_max / (1 - beta2**t)
        x = x - lr * m_hat / (np.sqrt(v_hat) + eps)
        yield x, {"m": m, "v": v, "v_max": v_max}


@per_tensor
def amsgradw(x, gradients, *, lr, beta1, beta2, eps, weight_decay):
    """Reddi, Kale & Kumar 2018, Algorithm 2 with decoupled decay; torch.optim.AdamW(amsgrad=True)."""
    m = v = v_max = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        x = x - lr * weight_decay * x
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        v_max = np.maximum(v_max, v)
        m_hat = m / (1 - beta1**t)
        v_hat = v_max / (1 - beta2**t)
        x = x - lr * m_hat / (np.sqrt(v_hat) + eps)
        yield x, {"m": m, "v": v, "v_max": v_max}


@per_tensor
def adamax(x, gradients, *, lr, beta1, beta2, eps):
    """Kingma & Ba 2015, Algorithm 2; torch: eps is added to |g| inside the maximum."""
    m = u = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        u = np.maximum(beta2 * u, np.abs(g) + eps)
        x = x - lr / (1 - beta1**t) * m / u
        yield x, {"m": m, "u": u}


@per_tensor
def nadam(x, gradients, *, lr, beta1, beta2, eps, momentum_decay):
    """Dozat 2016, Algorithm 2; torch: mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), m decays with beta1."""
    m = v = np.zeros_like(x)
    mu_product = 1.0
    for t, g in enumerate(gradients, 1):
        mu_t = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        mu_product = mu_product * mu_t
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = mu_next * m / (1 - mu_product * mu_next) + (1 - mu_t) * g / (1 - mu_product)
        v_hat = v / (1 - beta2**t)
        x = x - lr * m_hat / (np.sqrt(v_hat) + eps)
        yield x, {"m": m, "v": v, "mu_product": mu_product}


@per_tensor
def nadamw(x, gradients, *, lr, beta1, beta2, eps, momentum_decay, weight_decay):
    """Dozat 2016, Algorithm 2 with decoupled decay; torch.optim.NAdam(decoupled_weight_decay=True)."""
    m = v = np.zeros_like(x)
    mu_product = 1.0
    for t, g in enumerate(gradients, 1):
        x = x - lr * weight_decay * x
        mu_t = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        mu_product = mu_product * mu_t
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = mu_next * m / (1 - mu_product * mu_next) + (1 - mu_t) * g / (1 - mu_product)
        v_hat = v / (1 - beta2**t)
        x = x - lr * m_hat / (np.sqrt(v_hat) + eps)
        yield x, {"m": m, "v": v, "mu_product": mu_product}


@per_tensor
def radam(x, gradients, *, lr, beta1, beta2, eps):
    """Liu et al. 2020, Algorithm 2.

    torch: rectified from rho_t > 5 on (the paper: > 4), eps is added to sqrt(v) before its correction.
    """
    m = v = np.zeros_like(x)
    rho_inf = 2 / (1 - beta2) - 1
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        rho_t = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho_t > 5:
            l_t = math.sqrt(1 - beta2**t) / (np.sqrt(v) + eps)
            r_t = math.sqrt((rho_t - 4) * (rho_t - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho_t))
            x = x - lr * m_hat * r_t * l_t
        else:
            x = x - lr * m_hat
        yield x, {"m": m, "v": v}


@per_tensor
def radamw(x, gradients, *, lr, beta1, beta2, eps, weight_decay):
    """Liu et al. 2020, Algorithm 2 with decoupled decay; torch.optim.RAdam(decoupled_weight_decay=True).

    torch: rectified from rho_t > 5 on (the paper: > 4), eps is added to sqrt(v) before its correction.
    """
    m = v = np.zeros_like(x)
    rho_inf = 2 / (1 - beta2) - 1
    for t, g in enumerate(gradients, 1):
        x = x - lr * weight_decay * x
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        rho_t = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho_t > 5:
            l_t = math.sqrt(1 - beta2**t) / (np.sqrt(v) + eps)
            r_t = math.sqrt((rho_t - 4) * (rho_t - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho_t))
            x = x - lr * m_hat * r_t * l_t
        else:
            x = x - lr * m_hat
        yield x, {"m": m, "v": v}
