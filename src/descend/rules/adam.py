"""The Adam family: momentum on top, the root of the second moment below.

"Adam" has at least six formulas in the field. Each rule here is one of them and says which.
√v̂ is written √v / √(1 - β₂ᵗ): v̂ itself overflows float32 at gradients whose v does not.
"""

from ..core.init import full, zeros
from ..core.ops import absolute, maximum, sqrt, where
from ..core.rule import rule


@rule
def adam_uncorrected(p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam without bias correction: RMSprop with momentum on the gradient (Kingma & Ba 2015, first sketch).

    Dialect: ε outside the root. The first steps are too long by (1-β₁)/√(1-β₂): 3.2 times at the defaults.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    p = p - lr * m / (sqrt(v) + eps)
    return p, m, v


@rule
def adam(p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam: both moments corrected for their start at zero (Kingma & Ba 2015, Algorithm 1; torch.optim.Adam)."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    root = sqrt(v) / sqrt(1 - beta2**t)
    p = p - lr * m_hat / (root + eps)
    return p, m, v


@rule
def adam_epsilon_hat(p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam with ε̂: ε beside the uncorrected root (Kingma & Ba 2015, end of section 2; TensorFlow, Keras).

    Dialect: also torch.optim.SparseAdam's. In the first steps this ε weighs up to 1/√(1 - β₂) times adam's.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    p = p - lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + eps)
    return p, m, v


@rule
def adam_eps_inside(p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam, ε inside: divides by √(v̂ + ε) (Kingma & Ba 2015, as in some lecture notes; optax's eps_root).

    Dialect: the paper and torch add ε to √v̂; see adam.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    p = p - lr * m_hat / sqrt(v_hat + eps)
    return p, m, v


@rule
def adamw(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2
):
    """AdamW: Adam, with the decay of weights apart from the gradient (Loshchilov & Hutter 2019, Algorithm 2).

    Dialect: decay is lr * weight_decay, as in torch.optim.AdamW; the paper multiplies by the schedule alone.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    root = sqrt(v) / sqrt(1 - beta2**t)
    p = (1 - lr * weight_decay) * p - lr * m_hat / (root + eps)
    return p, m, v


@rule
def amsgrad(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), v_max=zeros("max_exp_avg_sq"), *,
    t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8,
):  # fmt: skip
    """AMSGrad: Adam whose second moment never falls (Reddi, Kale & Kumar 2018, Algorithm 2).

    Dialect: torch's, which takes the maximum before the bias correction; the paper corrects nothing. optax
    takes it after.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    v_max = maximum(v_max, v)
    p = p - lr * (m / (1 - beta1**t)) / (sqrt(v_max) / sqrt(1 - beta2**t) + eps)
    return p, m, v, v_max


@rule
def amsgradw(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), v_max=zeros("max_exp_avg_sq"), *,
    t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2,
):  # fmt: skip
    """AMSGrad with decoupled decay: what torch.optim.AdamW(amsgrad=True) computes (Reddi et al. 2018).

    Dialect: torch's; see amsgrad and adamw.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    v_max = maximum(v_max, v)
    p = (1 - lr * weight_decay) * p - lr * (m / (1 - beta1**t)) / (sqrt(v_max) / sqrt(1 - beta2**t) + eps)
    return p, m, v, v_max


@rule
def adamax(p, g, m=zeros("exp_avg"), u=zeros("exp_inf"), *, t, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """AdaMax: the infinity norm in place of the second moment (Kingma & Ba 2015, Algorithm 2; torch.optim.Adamax).

    Dialect: torch's ε is added to |g| inside the maximum; the paper has none.
    """
    m = beta1 * m + (1 - beta1) * g
    u = maximum(beta2 * u, absolute(g) + eps)
    p = p - lr / (1 - beta1**t) * m / u
    return p, m, u


def _nadam_momentum(beta1, t, momentum_decay):
    return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))


@rule
def nadam(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), mu_product=full(1.0, shape="tensor"), *,
    t, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay=4e-3,
):  # fmt: skip
    """NAdam: Adam with Nesterov's look-ahead and momentum that warms up (Dozat 2016, Algorithm 8; torch).

    Dialect: torch's. optax keeps the momentum constant and corrects m for one step more than were taken.
    """
    mu = _nadam_momentum(beta1, t, momentum_decay)
    mu_next = _nadam_momentum(beta1, t + 1, momentum_decay)
    mu_product = mu_product * mu
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    ahead = mu_next / (1 - mu_product * mu_next) * m + (1 - mu) / (1 - mu_product) * g
    p = p - lr * ahead / (sqrt(v) / sqrt(1 - beta2**t) + eps)
    return p, m, v, mu_product


@rule
def nadamw(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), mu_product=full(1.0, shape="tensor"), *,
    t, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2, momentum_decay=4e-3,
):  # fmt: skip
    """NAdamW: NAdam with decoupled decay (Dozat 2016; Loshchilov & Hutter 2019; torch.optim.NAdam decoupled).

    Dialect: torch's. optax keeps the momentum constant and corrects m for one step more than were taken.
    """
    mu = _nadam_momentum(beta1, t, momentum_decay)
    mu_next = _nadam_momentum(beta1, t + 1, momentum_decay)
    mu_product = mu_product * mu
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    ahead = mu_next / (1 - mu_product * mu_next) * m + (1 - mu) / (1 - mu_product) * g
    p = (1 - lr * weight_decay) * p - lr * ahead / (sqrt(v) / sqrt(1 - beta2**t) + eps)
    return p, m, v, mu_product


def _rectified(m_hat, v, beta2, t, eps):
    """The direction of RAdam: Adam's once its variance is known well enough, plain momentum before."""
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
    inside = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
    return m_hat * where(rho > 5, sqrt(maximum(inside, 0.0)) * sqrt(1 - beta2**t) / (sqrt(v) + eps), 1.0)


@rule
def radam(p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """RAdam: a warm-up that follows from the variance of the rate (Liu et al. 2020, Algorithm 2; torch).

    Dialect: torch's. ε is added to the uncorrected root, and rectification begins above ρ = 5, not 4. optax
    adds ε to the corrected root.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    p = p - lr * _rectified(m / (1 - beta1**t), v, beta2, t, eps)
    return p, m, v


@rule
def radamw(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2
):
    """RAdam with decoupled decay (Liu et al. 2020; torch.optim.RAdam with decoupled_weight_decay=True)."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    rectified = _rectified(m / (1 - beta1**t), v, beta2, t, eps)
    p = (1 - lr * weight_decay) * p - lr * rectified
    return p, m, v
