"""Matrix rules: a weight is a matrix, and the step is shaped by its rows and columns as a whole.

Convolutions are flattened to (first dimension) x (all others). Vectors are stepped by AdamW, as published:
they have no rows and columns to speak of.
"""

import functools

from ..core.init import full, left, per_row, right, zeros
from ..core.ops import (
    by_columns,
    by_rows,
    columns,
    diagonal,
    eigh,
    matmul,
    matrix,
    maximum,
    mean,
    norm,
    order,
    qr,
    rows,
    shaped,
    sqrt,
    transpose,
    when,
    where,
)
from ..core.rule import Rule, rule
from .adam import adamw

JORDAN = ((3.4445, -4.7750, 2.0315),) * 5
# Amsel et al. 2025, Algorithm 1 for singular values down to 1e-3, with its safety factor of 1.01 for rounding.
POLAR_EXPRESS = tuple(
    (a / 1.01, b / 1.01**3, c / 1.01**5)
    for a, b, c in (
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
        (3.3184196573706015, -2.488488024314874, 0.51004894012372),
        (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    )
)


def orthogonalized(x, coefficients=JORDAN):
    """The nearest orthogonal matrix, roughly: Newton–Schulz steps of an odd polynomial on the singular values.

    ``x`` must have none above 1: divide by the norm first.
    """
    flat = rows(x) > columns(x)
    x = when(flat, lambda: transpose(x), lambda: x)
    for a, b, c in coefficients:
        square = matmul(x, transpose(x))
        x = a * x + matmul(b * square + c * matmul(square, square), x)
    return when(flat, lambda: transpose(x), lambda: x)


@rule(vectors=adamw)
def muon(p, g, m=zeros("momentum_buffer"), *, lr=1e-3, momentum=0.95, weight_decay=0.1, eps=1e-7):
    """Muon: momentum, with all its singular values set to one (Jordan et al. 2024; torch.optim.Muon).

    Dialect: torch's and the author's code: momentum by averaging, Nesterov, five Newton–Schulz steps, scaled by
    √max(1, rows / columns). They iterate in bfloat16, this in the working type. pytorch_optimizer does so too;
    optax bias-corrects both terms, takes matrices as columns by rows and adds ε to the norm.
    """
    m = momentum * m + (1 - momentum) * g
    ahead = matrix(momentum * m + (1 - momentum) * g)
    step = orthogonalized(ahead / maximum(norm(ahead), eps))
    p = (1 - lr * weight_decay) * p - lr * sqrt(maximum(1.0, rows(step) / columns(step))) * shaped(step, p)
    return p, m


@functools.cache
def muon_variant(
    coefficients: tuple[tuple[float, float, float], ...] = JORDAN, nesterov: bool = True, adjust: str = "original"
) -> Rule:
    """Muon with what torch.optim.Muon lets one choose; the rule ``muon`` itself where all is at its default.

    ``coefficients``: of each Newton–Schulz step. ``adjust``: ``"original"``, √max(1, rows / columns), or
    ``"match_rms_adamw"``, 0.2 √max(rows, columns), the size of AdamW's steps (Liu et al. 2025, eq. 4).
    """
    if coefficients == JORDAN and nesterov and adjust == "original":
        return muon

    def chosen_muon(p, g, m=zeros("momentum_buffer"), *, lr=1e-3, momentum=0.95, weight_decay=0.1, eps=1e-7):
        m = momentum * m + (1 - momentum) * g
        ahead = matrix(momentum * m + (1 - momentum) * g if nesterov else m)
        step = orthogonalized(ahead / maximum(norm(ahead), eps), coefficients)
        tall, large = maximum(1.0, rows(step) / columns(step)), maximum(rows(step), columns(step))
        p = (1 - lr * weight_decay) * p - lr * (sqrt(tall) if adjust == "original" else 0.2 * sqrt(large)) * shaped(
            step, p
        )
        return p, m

    return rule(vectors=adamw)(chosen_muon)


@rule(vectors=adamw)
def muon_polar_express(p, g, m=zeros("momentum_buffer"), *, lr=1e-3, momentum=0.95, weight_decay=0.1, eps=1e-7):
    """Muon with Polar Express: coefficients that are optimal step by step (Amsel et al. 2025, Algorithm 1).

    Dialect: five steps, scaled as muon. pytorch_optimizer takes the first five coefficients of its eight, in
    bfloat16.
    """
    m = momentum * m + (1 - momentum) * g
    ahead = matrix(momentum * m + (1 - momentum) * g)
    step = orthogonalized(ahead / (1.01 * norm(ahead) + eps), POLAR_EXPRESS)
    p = (1 - lr * weight_decay) * p - lr * sqrt(maximum(1.0, rows(step) / columns(step))) * shaped(step, p)
    return p, m


@rule(vectors=adamw)
def normuon(
    p,
    g,
    m=zeros("exp_avg"),
    v=per_row("exp_avg_sq_row"),
    *,
    lr=1e-3,
    beta1=0.95,
    beta2=0.95,
    eps=1e-8,
    weight_decay=0.0,
):
    """NorMuon: Muon whose rows (neurons) are brought to one size over time (Li et al. 2025, Algorithm 1).

    Dialect: the paper's. For matrices only; the authors' code adds Nesterov and restores the norm.
    pytorch_optimizer iterates in bfloat16, bounds the norm by 1e-7 and adds ε to the last one.
    """
    m = beta1 * m + (1 - beta1) * g
    z = orthogonalized(m / (norm(m) + 1e-7))
    v = beta2 * v + (1 - beta2) * mean(z * z, over="row")
    z = z / (sqrt(v) + eps)
    size = norm(z)
    p = (1 - lr * weight_decay) * p - where(size > 0, 0.2 * lr * sqrt(rows(z) * columns(z)) / size, 0.0) * z
    return p, m, v


def inverse_fourth_root(a, eps):
    values, vectors = eigh(a)
    return matmul(vectors * maximum(values, eps) ** -0.25, transpose(vectors))


@rule(vectors=adamw)
def shampoo(p, g, l=full("eps", shape="left")("left"), r=full("eps", shape="right")("right"), *, lr=1e-2, eps=1e-4):  # noqa: E741
    """Shampoo: Adagrad for matrices, a preconditioner from each side (Gupta, Koren & Singer 2018, Algorithm 1).

    Dialect: the paper's, both roots at every step; eigenvalues are kept from falling below the ε they began at.
    """
    g = matrix(g)
    l = l + matmul(g, transpose(g))  # noqa: E741
    r = r + matmul(transpose(g), g)
    step = matmul(matmul(inverse_fourth_root(l, eps), g), inverse_fourth_root(r, eps))
    p = p - lr * shaped(step, p)
    return p, l, r


def _into(x, left_basis, right_basis):
    return matmul(matmul(transpose(left_basis), x), right_basis)


def _places(a, basis):
    """Where the columns of a basis belong, by the size of their eigenvalue estimates."""
    return order(diagonal(_into(a, basis, basis)))


def _next_basis(a, basis, places, due, begun):
    """One power iteration with QR when it is due; the eigenvectors themselves at the first step."""

    def later():
        return when(due, lambda: qr(by_columns(matmul(a, basis), places)), lambda: basis)

    return when(begun, later, lambda: by_columns(eigh(a)[1], order(eigh(a)[0])))


@rule(vectors=adamw)
def soap(
    p, g, m=zeros("exp_avg"), v=zeros("exp_avg_sq"), a=left("left"), b=right("right"), qa=left("left_basis"),
    qb=right("right_basis"), *,
    t, lr=3e-3, beta1=0.95, beta2=0.95, shampoo_beta=0.95, eps=1e-8, weight_decay=0.01, precondition_frequency=10.0,
):  # fmt: skip
    """SOAP: Adam in Shampoo's eigenbasis (Vyas et al. 2024, Algorithms 3 and 4).

    Dialect: the authors' code where the paper is silent: the first gradient only fills the preconditioners.
    pytorch_optimizer turns the bases in float32.
    """
    g = matrix(g)
    begun, due = t > 1, (t - 1) % precondition_frequency == 0
    share = where(begun, 1.0, 0.0)
    m = beta1 * m + share * (1 - beta1) * shaped(g, p)
    v = beta2 * v + (1 - beta2) * shaped(_into(g, qa, qb) ** 2, p)  # the bases are zero at the first step
    step = _into(_into(matrix(m), qa, qb) / (sqrt(matrix(v)) + eps), transpose(qa), transpose(qb))
    rate = lr * sqrt(1 - beta2 ** (t - 1)) / (1 - beta1 ** maximum(t - 1, 1.0))
    p = where(begun, (1 - lr * weight_decay) * (p - rate * shaped(step, p)), p)
    a = shampoo_beta * a + (1 - shampoo_beta) * matmul(g, transpose(g))
    b = shampoo_beta * b + (1 - shampoo_beta) * matmul(transpose(g), g)
    places_a, places_b = _places(a, qa), _places(b, qb)
    v = when(due, lambda: shaped(by_columns(by_rows(matrix(v), places_a), places_b), p), lambda: v)
    qa = _next_basis(a, qa, places_a, due, begun)
    qb = _next_basis(b, qb, places_b, due, begun)
    return p, m, v, a, b, qa, qb
