"""Rules for matrices; a tensor that has not two dimensions is refused."""

import math

import numpy as np

from .registry import per_tensor


@per_tensor
def muon(x, gradients, *, lr, momentum, weight_decay, eps):
    """Jordan et al. 2024, Muon with Nesterov momentum and five Newton-Schulz steps, in float64.

    torch.optim.Muon and the author's code: the momentum is a moving average, decay before the step.
    torch: the norm is bounded by eps from below (the author's code adds 1e-7 to it). Both iterate in
    bfloat16; here everything is float64.
    """
    if x.ndim != 2:
        raise ValueError(f"muon takes matrices, got shape {x.shape}")
    rows, cols = x.shape
    M = np.zeros_like(x)
    for G in gradients:
        M = momentum * M + (1 - momentum) * G
        X = momentum * M + (1 - momentum) * G
        X = X / max(math.sqrt(np.sum(X**2)), eps)
        if rows > cols:
            X = X.T
        for _ in range(5):
            A = X @ X.T
            X = 3.4445 * X + (-4.7750 * A + 2.0315 * A @ A) @ X
        if rows > cols:
            X = X.T
        scale = math.sqrt(max(1, rows / cols)) if cols > 0 else 1.0
        x = x - lr * weight_decay * x
        x = x - lr * scale * X
        yield x, {"momentum_buffer": M}


