"""Later rules built on Adam's two moments."""

import numpy as np

from .registry import Array, per_tensor


@per_tensor
def yogi(x, gradients, *, lr, beta1, beta2, eps, initial_accumulator):
    """Zaheer et al. 2018, Algorithm 2, with Adam's bias corrections (the paper has none).

    Only v starts at initial_accumulator, m at zero; optax and pytorch_optimizer start both there.
    """
    m = np.zeros_like(x)
    v = np.full_like(x, initial_accumulator)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * np.sign(v - g**2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        x = x - lr * m_hat / (np.sqrt(v_hat) + eps)
        yield x, {"m": m, "v": v}


@per_tensor
def adabelief(x, gradients, *, lr, beta1, beta2, eps):
    """Zhuang et al. 2020, Algorithm 2: eps enters twice, inside the recursion of s and beside the root."""
    m = s = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * (g - m) ** 2 + eps
        m_hat = m / (1 - beta1**t)
        s_hat = s / (1 - beta2**t)
        x = x - lr * m_hat / (np.sqrt(s_hat) + eps)
        yield x, {"m": m, "s": s}


@per_tensor
def laprop(x, gradients, *, lr, beta1, beta2, eps):
    """Ziyin, Wang & Ueda 2020, Algorithm 1: first scale, then average; lr stays outside the average."""
    m = n = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        n = beta2 * n + (1 - beta2) * g**2
        n_hat = n / (1 - beta2**t)
        m = beta1 * m + (1 - beta1) * g / (np.sqrt(n_hat) + eps)
        x = x - lr * m / (1 - beta1**t)
        yield x, {"m": m, "v": n}


@per_tensor
def adopt(x, gradients, *, lr, beta1, beta2, eps):
    """Taniguchi et al. 2024, Algorithm 2: the first gradient only fills v; then t counts from 1."""
    m = v = np.zeros_like(x)
    for t, g in enumerate(gradients, 0):
        if t == 0:
            v = g**2
        else:
            c_t = t**0.25
            scaled = g / np.maximum(np.sqrt(v), eps)
            m = beta1 * m + (1 - beta1) * np.minimum(np.maximum(scaled, -c_t), c_t)
            x = x - lr * m
            v = beta2 * v + (1 - beta2) * g**2
        yield x, {"m": m, "v": v}


@per_tensor
def adan(x, gradients, *, lr, beta1, beta2, beta3, eps, weight_decay):
    """Xie et al. 2022, Algorithm 1, with betas as in the authors' code (1 minus the paper's).

    Authors' code: three bias corrections, eps beside the root of the corrected n, and the first
    difference of gradients is zero.
    """
    m = d = n = g_previous = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        if t == 1:
            g_previous = g
        difference = g - g_previous
        m = beta1 * m + (1 - beta1) * g
        d = beta2 * d + (1 - beta2) * difference
        n = beta3 * n + (1 - beta3) * (g + beta2 * difference) ** 2
        m_hat = m / (1 - beta1**t)
        d_hat = d / (1 - beta2**t)
        n_hat = n / (1 - beta3**t)
        x = (x - lr * (m_hat + beta2 * d_hat) / (np.sqrt(n_hat) + eps)) / (1 + lr * weight_decay)
        g_previous = g
        yield x, {"m": m, "d": d, "n": n, "g_prev": g_previous}


@per_tensor
def ademamix(x, gradients, *, lr, beta1, beta2, beta3, alpha, eps, weight_decay):
    """Pagliardini, Ablin & Grangier 2024, Algorithm 1 with alpha and beta3 held constant.

    The slow average m2 has no bias correction.
    """
    m1 = m2 = v = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        m1 = beta1 * m1 + (1 - beta1) * g
        m2 = beta3 * m2 + (1 - beta3) * g
        v = beta2 * v + (1 - beta2) * g**2
        m1_hat = m1 / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        x = x - lr * ((m1_hat + alpha * m2) / (np.sqrt(v_hat) + eps) + weight_decay * x)
        yield x, {"m": m1, "m_slow": m2, "v": v}


@per_tensor
def grams(x, gradients, *, lr, beta1, beta2, eps, weight_decay):
    """Cao et al. 2024: the size of Adam's update with the sign of the gradient.

    The decay is AdamW's, lr * weight_decay * x.
    """
    m = v = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        u = m_hat / (np.sqrt(v_hat) + eps)
        x = x - lr * (np.sign(g) * np.abs(u) + weight_decay * x)
        yield x, {"m": m, "v": v}


@per_tensor
def mars(x, gradients, *, lr, beta1, beta2, eps, weight_decay, gamma):
    """Yuan et al. 2024, Algorithm 2 (MARS-AdamW) in the approximate form (last step's gradient).

    The first difference is zero (x_1 = x_0 in the paper; the authors' code starts g_previous at zero).
    The norm is one tensor's.
    """
    m = v = g_previous = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        if t == 1:
            g_previous = g
        c = g + gamma * beta1 / (1 - beta1) * (g - g_previous)
        norm = np.sqrt(np.sum(c**2))
        if norm > 1:
            c = c / norm
        m = beta1 * m + (1 - beta1) * c
        v = beta2 * v + (1 - beta2) * c**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        x = x - lr * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * x)
        g_previous = g
        yield x, {"m": m, "v": v, "g_prev": g_previous}


@per_tensor
def sophia(x, gradients, *, lr, beta1, rho, eps, weight_decay, h0=0.0):
    """Liu et al. 2023, Algorithm 3 between two looks at the Hessian: its estimate h stays at h0.

    rho is the paper's gamma (the authors' code calls it rho). Decay comes first.
    """
    m = np.zeros_like(x)
    h = np.full_like(x, h0)
    for g in gradients:
        m = beta1 * m + (1 - beta1) * g
        x = x - lr * weight_decay * x
        ratio = m / np.maximum(rho * h, eps)
        x = x - lr * np.minimum(np.maximum(ratio, -1.0), 1.0)
        yield x, {"m": m, "h": h}


@per_tensor
def adahessian(x, gradients, *, lr, beta1, beta2, eps, weight_decay, d0=1.0):
    """Yao et al. 2021, Algorithm 1, its averages as sums over all steps, k = 1; the averaged diagonal D stays at d0.

    ε and the decay, which the paper leaves out, as in the authors' code: θ is shrunk by η·λ first.
    """
    seen: list[Array] = []
    for t, g in enumerate(gradients, 1):
        seen.append(g)
        weights = [beta1 ** (t - i) for i in range(1, t + 1)]
        first = (1 - beta1) * sum(w * g_i for w, g_i in zip(weights, seen, strict=True))
        second = (1 - beta2) * sum(beta2 ** (t - i) * d0 * d0 for i in range(1, t + 1))
        step = (first / (1 - beta1**t)) / (np.sqrt(second / (1 - beta2**t)) + eps)
        x = x * (1 - lr * weight_decay)
        x = x - lr * step
        yield x, {"m": first, "v": np.full_like(x, second), "h": np.full_like(x, d0)}
