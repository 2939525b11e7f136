"""Rules that find their own step size, from sums over all tensors; lr is a factor, 1 in the papers.

A state that is one number for the whole problem is a list of one 0-d array.
"""

import math

import numpy as np

from .registry import per_tensor, whole


@whole
def dadapt_sgd(x, gradients, *, lr, momentum, d0):
    """Defazio & Mishchenko 2023, Algorithm 4 (SGD with D-Adaptation), beta = momentum.

    While every gradient so far was zero nothing moves (the paper divides by |g_0|; here it is the first
    gradient that is not zero).
    """
    z = list(x)
    x = list(x)
    s = [np.zeros_like(p) for p in x]
    d = d0
    g0_norm = total = 0.0
    for g in gradients:
        if g0_norm == 0:
            g0_norm = math.sqrt(sum(float(np.sum(g_i**2)) for g_i in g))
        if g0_norm > 0:
            step = d * lr / g0_norm
            total = total + step * sum(float(np.sum(g_i * s_i)) for g_i, s_i in zip(g, s, strict=True))
            s = [np.asarray(s_i + step * g_i) for s_i, g_i in zip(s, g, strict=True)]
            z = [np.asarray(z_i - step * g_i) for z_i, g_i in zip(z, g, strict=True)]
            x = [np.asarray(momentum * x_i + (1 - momentum) * z_i) for x_i, z_i in zip(x, z, strict=True)]
            s_norm = math.sqrt(sum(float(np.sum(s_i**2)) for s_i in s))
            if s_norm > 0:
                d = max(d, 2 * total / s_norm)
        yield x, {"z": z, "s": s, "d": [np.asarray(d)], "numerator": [np.asarray(total)]}


@whole
def dadapt_adam(x, gradients, *, lr, beta1, beta2, eps, d0):
    """Defazio & Mishchenko 2023, Algorithm 5 (Adam with D-Adaptation).

    Unsure which A weights the inner product of g and s: here the new one, A_{k+1}; the packages
    dadaptation 3.2 and optax 0.2.8 take the one of the step before, and d comes out otherwise.
    """
    x = list(x)
    m = [np.zeros_like(p) for p in x]
    v = [np.zeros_like(p) for p in x]
    s = [np.zeros_like(p) for p in x]
    r = 0.0
    d = d0
    for g in gradients:
        step = d * lr
        m = [np.asarray(beta1 * m_i + (1 - beta1) * step * g_i) for m_i, g_i in zip(m, g, strict=True)]
        v = [np.asarray(beta2 * v_i + (1 - beta2) * g_i**2) for v_i, g_i in zip(v, g, strict=True)]
        A = [np.sqrt(v_i) + eps for v_i in v]
        x = [np.asarray(x_i - m_i / A_i) for x_i, m_i, A_i in zip(x, m, A, strict=True)]
        product = sum(float(np.sum(g_i * s_i / A_i)) for g_i, s_i, A_i in zip(g, s, A, strict=True))
        r = math.sqrt(beta2) * r + (1 - math.sqrt(beta2)) * step * product
        s = [
            np.asarray(math.sqrt(beta2) * s_i + (1 - math.sqrt(beta2)) * step * g_i)
            for s_i, g_i in zip(s, g, strict=True)
        ]
        s_1 = sum(float(np.sum(np.abs(s_i))) for s_i in s)
        if s_1 > 0:
            d = max(d, r / ((1 - math.sqrt(beta2)) * s_1))
        yield x, {"m": m, "v": v, "s": s, "r": [np.asarray(r)], "d": [np.asarray(d)]}


