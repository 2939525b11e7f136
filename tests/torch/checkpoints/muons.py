"""Twins of Muon: ours and torch's on the same matrices, with the same gradients."""

import torch
from torch.nn import Parameter
from twins import distance, gradient

from descend.torch import Muon

SHAPES = ((6, 4), (4, 6), (5, 5), (1, 7), (7, 1), (1, 1))
STEPS = 20
BAR = 1e-12
QUINTIC = (2.0, -1.5, 0.5)  # Newton-Schulz with a fixed point at one, where torch's default has none


def matrices(shapes=SHAPES, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [Parameter(torch.randn(s, generator=g, dtype=torch.float64)) for s in shapes]


def copies(params):
    return [Parameter(p.detach().clone()) for p in params]


def train(steps, *runs):
    """Step t gives every run the same gradients: all decades from 1e-4 to 1e2, and at step 3 none but zeros."""
    for t in steps:
        for opt, params in runs:
            for i, p in enumerate(params):
                p.grad = torch.zeros_like(p) if t == 3 else gradient(p, 1000 * t + i)
            opt.step()


def assert_same(ours, theirs, when=""):
    for i, (p, q) in enumerate(zip(ours[1], theirs[1], strict=True)):
        assert distance(p, q) <= BAR, (when, i, distance(p, q))
        state, other = ours[0].state[p], theirs[0].state[q]
        assert distance(state["momentum_buffer"], other["momentum_buffer"]) <= BAR, (when, i)


def pair(shapes=SHAPES, **arguments):
    params = matrices(shapes)
    twins = copies(params)
    return (Muon(params, **arguments), params), (torch.optim.Muon(twins, **arguments), twins)
