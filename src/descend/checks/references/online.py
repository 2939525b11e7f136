"""Rules from online learning."""

import numpy as np

from .registry import per_tensor


@per_tensor
def ftrl(x, gradients, *, lr, smoothing, l1, l2):
    """McMahan et al. 2013, Algorithm 1 (per-coordinate FTRL-Proximal), alpha = lr, beta = smoothing.

    z starts at zero as in the paper, where x starts at zero too; with another start the first step
    (sigma = |g| / lr) keeps x only as far as smoothing and l1, l2 allow. With alpha = 0 the step lengths are 0:
    x stays, and no loss is counted.

    The paper's section 3.1: the proximal terms add up to sigma_{1:t} = 1 / eta_t. Where alpha changes (``lr`` with a
    number for each step), sigma_t = 1 / eta_t - 1 / eta_{t-1} has both alphas in it.
    """
    z = n = np.zeros_like(x)
    before = 0.0
    for t, g in enumerate(gradients):
        alpha = lr[t] if isinstance(lr, tuple) else lr
        if alpha == 0:
            yield x, {"z": z, "n": n, "last": before}
            continue
        if before == 0:
            sigma = (np.sqrt(n + g**2) - np.sqrt(n)) / alpha
        else:
            sigma = (smoothing + np.sqrt(n + g**2)) / alpha - (smoothing + np.sqrt(n)) / before
        before = alpha
        z = z + g - sigma * x
        n = n + g**2
        curvature = (smoothing + np.sqrt(n)) / alpha + l2
        # a coordinate that never saw a gradient has curvature 0 when smoothing = l2 = 0
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.where(np.abs(z) <= l1, 0.0, -(z - np.sign(z) * l1) / curvature)
        yield x, {"z": z, "n": n, "last": before}
