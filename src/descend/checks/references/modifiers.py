"""Changes of the gradients before a rule sees them: (x list, g list) -> new g list."""

import math

import numpy as np

from .registry import modifier


@modifier
def clip_norm(x, g, *, max_norm):
    """Pascanu, Mikolov & Bengio 2013 over all tensors; torch: clip_grad_norm_ adds 1e-6 to the norm."""
    squares = 0.0
    for g_i in g:
        squares += float(np.sum(g_i**2))
    factor = max_norm / (math.sqrt(squares) + 1e-6)
    if factor > 1:
        factor = 1.0
    return [np.asarray(factor * g_i) for g_i in g]


@modifier
def clip_value(x, g, *, max_value):
    """torch.nn.utils.clip_grad_value_: every entry into [-max_value, max_value]."""
    return [np.minimum(np.maximum(g_i, -max_value), max_value) for g_i in g]


@modifier
def decay_l2(x, g, *, weight_decay):
    """The gradient of weight_decay/2 * |x|^2 added to g."""
    return [np.asarray(g_i + weight_decay * x_i) for x_i, g_i in zip(x, g, strict=True)]


@modifier
def unscale(x, g, *, loss_scale):
    """torch.amp.GradScaler: the loss was multiplied by the scale, so each gradient was."""
    return [np.asarray(g_i / loss_scale) for g_i in g]


@modifier
def clip_tensor(x, g, *, max_norm):
    """Pascanu, Mikolov & Bengio 2013 for each tensor by itself; as in torch 1e-6 is added to the norm."""
    clipped = []
    for g_i in g:
        norm = math.sqrt(float(np.sum(g_i**2)))
        clipped.append(np.asarray(min(1.0, max_norm / (norm + 1e-6)) * g_i))
    return clipped


@modifier
def adaptive_clip(x, g, *, clipping, eps):
    """Brock et al. 2021, equation 3 (AGC): each unit's gradient against clipping times its weights.

    A unit is a slice along the first dimension, or the whole tensor where that has fewer than two. The
    authors' code keeps a gradient norm below 1e-6 out of the division.
    """
    clipped = []
    for x_i, g_i in zip(x, g, strict=True):
        new = np.array(g_i)
        units = list(np.ndindex(g_i.shape[:1])) if g_i.ndim > 1 else [()]
        for unit in units:
            x_norm = max(math.sqrt(float(np.sum(x_i[unit] ** 2))), eps)
            g_norm = math.sqrt(float(np.sum(g_i[unit] ** 2)))
            if g_norm > clipping * x_norm:
                new[unit] = clipping * x_norm / max(g_norm, 1e-6) * g_i[unit]
        clipped.append(new)
    return clipped


@modifier
def centralize(x, g):
    """Yong et al. 2020, equation 1: each unit's mean leaves its gradient, in tensors of two dimensions up."""
    centred = []
    for g_i in g:
        new = np.array(g_i)
        if g_i.ndim > 1 and g_i.size > 0:
            for unit in range(g_i.shape[0]):
                new[unit] = g_i[unit] - np.sum(g_i[unit]) / g_i[unit].size
        centred.append(new)
    return centred
