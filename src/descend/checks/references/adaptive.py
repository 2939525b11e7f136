"""Step sizes from the history of squared gradients: Adagrad, RMSprop and Adadelta."""

import numpy as np

from .registry import per_tensor


@per_tensor
def adagrad(x, gradients, *, lr, lr_decay, initial_accumulator_value, eps):
    """Duchi, Hazan & Singer 2011 (diagonal), torch.optim.Adagrad's settings; eps outside the root."""
    G = np.full_like(x, initial_accumulator_value)
    for t, g in enumerate(gradients, 1):
        G = G + g**2
        rate = lr / (1 + (t - 1) * lr_decay)
        x = x - rate * g / (np.sqrt(G) + eps)
        yield x, {"sum": G}


@per_tensor
def adagrad_eps_inside(x, gradients, *, lr, eps):
    """Duchi, Hazan & Singer 2011 (diagonal), eps inside the root."""
    G = np.zeros_like(x)
    for g in gradients:
        G = G + g**2
        x = x - lr * g / np.sqrt(G + eps)
        yield x, {"sum": G}


@per_tensor
def rmsprop(x, gradients, *, lr, alpha, eps):
    """Tieleman & Hinton 2012, lecture 6e; torch: eps outside the root."""
    v = np.zeros_like(x)
    for g in gradients:
        v = alpha * v + (1 - alpha) * g**2
        x = x - lr * g / (np.sqrt(v) + eps)
        yield x, {"v": v}


@per_tensor
def rmsprop_centered(x, gradients, *, lr, alpha, eps):
    """Graves 2013, equations 38 to 40 without momentum: variance in place of the second moment."""
    v = a = np.zeros_like(x)
    for g in gradients:
        v = alpha * v + (1 - alpha) * g**2
        a = alpha * a + (1 - alpha) * g
        variance = v - a**2
        x = x - lr * g / (np.sqrt(variance) + eps)
        yield x, {"v": v, "a": a}


@per_tensor
def rmsprop_momentum(x, gradients, *, lr, alpha, eps, momentum):
    """torch.optim.RMSprop(momentum=...): momentum on the scaled gradient, lr outside."""
    v = b = np.zeros_like(x)
    for g in gradients:
        v = alpha * v + (1 - alpha) * g**2
        b = momentum * b + g / (np.sqrt(v) + eps)
        x = x - lr * b
        yield x, {"v": v, "b": b}


@per_tensor
def rmsprop_centered_momentum(x, gradients, *, lr, alpha, eps, momentum):
    """Graves 2013, equations 38 to 41; torch: eps outside the root, lr outside the momentum."""
    v = a = b = np.zeros_like(x)
    for g in gradients:
        v = alpha * v + (1 - alpha) * g**2
        a = alpha * a + (1 - alpha) * g
        variance = v - a**2
        b = momentum * b + g / (np.sqrt(variance) + eps)
        x = x - lr * b
        yield x, {"v": v, "a": a, "b": b}


@per_tensor
def adadelta(x, gradients, *, lr, rho, eps):
    """Zeiler 2012, Algorithm 1; torch: the step is multiplied by lr, the accumulated square is not."""
    v = u = np.zeros_like(x)
    for g in gradients:
        v = rho * v + (1 - rho) * g**2
        delta = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * delta**2
        x = x - lr * delta
        yield x, {"v": v, "u": u}
