"""What came after Adam: each changes one thing about its two moments."""

from ..core.init import first_gradient, full, zeros
from ..core.ops import absolute, maximum, minimum, norm, sign, sqrt, where
from ..core.rule import rule


@rule
def yogi(
    p, g, m=zeros("exp_avg"), v=full("initial_accumulator")("exp_avg_sq"), *,
    t, lr=1e-2, beta1=0.9, beta2=0.999, eps=1e-3, initial_accumulator=1e-6,
):  # fmt: skip
    """Yogi: the second moment moves by a bounded amount, up or down (Zaheer et al. 2018, Algorithm 2).

    Dialect: both moments are bias-corrected, as in the field's code; the paper has no correction. Only v
    starts at initial_accumulator; optax and pytorch_optimizer start m there too.
    """
    m = beta1 * m + (1 - beta1) * g
    v = v - (1 - beta2) * sign(v - g * g) * g * g
    p = p - lr * (m / (1 - beta1**t)) / (sqrt(v) / sqrt(1 - beta2**t) + eps)
    return p, m, v


@rule
def adabelief(p, g, m=zeros("exp_avg"), s=zeros("exp_avg_var"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-16):
    """AdaBelief: trusts a gradient that its average foresaw (Zhuang et al. 2020, Algorithm 2).

    Dialect: the paper's. ε enters twice, in the recursion of s and beside the root.
    """
    m = beta1 * m + (1 - beta1) * g
    s = beta2 * s + (1 - beta2) * (g - m) ** 2 + eps
    p = p - lr * (m / (1 - beta1**t)) / (sqrt(s) / sqrt(1 - beta2**t) + eps)
    return p, m, s


@rule
def laprop(p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=4e-4, beta1=0.9, beta2=0.999, eps=1e-15):
    """LaProp: scale first, then average, so that momentum and adaptivity do not disturb each other (Ziyin et al. 2020).

    Dialect: ε beside the corrected root, as in the authors' code; pytorch_optimizer adds it to the uncorrected
    one, and 1e-15 to v.
    """
    v = beta2 * v + (1 - beta2) * g * g
    m = beta1 * m + (1 - beta1) * g / (sqrt(v) / sqrt(1 - beta2**t) + eps)
    p = p - lr / (1 - beta1**t) * m
    return p, m, v


@rule
def adopt(p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.9999, eps=1e-6):
    """ADOPT: divides by the second moment of the past only, clipped at t^¼ (Taniguchi et al. 2024, Algorithm 2).

    Dialect: the paper counts from 0 and so does the clipping here (pytorch_optimizer: from 1); the limit 0 lets
    the first gradient only fill v.
    """
    limit = maximum(t - 1, 0.0) ** 0.25
    scaled = minimum(maximum(g / maximum(sqrt(v), eps), -limit), limit)
    m = beta1 * m + (1 - beta1) * scaled
    p = p - lr * m
    v = where(t > 1, beta2 * v + (1 - beta2) * g * g, g * g)
    return p, m, v


@rule
def adan(
    p, g, m=zeros("exp_avg"), d=zeros("exp_avg_diff"), n=zeros("exp_avg_sq"), g_prev=first_gradient("previous_grad"), *,
    t, lr=1e-3, beta1=0.98, beta2=0.92, beta3=0.99, eps=1e-8, weight_decay=0.0,
):  # fmt: skip
    """Adan: Nesterov momentum from differences of gradients (Xie et al. 2022, Algorithm 1).

    Dialect: betas as in the authors' code, 1 minus the paper's; moments bias-corrected as there. optax weighs
    the change by 1 - β₂ and adds the decay to the step.
    """
    change = g - g_prev
    m = beta1 * m + (1 - beta1) * g
    d = beta2 * d + (1 - beta2) * change
    n = beta3 * n + (1 - beta3) * (g + beta2 * change) ** 2
    step = (m / (1 - beta1**t) + beta2 * (d / (1 - beta2**t))) / (sqrt(n) / sqrt(1 - beta3**t) + eps)
    p = (p - lr * step) / (1 + lr * weight_decay)
    g_prev = g
    return p, m, d, n, g_prev


@rule
def ademamix(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), slow=zeros("exp_avg_slow"), *,
    t, lr=1e-3, beta1=0.9, beta2=0.999, beta3=0.9999, alpha=5.0, eps=1e-8, weight_decay=0.0,
):  # fmt: skip
    """AdEMAMix: a second, very slow momentum beside the first (Pagliardini et al. 2024, Algorithm 1).

    Dialect: alpha and beta3 are constants here; the paper warms both up: give them schedules.
    """
    m = beta1 * m + (1 - beta1) * g
    slow = beta3 * slow + (1 - beta3) * g
    v = beta2 * v + (1 - beta2) * g * g
    step = (m / (1 - beta1**t) + alpha * slow) / (sqrt(v) / sqrt(1 - beta2**t) + eps)
    p = p - lr * (step + weight_decay * p)
    return p, m, v, slow


