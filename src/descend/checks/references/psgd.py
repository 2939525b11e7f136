"""PSGD with two Kronecker factors; a tensor with fewer than two dimensions is refused."""

import math

import numpy as np

from .registry import Array, per_tensor

WORD = 2**32


def scrambled(x: int) -> int:
    """lowbias32, a permutation of the 32-bit words (Wellons 2018), one word at a time."""
    x = (x ^ (x >> 16)) * 0x7FEB352D % WORD
    x = (x ^ (x >> 15)) * 0x846CA68B % WORD
    return x ^ (x >> 16)


def gaussian(rows: int, cols: int, t: int, seed: int) -> Array:
    """Standard normal numbers (Box & Muller 1958) that depend on their place, the step and the seed alone."""
    key = scrambled((t + 0x9E3779B9 * seed) % WORD)
    values = []
    for i in range(rows * cols):
        u1 = scrambled((scrambled(2 * i % WORD) + key) % WORD)
        u2 = scrambled((scrambled((2 * i + 1) % WORD) + key) % WORD)
        radius = math.sqrt(-2 * math.log((u1 + 0.5) / WORD))
        values.append(radius * math.cos(2 * math.pi * (u2 + 0.5) / WORD))
    return np.array(values, dtype=np.float64).reshape(rows, cols)


def norm_lower_bound(H: Array) -> float:
    """Li's lower bound of the spectral norm of a symmetric matrix: one power step from its largest column."""
    lengths = [math.sqrt(sum(h * h for h in column)) for column in H.T]
    longest = max(lengths, default=0.0)
    if longest == 0:
        return 0.0
    x = H[:, lengths.index(longest)] @ H
    return float(np.linalg.norm((x / np.linalg.norm(x)) @ H))


@per_tensor
def psgd_kron(
    x, gradients, *, lr, momentum, weight_decay, precondition_lr, update_probability, update_decay, update_start, seed
):
    """Li 2018 and 2022, as Li's and Walters' kron_torch has it: Q2 and Q1 descend the whitening loss.

    kron_torch: the whitening sees the corrected momentum; updates come with a probability that is 1 for
    update_start (500) steps and then falls by update_decay (0.001), counted by a clock; the step's root mean
    square is held below 1.1; decay beside it. Here: V is the Gaussian of the place, step and seed above, and the
    factors' Frobenius norms are balanced at every update (the code: their largest entries, now and then), which
    changes no product of the two.
    """
    if x.ndim < 2:
        raise ValueError(f"psgd_kron takes tensors with two or more dimensions, got shape {x.shape}")
    shape = x.shape
    X = x.reshape(shape[0], math.prod(shape[1:]))
    rows, cols = X.shape
    m = np.zeros_like(X)
    Q1, Q2 = np.eye(rows), np.eye(cols)
    clock = 0
    for t, g in enumerate(gradients, 1):
        m = momentum * m + (1 - momentum) * g.reshape(rows, cols)
        M = m / (1 - momentum**t)
        clock += 1
        n = t - 1
        probability = min(1.0, max(update_probability, math.exp(-update_decay * (n - update_start))))
        if clock * probability >= 1:
            clock = 0
            if x.size > 0:
                V = gaussian(rows, cols, t, int(seed))
                A = Q1 @ M @ Q2.T
                B = np.linalg.inv(Q1).T @ V @ np.linalg.inv(Q2)
                first = np.triu(A @ A.T - B @ B.T) / norm_lower_bound(A @ A.T + B @ B.T)
                second = np.triu(A.T @ A - B.T @ B) / norm_lower_bound(A.T @ A + B.T @ B)
                Q1 = Q1 - precondition_lr * first @ Q1
                Q2 = Q2 - precondition_lr * second @ Q2
                balance = math.sqrt(np.linalg.norm(Q2) / np.linalg.norm(Q1))
                Q1 = balance * Q1
                Q2 = Q2 / balance
        if x.size > 0:
            S = Q1.T @ Q1 @ M @ Q2.T @ Q2
            S = S * min(1.0, 1.1 / (math.sqrt(np.mean(S**2)) + 1e-6))
            X = X - lr * S - lr * weight_decay * X
        yield X.reshape(shape), {"m": m.reshape(shape), "ql": Q1, "qr": Q2, "clock": np.float64(clock)}
