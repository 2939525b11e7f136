"""Preconditioners that are fitted: a step of gradient descent on the preconditioner at each step of the parameters."""

from ..core.init import full, number, zeros
from ..core.ops import (
    exp,
    matmul,
    matrix,
    maximum,
    mean,
    minimum,
    noise,
    norm,
    shaped,
    solve_lower,
    spectral_bound,
    sqrt,
    transpose,
    upper,
    when,
    where,
)
from ..core.rule import rule
from .adam import adamw


def _fitted(q, whitened, probe, rate):
    """One relative step of ``q`` towards equal second moments of the two; ``q`` stays upper triangular."""
    a, b = matmul(whitened, transpose(whitened)), matmul(probe, transpose(probe))
    return q - rate / spectral_bound(a + b) * matmul(upper(a - b), q)


def _next_factors(ql, qr, m, v, rate):
    a = matmul(matmul(ql, m), transpose(qr))
    b = transpose(solve_lower(transpose(qr), transpose(solve_lower(transpose(ql), v))))
    ql, qr = _fitted(ql, a, b, rate), _fitted(qr, transpose(a), transpose(b), rate)
    balance = sqrt(norm(qr) / norm(ql))
    return ql * balance, qr / balance


@rule(vectors=adamw)
def psgd_kron(
    p, g, m=zeros("momentum_buffer"), ql=full(1.0, shape="left")("left_factor"),
    qr=full(1.0, shape="right")("right_factor"), clock=number("update_counter"), *,
    t, lr=1e-3, momentum=0.9, weight_decay=0.0, precondition_lr=0.1, update_probability=0.03, update_decay=1e-3,
    update_start=500.0, seed=0.0,
):  # fmt: skip
    """PSGD with Kronecker factors: whitens the momentum from both sides (Li 2018; Li & Walters' kron_torch).

    Dialect: kron_torch: triangular factors, fitted at every step at first and then at a share of them; steps with a
    root mean square of at most 1.1. It probes with a generator's numbers and balances the factors now and then; here
    the probes are a function of the step and the seed, and every fit balances. Vectors are stepped by AdamW.
    pytorch_optimizer is kron_torch, with triangular systems solved in float32.
    """
    m = momentum * m + (1 - momentum) * g
    ahead = matrix(m) / (1 - momentum**t)
    share = maximum(update_probability, exp(-update_decay * (t - 1 - update_start)))
    due = (clock + 1) * share >= 1
    probe = noise(ahead, t, seed)
    ql, qr = when(due, lambda: _next_factors(ql, qr, ahead, probe, precondition_lr), lambda: (ql, qr))
    clock = where(due, 0.0, clock + 1)
    step = matmul(matmul(matmul(transpose(ql), matmul(ql, ahead)), transpose(qr)), qr)
    step = minimum(1.0, 1.1 / (sqrt(mean(step * step)) + 1e-6)) * step
    p = p - lr * (shaped(step, p) + weight_decay * p)
    return p, m, ql, qr, clock
