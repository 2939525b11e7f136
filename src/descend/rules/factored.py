"""Factored second moments: one number per row and one per column in place of one per element."""

from ..core.init import per_column, per_row, zeros
from ..core.ops import maximum, mean, minimum, sqrt
from ..core.rule import rule


def _root_mean_square(x):
    return sqrt(mean(x * x))


def _adafactor_step(p, g, v, t, lr, eps1, eps2, d, weight_decay):
    """The clipped, relative step, given an estimate v of the second moment."""
    u = g / sqrt(maximum(v, eps1 * eps1))
    u = u / maximum(1.0, _root_mean_square(u) / d)
    size = maximum(eps2, _root_mean_square(p)) * minimum(lr, 1 / sqrt(t))
    return (1 - lr * weight_decay) * p - size * u


@rule
def adafactor_vector(
    p, g, v=zeros("variance"), *, t, lr=1e-2, beta2_decay=-0.8, eps1=1.1920929e-07, eps2=1e-3, d=1.0, weight_decay=0.0
):
    """Adafactor for vectors: the whole second moment (Shazeer & Stern 2018, Algorithm 5; torch.optim.Adafactor)."""
    beta2 = 1 - t**beta2_decay
    v = beta2 * v + (1 - beta2) * g * g
    p = _adafactor_step(p, g, v, t, lr, eps1, eps2, d, weight_decay)
    return p, v


@rule(vectors=adafactor_vector)
def adafactor(
    p, g, r=per_row("row_var"), c=per_column("col_var"), *,
    t, lr=1e-2, beta2_decay=-0.8, eps1=1.1920929e-07, eps2=1e-3, d=1.0, weight_decay=0.0,
):  # fmt: skip
    """Adafactor: Adam's second moment from rows and columns (Shazeer & Stern 2018, Algorithm 4; torch.optim.Adafactor).

    Dialect: torch's. lr bounds the relative step, ε₁ bounds the estimate from below instead of being added.
    optax and pytorch_optimizer add ε₁ to the squares; optax has no bound of 1/√t and does not scale the decay
    by lr; pytorch_optimizer's decay is relative to |p|.
    """
    beta2 = 1 - t**beta2_decay
    r = beta2 * r + (1 - beta2) * mean(g * g, over="row")
    c = beta2 * c + (1 - beta2) * mean(g * g, over="column")
    v = r * c / maximum(mean(r, over="column"), eps1)
    p = _adafactor_step(p, g, v, t, lr, eps1, eps2, d, weight_decay)
    return p, r, c


@rule
def came_vector(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *,
    lr=2e-4, beta1=0.9, beta2=0.999, beta3=0.9999, eps1=1e-30, eps2=1e-16, clip_threshold=1.0, weight_decay=0.0,
):  # fmt: skip
    """CAME for vectors: no factors, no confidence (Luo et al. 2023, Algorithm 2, as in the authors' code)."""
    v = beta2 * v + (1 - beta2) * (g * g + eps1)
    u = g / sqrt(v)
    u = u / maximum(1.0, _root_mean_square(u) / clip_threshold)
    m = beta1 * m + (1 - beta1) * u
    p = (1 - lr * weight_decay) * p - lr * m
    return p, m, v


@rule(vectors=came_vector)
def came(
    p, g, m=zeros("exp_avg"), row=per_row("exp_avg_sq_row"), col=per_column("exp_avg_sq_col"),
    res_row=per_row("exp_avg_res_row"), res_col=per_column("exp_avg_res_col"), *,
    lr=2e-4, beta1=0.9, beta2=0.999, beta3=0.9999, eps1=1e-30, eps2=1e-16, clip_threshold=1.0, weight_decay=0.0,
):  # fmt: skip
    """CAME: Adafactor with momentum, slowed where momentum and update disagree (Luo et al. 2023, Algorithm 2)."""
    row = beta2 * row + (1 - beta2) * mean(g * g + eps1, over="row")
    col = beta2 * col + (1 - beta2) * mean(g * g + eps1, over="column")
    u = g / (sqrt(row / mean(row, over="column")) * sqrt(col))
    u = u / maximum(1.0, _root_mean_square(u) / clip_threshold)
    m = beta1 * m + (1 - beta1) * u
    doubt = (u - m) ** 2 + eps2
    res_row = beta3 * res_row + (1 - beta3) * mean(doubt, over="row")
    res_col = beta3 * res_col + (1 - beta3) * mean(doubt, over="column")
    p = (1 - lr * weight_decay) * p - lr * m / (sqrt(res_row / mean(res_row, over="column")) * sqrt(res_col))
    return p, m, row, col, res_row, res_col
