"""Generators anywhere in a loader's reach are put back; what is large or foreign is not walked through."""

import functools
import random
import threading
from collections import deque

import numpy as np
import pytest
import torch
from range_tests import FEW, Loop, bits
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset

from descend.torch import find_lr
from descend.torch.loop.reach import reached
from descend.torch.loop.untouched import hold_randomness


class Noise:
    """Three generators, and what may be called with them."""

    def __init__(self):
        self.rng, self.python, self.torch = np.random.default_rng(4), random.Random(5), torch.Generator().manual_seed(6)

    def __call__(self, x):
        return x + self.rng.normal() + self.python.random() + torch.rand((), generator=self.torch)


class Mapped(Dataset):
    def __init__(self, data, transform):
        self.data, self.transform, self.taken = data, transform, 0

    def __len__(self):
        return len(self.data)

    def __getitem__(self, k):
        self.taken += 1
        return self.transform(self.data[k][0]), self.data[k][1]


def chained(x, functions):
    return functions["all"][1][0](x)


def closed(noise):
    return lambda x: noise(x)


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.noise = Noise()

    def forward(self, x):
        return self.noise(x)


WAYS = {
    "an attribute": lambda data: Mapped(data, Noise()),
    "a part of a whole": lambda data: ConcatDataset([Subset(Mapped(data, Noise()), range(20)), data]),
    "containers": lambda data: Mapped(data, functools.partial(chained, functions={"all": (0, deque([Noise()]))})),
    "a method": lambda data: Mapped(data, Noise().__call__),
    "a closure": lambda data: Mapped(data, closed(Noise())),
    "a default": lambda data: Mapped(data, lambda x, noise=Noise(): noise(x)),  # noqa: B008
    "a module": lambda data: Mapped(data, Layer()),
}


@pytest.mark.parametrize("way", WAYS)
def test_generators_deep_in_a_data_set_are_put_back(way):
    loop = Loop("torch SGD")
    mine, other = (DataLoader(WAYS[way](loop.loader.dataset), batch_size=8) for _ in range(2))
    find_lr(loop.model, loop.opt, loop.loss, mine, **FEW)
    assert [bits(x) for x, _ in mine] == [bits(x) for x, _ in other]


def test_the_counts_of_data_sets_inside_others_are_put_back():
    loop = Loop("torch SGD")
    inner = Mapped(loop.loader.dataset, Noise())
    find_lr(loop.model, loop.opt, loop.loss, DataLoader(ConcatDataset([inner, inner]), batch_size=8), **FEW)
    assert inner.taken == 0


def test_a_million_samples_are_not_walked_through():
    data = TensorDataset(torch.ones(2))
    data.samples = [[[(k, str(k))] * 2] for k in range(300_000)]
    data.wide = [[list(range(1_000))] * 1_000 for _ in range(100)]
    data.noise = Noise()
    seen = list(reached([data]))
    assert len(seen) < 60_000
    assert data.noise.rng in [thing for thing in seen if isinstance(thing, np.random.Generator)]


def test_what_holds_itself_or_runs_beside_the_program_is_passed_over():
    data = TensorDataset(torch.ones(2))
    data.me, data.lock, data.thread, data.kind, data.system = data, threading.Lock(), threading.Thread(), Noise, random
    data.secret, data.bad = random.SystemRandom(), type("Bad", (), {"__slots__": (), "__getattr__": {}.__getitem__})()
    seen = list(reached([data, None, data]))
    assert sum(thing is data for thing in seen) == 1
    assert not any(thing is part for part in (data.lock, data.thread, Noise, random, data.secret) for thing in seen)
    hold_randomness(data)()