@rule
def grams(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0
):
    """Grams: the size of Adam's step, the sign of the gradient (Cao et al. 2024, Algorithm 1)."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    size = absolute(m) / (1 - beta1**t) / (sqrt(v) / sqrt(1 - beta2**t) + eps)
    p = p - lr * (sign(g) * size + weight_decay * p)
    return p, m, v


@rule
def mars(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), g_prev=first_gradient("previous_grad"), *,
    t, lr=3e-3, beta1=0.95, beta2=0.99, eps=1e-8, weight_decay=0.0, gamma=0.025,
):  # fmt: skip
    """MARS-AdamW: a gradient corrected by its change, to reduce variance (Yuan et al. 2024, Algorithm 2, approximate).

    Dialect: the first change is zero, as in the paper; the authors' code takes the gradient before the first as
    zero. pytorch_optimizer does so too, adds ε to the uncorrected root and 1e-15 to v.
    """
    c = g + gamma * beta1 / (1 - beta1) * (g - g_prev)
    c = c / maximum(norm(c), 1.0)
    m = beta1 * m + (1 - beta1) * c
    v = beta2 * v + (1 - beta2) * c * c
    p = p - lr * (m / (1 - beta1**t) / (sqrt(v) / sqrt(1 - beta2**t) + eps) + weight_decay * p)
    g_prev = g
    return p, m, v, g_prev


@rule
def sophia(p, g, m=zeros("exp_avg"), h=zeros("hessian"), *, lr=1e-4, beta1=0.96, rho=0.04, eps=1e-15, weight_decay=0.1):
    """Sophia: momentum over curvature, clipped at one (Liu et al. 2023, Algorithm 3).

    Dialect: the step alone. h, an average of estimates of the Hessian's diagonal, is the training loop's to
    write into the state every few steps; the paper's γ is rho, as in the authors' code. optax bias-corrects m.
    """
    m = beta1 * m + (1 - beta1) * g
    step = minimum(maximum(m / maximum(rho * h, eps), -1.0), 1.0)
    p = (1 - lr * weight_decay) * p - lr * step
    return p, m, h


@rule
def adahessian(
    p,
    g,
    m=zeros("exp_avg"),
    v=zeros("exp_hessian_diag_sq"),
    h=full(1.0)("hessian"),
    *,
    t,
    lr=0.1,
    beta1=0.9,
    beta2=0.999,
    eps=1e-4,
    weight_decay=0.0,
):
    """AdaHessian: Adam, with the Hessian's diagonal where the squared gradient was (Yao et al. 2021, Algorithm 1).

    Dialect: the step alone, with the paper's k = 1. h, the newest estimate of the diagonal, averaged over space, is the
    training loop's to write into the state: before every step in the paper; between two it counts again, and before
    the first it is 1, so that the steps are momentum's. Decay is lr * weight_decay, as in the authors' code.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * h * h
    root = sqrt(v) / sqrt(1 - beta2**t)
    p = (1 - lr * weight_decay) * p - lr * (m / (1 - beta1**t)) / (root + eps)
    return p, m, v, h
