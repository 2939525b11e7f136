"""Changes of a rule's step: p is the point before it, q the point the rule wants, g the gradients at p.

(p list, q list, g list, settings) -> new q list; with a state: (p, q, g, state, settings) -> (new q list,
new state list). t counts the steps from 1; every state begins at the start parameters.
"""

import numpy as np

from .registry import after


@after
def cautious(p, q, g):
    """Liang et al. 2024, Algorithm 1: only entries of the step that agree with the gradient's sign.

    The mask is divided by its mean over the tensor, at least 1e-3, as the authors' C-AdamW does (the paper
    multiplies by size / (ones + 1)). Here u is the rule's whole step, decay included.
    """
    new = []
    for p_i, q_i, g_i in zip(p, q, g, strict=True):
        u = p_i - q_i
        mask = np.asarray(u * g_i > 0, dtype=np.float64)
        mean = np.sum(mask) / max(mask.size, 1)
        new.append(np.asarray(p_i - u * mask / max(mean, 1e-3)))
    return new


@after
def cautious_bounded(p, q, g, *, least):
    """Liang et al. 2024, Algorithm 1, with size / ones taken over the entries whose gradient is not zero.

    The factor is at most 1 / least; with so few entries that least times their number is below one, their number.
    """
    new = []
    for p_i, q_i, g_i in zip(p, q, g, strict=True):
        u = p_i - q_i
        mask = u * g_i > 0
        size, ones = np.count_nonzero(g_i), np.count_nonzero(mask)
        new.append(np.asarray(p_i - np.where(mask, u, 0.0) * (size / max(ones, least * size, 1.0))))
    return new


@after
def cautious_weight_decay(p, q, g, *, lr, weight_decay):
    """Chen et al. 2025, "Cautious Weight Decay", Algorithm 1: decay only where the step goes that way too.

    The paper decays also where the step is zero (u p >= 0); here u p > 0.
    """
    new = []
    for p_i, q_i in zip(p, q, strict=True):
        u = p_i - q_i
        new.append(np.asarray(q_i - lr * weight_decay * np.where(u * p_i > 0, p_i, 0.0)))
    return new


@after
def ema(p, q, g, e, *, decay):
    """Polyak & Juditsky 1992 with exponential weights: e follows the points and changes none."""
    new_e = [np.asarray(decay * e_i + (1 - decay) * q_i) for e_i, q_i in zip(e, q, strict=True)]
    return list(q), new_e


@after
def lookahead(p, q, g, slow, *, t, k, alpha):
    """Zhang et al. 2019, Algorithm 1: after every k-th step slow (phi) goes alpha of the way, q joins it."""
    if t % k != 0:
        return list(q), list(slow)
    phi = [np.asarray(s_i + alpha * (q_i - s_i)) for s_i, q_i in zip(slow, q, strict=True)]
    return list(phi), list(phi)


@after
def swa(p, q, g, average, *, t, start):
    """Izmailov et al. 2018, Algorithm 1: the mean of the points after steps start, ..., t (start >= 1).

    Before step start the average is a copy of the point; q is left as it is.
    """
    n_models = max(t - start, 0)  # how many the average holds already
    new = [np.asarray((a_i * n_models + q_i) / (n_models + 1)) for a_i, q_i in zip(average, q, strict=True)]
    return list(q), new