@whole
def prodigy(x, gradients, *, lr, beta1, beta2, eps, d0):
    """Mishchenko & Defazio 2023, Algorithm 4 (Prodigy, Adam version), no bias correction, no decay.

    x moves with d_k throughout; the package prodigyopt 1.1.2 takes the new d in the eps term only, and
    stores r and s divided by d0 and by 1 - sqrt(beta2).
    """
    x0 = list(x)
    x = list(x)
    m = [np.zeros_like(p) for p in x]
    v = [np.zeros_like(p) for p in x]
    s = [np.zeros_like(p) for p in x]
    r = 0.0
    d = d0
    beta3 = math.sqrt(beta2)
    for g in gradients:
        m = [np.asarray(beta1 * m_i + (1 - beta1) * d * g_i) for m_i, g_i in zip(m, g, strict=True)]
        v = [np.asarray(beta2 * v_i + (1 - beta2) * d**2 * g_i**2) for v_i, g_i in zip(v, g, strict=True)]
        product = sum(float(np.sum(g_i * (o_i - x_i))) for g_i, o_i, x_i in zip(g, x0, x, strict=True))
        r = beta3 * r + (1 - beta3) * lr * d**2 * product
        s = [np.asarray(beta3 * s_i + (1 - beta3) * lr * d**2 * g_i) for s_i, g_i in zip(s, g, strict=True)]
        x = [np.asarray(x_i - lr * d * m_i / (np.sqrt(v_i) + d * eps)) for x_i, m_i, v_i in zip(x, m, v, strict=True)]
        s_1 = sum(float(np.sum(np.abs(s_i))) for s_i in s)
        if s_1 > 0:
            d = max(d, r / s_1)
        yield x, {"m": m, "v": v, "s": s, "r": [np.asarray(r)], "d": [np.asarray(d)]}


@per_tensor
def prodigy_tensor(x, gradients, *, lr, beta1, beta2, eps, d0, d0_rel, growth_rate):
    """Mishchenko & Defazio 2023, Algorithm 4, run on each tensor as if it were all.

    d̂ is at most growth_rate d_k (prodigyopt 1.1.2 has that bound). d_{k+1} = max(d_k, d̂) as there where low = 0,
    else max(beta3 d_k, d̂, low), with low = d0_rel |x_0|_2 / √n.
    """
    x0, m, v, s = x, np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    r, d, beta3 = 0.0, d0, math.sqrt(beta2)
    low = d0_rel * float(np.linalg.norm(x0)) / math.sqrt(max(x0.size, 1))
    for g in gradients:
        m = beta1 * m + (1 - beta1) * d * g
        v = beta2 * v + (1 - beta2) * d**2 * g**2
        r = beta3 * r + (1 - beta3) * lr * d**2 * float(np.sum(g * (x0 - x)))
        s = beta3 * s + (1 - beta3) * lr * d**2 * g
        x = x - lr * d * m / (np.sqrt(v) + d * eps)
        s_1 = float(np.sum(np.abs(s)))
        d_hat = min(r / s_1, growth_rate * d) if s_1 > 0 else 0.0
        d = max(beta3 * d, d_hat, low) if low > 0 else max(d, d_hat)
        yield x, {"m": m, "v": v, "s": s, "r": np.asarray(r), "d": np.asarray(d)}


@whole
def dog(x, gradients, *, lr, reps_rel, eps):
    """Ivgi, Hinder & Carmon 2023, equation DoG, all tensors as one vector.

    r_epsilon = reps_rel (1 + |x_0|) as the authors advise; eps is added once to the sum of squares.
    """
    x0 = list(x)
    x = list(x)
    r_bar = reps_rel * (1 + math.sqrt(sum(float(np.sum(p**2)) for p in x0)))
    G = eps
    for g in gradients:
        distance = math.sqrt(sum(float(np.sum((x_i - o_i) ** 2)) for x_i, o_i in zip(x, x0, strict=True)))
        r_bar = max(r_bar, distance)
        G = G + sum(float(np.sum(g_i**2)) for g_i in g)
        eta = lr * r_bar / math.sqrt(G)
        x = [np.asarray(x_i - eta * g_i) for x_i, g_i in zip(x, g, strict=True)]
        yield x, {"r_bar": [np.asarray(r_bar)], "G": [np.asarray(G)]}


@whole
def dowg(x, gradients, *, lr, r_eps):
    """Khaled, Mishchenko & Jin 2023, Algorithm 1, all tensors as one vector, starting from r_bar = r_eps.

    While every gradient was zero nothing moves. The package dowgopt 0.13 starts r_bar^2 at its eps and
    adds that eps to sqrt(v).
    """
    x0 = list(x)
    x = list(x)
    r_bar = r_eps
    v = 0.0
    for g in gradients:
        distance = math.sqrt(sum(float(np.sum((x_i - o_i) ** 2)) for x_i, o_i in zip(x, x0, strict=True)))
        r_bar = max(r_bar, distance)
        v = v + r_bar**2 * sum(float(np.sum(g_i**2)) for g_i in g)
        if v > 0:
            eta = lr * r_bar**2 / math.sqrt(v)
            x = [np.asarray(x_i - eta * g_i) for x_i, g_i in zip(x, g, strict=True)]
        yield x, {"r_bar": [np.asarray(r_bar)], "v": [np.asarray(v)]}