@per_tensor
def muon_polar_express(x, gradients, *, lr, momentum, weight_decay, eps):
    """Amsel et al. 2025, Implementation 1 (degree 5, l = 1e-3, five steps) in the place of Muon's Newton-Schulz.

    The paper's code divides by 1.01 norm + 1e-7 (here eps) and stretches every polynomial by 1.01. Momentum,
    scale and decay as in muon above. The paper iterates in bfloat16; here everything is float64.
    """
    if x.ndim != 2:
        raise ValueError(f"muon_polar_express takes matrices, got shape {x.shape}")
    polynomials = [
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
        (3.3184196573706015, -2.488488024314874, 0.51004894012372),
        (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    ]
    rows, cols = x.shape
    M = np.zeros_like(x)
    for G in gradients:
        M = momentum * M + (1 - momentum) * G
        N = momentum * M + (1 - momentum) * G
        X = N.T if rows > cols else N
        X = X / (1.01 * math.sqrt(np.sum(X**2)) + eps)
        for a, b, c in polynomials:
            A = X @ X.T
            X = a / 1.01 * X + b / 1.01**3 * A @ X + c / 1.01**5 * A @ A @ X
        X = X.T if rows > cols else X
        scale = math.sqrt(max(1, rows / cols)) if cols > 0 else 1.0
        x = x - lr * weight_decay * x
        x = x - lr * scale * X
        yield x, {"momentum_buffer": M}


@per_tensor
def normuon(x, gradients, *, lr, beta1, beta2, eps, weight_decay):
    """Li et al. 2025, Algorithm 1: orthogonalise, then divide each row by its root mean square over time.

    The Newton-Schulz steps are Jordan's five with norm + 1e-7, in float64. The authors' code differs: it
    has Nesterov momentum, restores the norm the matrix had before the rows were divided, and scales by
    sqrt(max(1, rows / cols)) in place of 0.2 sqrt(rows cols) / norm.
    """
    if x.ndim != 2:
        raise ValueError(f"normuon takes matrices, got shape {x.shape}")
    rows, cols = x.shape
    M = np.zeros_like(x)
    v = np.zeros((rows, 1))
    for G in gradients:
        M = beta1 * M + (1 - beta1) * G
        if x.size > 0:
            Z = M / (np.linalg.norm(M) + 1e-7)
            if rows > cols:
                Z = Z.T
            for _ in range(5):
                A = Z @ Z.T
                Z = 3.4445 * Z - 4.7750 * A @ Z + 2.0315 * A @ A @ Z
            if rows > cols:
                Z = Z.T
            v = beta2 * v + (1 - beta2) * np.mean(Z * Z, axis=1, keepdims=True)
            Z_hat = Z / (np.sqrt(v) + eps)
            norm = np.linalg.norm(Z_hat)
            eta_hat = 0.2 * lr * math.sqrt(rows * cols) / norm if norm > 0 else 0.0
            x = x - lr * weight_decay * x - eta_hat * Z_hat
        yield x, {"m": M, "v": v}


@per_tensor
def shampoo(x, gradients, *, lr, eps):
    """Gupta, Koren & Singer 2018, Algorithm 1: L and R start at eps I and sum; inverse fourth roots."""
    if x.ndim != 2:
        raise ValueError(f"shampoo takes matrices, got shape {x.shape}")
    L = eps * np.eye(x.shape[0])
    R = eps * np.eye(x.shape[1])
    for G in gradients:
        L = L + G @ G.T
        R = R + G.T @ G
        if x.size > 0:
            lam_L, U = np.linalg.eigh(L)
            lam_R, V = np.linalg.eigh(R)
            # rounding may leave an eigenvalue of a sum of squares below the eps it started from
            lam_L = np.maximum(lam_L, eps)
            lam_R = np.maximum(lam_R, eps)
            x = x - lr * (U @ np.diag(lam_L**-0.25) @ U.T) @ G @ (V @ np.diag(lam_R**-0.25) @ V.T)
        yield x, {"L": L, "R": R}


@per_tensor
def soap(x, gradients, *, lr, beta1, beta2, shampoo_beta, eps, weight_decay, precondition_frequency):
    """Vyas et al. 2024, Algorithms 3 and 4.

    Authors' code, where the paper is silent: the first gradient only fills L and R and gives the first
    bases (eigenvectors, largest first) without a step; t counts from the second; Adam's two corrections,
    eps beside the uncorrected root (unsure: Algorithm 3 may have it under the root); decay after the step;
    before the QR step the columns are sorted by their estimated eigenvalues and V with them. M is kept
    unrotated as in Algorithm 3 (their code stores it rotated); shampoo_beta is beta2 in the paper.
    With rows != cols the first L or R is singular and its null vectors, hence every later step, depend on
    the eigensolver: compare square matrices only.
    """
    if x.ndim != 2:
        raise ValueError(f"soap takes matrices, got shape {x.shape}")
    M = V = np.zeros_like(x)
    L = np.zeros((x.shape[0], x.shape[0]))
    R = np.zeros((x.shape[1], x.shape[1]))
    Q_L = np.eye(x.shape[0])
    Q_R = np.eye(x.shape[1])
    for t, G in enumerate(gradients, 0):
        if t > 0:
            G_rotated = Q_L.T @ G @ Q_R
            M = beta1 * M + (1 - beta1) * G
            M_rotated = Q_L.T @ M @ Q_R
            V = beta2 * V + (1 - beta2) * G_rotated**2
            N_rotated = M_rotated / (np.sqrt(V) + eps)
            N = Q_L @ N_rotated @ Q_R.T
            x = x - lr * math.sqrt(1 - beta2**t) / (1 - beta1**t) * N
            x = x - lr * weight_decay * x
        L = shampoo_beta * L + (1 - shampoo_beta) * G @ G.T
        R = shampoo_beta * R + (1 - shampoo_beta) * G.T @ G
        if t == 0:
            Q_L = np.linalg.eigh(L)[1][:, ::-1]
            Q_R = np.linalg.eigh(R)[1][:, ::-1]
        elif t % precondition_frequency == 0:
            S_L = L @ Q_L
            S_R = R @ Q_R
            order_L = np.argsort(-np.diag(Q_L.T @ S_L), kind="stable")
            order_R = np.argsort(-np.diag(Q_R.T @ S_R), kind="stable")
            V = V[order_L][:, order_R]
            Q_L = np.linalg.qr(S_L[:, order_L])[0]
            Q_R = np.linalg.qr(S_R[:, order_R])[0]
        yield x, {"m": M, "v": V, "L": L, "R": R, "Q_L": Q_L, "Q_R": Q_R}
