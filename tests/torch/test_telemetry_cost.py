"""What telemetry costs: steps with and without in turn, compared pair by pair, so that a busy machine slows both."""

import statistics
import time

import pytest
import torch
from torch import nn

import descend.torch as ours


def tensor(*shape):
    return lambda: [nn.Parameter(torch.randn(*shape))]


def network():
    return list(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).parameters())


def cost(make, rounds, **settings):
    """The median of (a step with telemetry over the one without beside it) less 1; and the median times, in ms."""
    torch.manual_seed(0)
    sides = []
    for watch in (False, True):
        params = make()
        for p in params:
            p.grad = torch.randn_like(p)
        sides.append((ours.AdamW(params, lr=1e-3, telemetry=watch, **settings), []))
    for opt, _ in sides * 5:
        opt.step()
    for i in range(rounds):
        for opt, taken in sides if i % 2 else sides[::-1]:
            begin = time.perf_counter()
            opt.step()
            taken.append(time.perf_counter() - begin)
    without, watched = (taken for _, taken in sides)
    share = statistics.median(b / a for a, b in zip(without, watched, strict=True)) - 1
    return share, statistics.median(without) * 1e3, statistics.median(watched) * 1e3


@pytest.mark.timing
def test_it_costs_under_5_percent_of_a_large_step():
    shares = [cost(tensor(5_000_000), 150) for _ in range(3)]
    assert statistics.median(share for share, *_ in shares) < 0.05, shares
