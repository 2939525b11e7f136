"""Averaging: the point you train is not the point you ship.

Each rule says what to ship in ``shipped_point``; ``with opt.shipped():`` puts it in place for an evaluation.
"""

from ..core.init import full, number, start, zeros
from ..core.ops import maximum, minimum, sqrt, where
from ..core.rule import rule


def _averaged(p, ax, eta, mu):
    return ax


@rule(shipped_point=_averaged)
def asgd(
    p, g, ax=zeros("ax"), eta=full("lr", shape="tensor")("eta"), mu=full(1.0, shape="tensor")("mu"), *,
    t, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6,
):  # fmt: skip
    """ASGD: ship the average of the path (Polyak & Juditsky 1992; torch.optim.ASGD).

    Dialect: torch's, with rate and weight of the average set after each step, for the next one.
    """
    p = (1 - lambd * eta) * p - eta * g
    ax = ax + mu * (p - ax)
    eta = lr / (1 + lambd * lr * t) ** alpha
    mu = 1 / maximum(1.0, t - t0)
    return p, ax, eta, mu


# Schedule-Free: z takes the steps, x averages z with weights lr², gradients are taken at y between
# them, and y is what the parameters hold. x follows from y and z, so it costs no memory.


def _schedule_free(p, z, *state, momentum):
    return (p - (1 - momentum) * z) / momentum


@rule(shipped_point=_schedule_free)
def schedule_free_sgd(
    p, g, z=start("z"), lr_max=number, weight_sum=number, *, t, lr=1.0, momentum=0.9, weight_decay=0.0, warmup_steps=0.0
):
    """Schedule-Free SGD: averaging in place of a learning-rate schedule (Defazio et al. 2024, eq. 3-5).

    Dialect: the published package's, with linear warm-up, weights lr_max² and decay at y; at a rate of 0 nothing
    moves, where it averages. In warm-up optax steps with the rate of the step before and averages with the new one.
    """
    gamma = lr * minimum(1.0, t / maximum(warmup_steps, 1.0))
    lr_max = maximum(lr_max, gamma)
    weight = where(gamma > 0, lr_max**2, 0.0)
    weight_sum = weight_sum + weight
    c = where(weight_sum > 0, weight / weight_sum, 0.0)
    x = (p - (1 - momentum) * z) / momentum
    z = z - gamma * (g + weight_decay * p)
    p = where(gamma > 0, (1 - momentum) * z + momentum * ((1 - c) * x + c * z), p)
    return p, z, lr_max, weight_sum


def _schedule_free_adam(p, z, *state, beta1):
    return (p - (1 - beta1) * z) / beta1


@rule(shipped_point=_schedule_free_adam)
def schedule_free_adamw(
    p, g, z=start("z"), v=zeros("exp_avg_sq"), lr_max=number, weight_sum=number, *,
    t, lr=2.5e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, warmup_steps=0.0,
):  # fmt: skip
    """Schedule-Free AdamW: the average takes the place of momentum and schedule (Defazio et al. 2024, Algorithm 1).

    Dialect: the published package's: v is bias-corrected before the root; the paper scales lr instead. At a rate of 0
    only v moves. In warm-up optax steps with the rate of the step before and averages with the new one.
    """
    gamma = lr * minimum(1.0, t / maximum(warmup_steps, 1.0))
    lr_max = maximum(lr_max, gamma)
    weight = where(gamma > 0, lr_max**2, 0.0)
    weight_sum = weight_sum + weight
    c = where(weight_sum > 0, weight / weight_sum, 0.0)
    v = beta2 * v + (1 - beta2) * g * g
    x = (p - (1 - beta1) * z) / beta1
    z = z - gamma * (g / (sqrt(v) / sqrt(1 - beta2**t) + eps) + weight_decay * p)
    p = where(gamma > 0, (1 - beta1) * z + beta1 * ((1 - c) * x + c * z), p)
    return p, z, v, lr_max, weight_sum


@rule(shipped_point=_schedule_free_adam)
def schedule_free_radam(
    p, g, z=start("z"), v=zeros("exp_avg_sq"), lr_max=number, weight_sum=number, *,
    t, lr=2.5e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0,
):  # fmt: skip
    """Schedule-Free RAdam: rectification in place of warm-up (Defazio et al. 2024; Liu et al. 2020).

    Dialect: RAdamScheduleFree of the published package: nothing moves until ρ > 4.
    """
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
    inside = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
    gamma = lr * where(rho > 4, sqrt(maximum(inside, 0.0)), 0.0)
    lr_max = maximum(lr_max, gamma)
    weight = where(gamma > 0, lr_max**2, 0.0)
    weight_sum = weight_sum + weight
    c = where(weight_sum > 0, weight / weight_sum, 0.0)
    v = beta2 * v + (1 - beta2) * g * g
    x = (p - (1 - beta1) * z) / beta1
    z = z - gamma * (g / (sqrt(v) / sqrt(1 - beta2**t) + eps) + weight_decay * p)
    p = where(gamma > 0, (1 - beta1) * z + beta1 * ((1 - c) * x + c * z), p)
    return p, z, v, lr_max, weight_sum
