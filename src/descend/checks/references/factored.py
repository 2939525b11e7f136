"""Second moments kept as a row and a column."""

import math

import numpy as np

from .registry import per_tensor


@per_tensor
def adafactor(x, gradients, *, lr, beta2_decay, eps1, eps2, d, weight_decay):
    """Shazeer & Stern 2018, Algorithms 4 and 5, as torch.optim.Adafactor has them.

    torch: lr bounds the relative step size, eps1 bounds the estimate from below in place of being added,
    the decay is lr * weight_decay. Factored over the last two dimensions of tensors with two or more;
    the states a tensor does not use are empty. An empty tensor stays as it is (torch divides by zero).
    """
    factored = x.ndim > 1
    R = np.zeros((*x.shape[:-1], 1)) if factored else np.zeros(0)
    C = np.zeros((*x.shape[:-2], 1, x.shape[-1])) if factored else np.zeros(0)
    V = np.zeros(0) if factored else np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        if x.size > 0:
            beta2 = 1 - t**beta2_decay
            rho = min(lr, 1 / math.sqrt(t))
            alpha = max(eps2, math.sqrt(np.sum(x**2) / x.size)) * rho
            x = x - lr * weight_decay * x
            if factored:
                R = beta2 * R + (1 - beta2) * np.mean(g**2, axis=-1, keepdims=True)
                C = beta2 * C + (1 - beta2) * np.mean(g**2, axis=-2, keepdims=True)
                v = R * C / np.maximum(np.mean(R, axis=-2, keepdims=True), eps1)
            else:
                V = beta2 * V + (1 - beta2) * g**2
                v = V
            u = g / np.sqrt(np.maximum(v, eps1**2))
            u = u / max(1.0, math.sqrt(np.sum(u**2) / u.size) / d)
            x = x - alpha * u
        yield x, {"row_var": R, "col_var": C, "variance": V}


@per_tensor
def came(x, gradients, *, lr, beta1, beta2, beta3, eps1, eps2, clip_threshold, weight_decay):
    """Luo et al. 2023, Algorithm 2.

    Authors' code: decay lr * weight_decay * x; tensors with fewer than two dimensions keep a full second
    moment and go without the confidence scaling; the last two dimensions are factored. States a tensor
    does not use are empty.
    """
    factored = x.ndim > 1
    m = np.zeros_like(x)
    r = R = np.zeros(x.shape[:-1]) if factored else np.zeros(0)
    c = C = np.zeros((*x.shape[:-2], x.shape[-1])) if factored else np.zeros(0)
    v = np.zeros(0) if factored else np.zeros_like(x)
    for g in gradients:
        if x.size > 0:
            if factored:
                r = beta2 * r + (1 - beta2) * np.mean(g**2 + eps1, axis=-1)
                c = beta2 * c + (1 - beta2) * np.mean(g**2 + eps1, axis=-2)
                v_estimate = r[..., :, None] * c[..., None, :] / np.mean(r, axis=-1)[..., None, None]
                u = g / np.sqrt(v_estimate)
            else:
                v = beta2 * v + (1 - beta2) * (g**2 + eps1)
                u = g / np.sqrt(v)
            u = u / max(1.0, math.sqrt(np.sum(u**2) / u.size) / clip_threshold)
            m = beta1 * m + (1 - beta1) * u
            if factored:
                U = (u - m) ** 2 + eps2
                R = beta3 * R + (1 - beta3) * np.mean(U, axis=-1)
                C = beta3 * C + (1 - beta3) * np.mean(U, axis=-2)
                S = R[..., :, None] * C[..., None, :] / np.mean(R, axis=-1)[..., None, None]
                step = m / np.sqrt(S)
            else:
                step = m
            x = x - lr * weight_decay * x - lr * step
        yield x, {"m": m, "row": r, "col": c, "v": v, "res_row": R, "res_col": C}
