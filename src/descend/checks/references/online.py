"""Rules from online learning."""

import numpy as np

from .registry import Array, Gradients, Trace, per_tensor


@per_tensor
def ftrl(x: Array, gradients: Gradients, *, lr: float, smoothing: float, l1: float, l2: float) -> Trace:
    """McMahan et al. 2013, Algorithm 1 (per-coordinate FTRL-Proximal), alpha = lr, beta = smoothing.

    z starts at zero as in the paper, where x starts at zero too; with another start the first step
    (sigma = |g| / lr) keeps x only as far as smoothing and l1, l2 allow. With alpha = 0 the step lengths are 0:
    x stays, and no loss is counted.
    """
    z = n = np.zeros_like(x)
    for g in gradients:
        if lr == 0:
            yield x, {"z": z, "n": n}
            continue
        sigma = (np.sqrt(n + g**2) - np.sqrt(n)) / lr
        z = z + g - sigma * x
        n = n + g**2
        curvature = (smoothing + np.sqrt(n)) / lr + l2
        # a coordinate that never saw a gradient has curvature 0 when smoothing = l2 = 0
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.where(np.abs(z) <= l1, 0.0, -(z - np.sign(z) * l1) / curvature)
        yield x, {"z": z, "n": n}
