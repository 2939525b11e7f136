"""Rules that tune themselves: they estimate how far the solution is, and need no learning rate.

``lr`` is a factor, 1 in the papers; a schedule on it still helps. The estimate is one number for all
parameters, from sums over all of them; ``prodigy_tensor`` has one for each tensor.
"""

from ..core.init import common, full, number, start, zeros
from ..core.ops import absolute, maximum, mean, minimum, norm, sqrt, total, where
from ..core.rule import rule


@rule
def dadapt_sgd(
    p, g, z=start("z"), s=zeros("s"), d=full("d0", shape="all"), g0=common, numerator=common, *,
    lr=1.0, momentum=0.9, d0=1e-6,
):  # fmt: skip
    """D-Adaptation for SGD: a bound on the distance takes the place of lr (Defazio & Mishchenko 2023, Algorithm 4).

    Dialect: momentum by averaging iterates; the first gradient that is not zero sets the scale.
    pytorch_optimizer rounds its norm to float32.
    """
    g0 = where(g0 > 0, g0, norm(g, over="all"))
    step = where(g0 > 0, d / g0, 0.0)
    numerator = numerator + step * total(lr * g * s, over="all")
    s = s + step * lr * g
    z = z - step * lr * g
    p = where(g0 > 0, p + (1 - momentum) * (z - p), p)
    distance = norm(s, over="all")
    d = where(distance > 0, maximum(d, 2 * numerator / distance), d)
    return p, z, s, d, g0, numerator


@rule
def dadapt_adam(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), s=zeros("s"), d=full("d0", shape="all"), r=common, *,
    lr=1.0, beta1=0.9, beta2=0.999, eps=1e-8, d0=1e-6,
):  # fmt: skip
    """D-Adaptation for Adam: the same bound under Adam's metric (Defazio & Mishchenko 2023, Algorithm 5).

    Dialect: the inner product is weighted by the new denominator; the authors' package takes the one before.
    pytorch_optimizer and optax take the one before as well; optax bias-corrects lr.
    """
    decay = sqrt(beta2)
    m = beta1 * m + (1 - beta1) * d * lr * g
    v = beta2 * v + (1 - beta2) * g * g
    p = p - m / (sqrt(v) + eps)
    r = decay * r + (1 - decay) * d * total(lr * g * s / (sqrt(v) + eps), over="all")
    s = decay * s + (1 - decay) * d * lr * g
    distance = total(absolute(s), over="all")
    d = where(distance > 0, maximum(d, r / ((1 - decay) * distance)), d)
    return p, m, v, s, d, r


@rule
def prodigy(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), s=zeros("s"), p0=start("p0"),
    d=full("d0", shape="all"), r=common, *, lr=1.0, beta1=0.9, beta2=0.999, eps=1e-8, d0=1e-6,
):  # fmt: skip
    """Prodigy: D-Adaptation that measures from the start point (Mishchenko & Defazio 2023, Algorithm 4).

    Dialect: the paper's. The step uses the estimate d of the step before throughout; the authors' package uses
    the new one in ε. pytorch_optimizer and optax do so too; optax bias-corrects lr.
    """
    decay = sqrt(beta2)
    m = beta1 * m + (1 - beta1) * d * g
    v = beta2 * v + (1 - beta2) * d * d * g * g
    r = decay * r + (1 - decay) * d * d * total(lr * g * (p0 - p), over="all")
    s = decay * s + (1 - decay) * lr * d * d * g
    p = p - lr * d * m / (sqrt(v) + d * eps)
    distance = total(absolute(s), over="all")
    d = where(distance > 0, maximum(d, r / distance), d)
    return p, m, v, s, p0, d, r


@rule
def prodigy_tensor(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), s=zeros("s"), p0=start("p0"),
    d=full("d0", shape="tensor"), r=number, *,
    lr=1.0, beta1=0.9, beta2=0.999, eps=1e-8, d0=1e-6, d0_rel=0.0, growth_rate=1.2,
):  # fmt: skip
    """Prodigy, tensor by tensor: each has an estimate of its own (Mishchenko & Defazio 2023, Algorithm 4, per tensor).

    Dialect: as prodigy, with sums over a tensor instead of all of them. An estimate rises at most by growth_rate in a
    step (the authors' package has such a bound, without end by default). Where d0_rel times the root mean square that
    the tensor began with is above 0, it is at least that, and falls towards it by √β₂ a step while there is no larger
    one; else it never falls. LoganBooker's prodigy-plus-schedule-free keeps one for each parameter group.
    """
    decay = sqrt(beta2)
    m = beta1 * m + (1 - beta1) * d * g
    v = beta2 * v + (1 - beta2) * d * d * g * g
    r = decay * r + (1 - decay) * d * d * total(lr * g * (p0 - p))
    s = decay * s + (1 - decay) * lr * d * d * g
    p = p - lr * d * m / (sqrt(v) + d * eps)
    distance, least = total(absolute(s)), d0_rel * sqrt(mean(p0 * p0))
    kept = where(least > 0, maximum(decay * d, least), d)
    d = where(distance > 0, maximum(kept, minimum(r / distance, growth_rate * d)), kept)
    return p, m, v, s, p0, d, r


@rule
def dog(p, g, p0=start("p0"), far=common, squares=full("eps", shape="all"), *, lr=1.0, reps_rel=1e-6, eps=1e-8):
    """DoG: the rate is the distance gone over all gradients so far (Ivgi et al. 2023, eq. DoG)."""
    begin = where(far > 0, far, reps_rel * (1 + norm(p0, over="all")))
    far = maximum(begin, norm(p - p0, over="all"))
    squares = squares + total(g * g, over="all")
    p = p - lr * far / sqrt(squares) * g
    return p, p0, far, squares


@rule
def dowg(p, g, p0=start("p0"), far=full("r_eps", shape="all"), squares=common, *, lr=1.0, r_eps=1e-4):
    """DoWG: DoG with gradients weighted by the distance (Khaled, Mishchenko & Jin 2023, Algorithm 1)."""
    far = maximum(far, norm(p - p0, over="all"))
    squares = squares + far * far * total(g * g, over="all")
    p = p - where(squares > 0, lr * far * far / sqrt(squares), 0.0) * g
    return p, p0, far, squares
