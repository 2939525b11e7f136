"""Adaptive rates: every parameter gets a learning rate of its own, from the size of its gradients.

Each rule says where its ε stands: outside the root (√v + ε) or inside (√(v + ε)). The two differ by
orders of magnitude once v is small, so they are different rules.
"""

from ..core.init import full, zeros
from ..core.ops import sqrt
from ..core.rule import rule


@rule
def adagrad(
    p, g, s=full("initial_accumulator_value")("sum"), *, t, lr=1e-2, lr_decay=0.0,
    initial_accumulator_value=0.0, eps=1e-10,
):  # fmt: skip
    """Adagrad: rates fall with the sum of squared gradients (Duchi, Hazan & Singer 2011; torch.optim.Adagrad).

    Dialect: ε outside the root, and lr_decay, are torch's.
    """
    s = s + g * g
    p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)
    return p, s


@rule
def adagrad_eps_inside(p, g, s=zeros("sum"), *, lr=1e-2, eps=1e-7):
    """Adagrad, ε inside: the rate is 1/√(sum + ε) (Duchi, Hazan & Singer 2011, as in many lecture notes).

    Dialect: torch adds ε outside the root; see adagrad.
    """
    s = s + g * g
    p = p - lr * g / sqrt(s + eps)
    return p, s


@rule
def rmsprop(p, g, v=zeros("square_avg"), *, lr=1e-2, alpha=0.99, eps=1e-8):
    """RMSprop: Adagrad with a leaky sum, so rates can rise again (Tieleman & Hinton 2012, lecture 6.5).

    Dialect: ε outside the root, as in torch.optim.RMSprop; TensorFlow and optax put it inside.
    """
    v = alpha * v + (1 - alpha) * g * g
    p = p - lr * g / (sqrt(v) + eps)
    return p, v


@rule
def rmsprop_centered(p, g, v=zeros("square_avg"), a=zeros("grad_avg"), *, lr=1e-2, alpha=0.99, eps=1e-8):
    """RMSprop, centred: divides by the standard deviation, not the raw second moment (Graves 2013, eq. 38-40).

    Dialect: ε outside the root, as in torch.optim.RMSprop; Graves has it inside.
    """
    v = alpha * v + (1 - alpha) * g * g
    a = a + (1 - alpha) * (g - a)
    p = p - lr * g / (sqrt(v - a * a) + eps)
    return p, v, a


@rule
def rmsprop_momentum(
    p, g, v=zeros("square_avg"), b=zeros("momentum_buffer"), *, lr=1e-2, alpha=0.99, momentum=0.9, eps=1e-8
):
    """RMSprop with momentum on the scaled gradient (Tieleman & Hinton 2012; torch.optim.RMSprop).

    Dialect: ε outside the root; momentum accumulates (b = momentum * b + step), as in torch.
    """
    v = alpha * v + (1 - alpha) * g * g
    b = momentum * b + g / (sqrt(v) + eps)
    p = p - lr * b
    return p, v, b


@rule
def rmsprop_centered_momentum(
    p, g, v=zeros("square_avg"), a=zeros("grad_avg"), b=zeros("momentum_buffer"), *,
    lr=1e-2, alpha=0.99, momentum=0.9, eps=1e-8,
):  # fmt: skip
    """RMSprop, centred, with momentum (Graves 2013, eq. 38-41; torch.optim.RMSprop).

    Dialect: ε outside the root and accumulating momentum, as in torch; Graves has both otherwise.
    """
    v = alpha * v + (1 - alpha) * g * g
    a = a + (1 - alpha) * (g - a)
    b = momentum * b + g / (sqrt(v - a * a) + eps)
    p = p - lr * b
    return p, v, a, b


@rule
def adadelta(p, g, v=zeros("square_avg"), u=zeros("acc_delta"), *, lr=1.0, rho=0.9, eps=1e-6):
    """Adadelta: the step has the unit of p, RMS of past steps over RMS of gradients (Zeiler 2012, Algorithm 1).

    Dialect: torch's lr multiplies the step; the paper has none (lr = 1).
    """
    v = rho * v + (1 - rho) * g * g
    step = sqrt(u + eps) / sqrt(v + eps) * g
    u = rho * u + (1 - rho) * step * step
    p = p - lr * step
    return p, v, u
