"""Batches of types that derive from containers: what is in place stays itself, what is moved keeps its type."""

import collections
import dataclasses
from typing import NamedTuple

import pytest
import torch
from range_tests import FEW, regression
from torch.nn.functional import mse_loss
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from descend.torch import find_lr
from descend.torch.loop.feed import moved

META, CPU = torch.device("meta"), torch.device("cpu")


class AttrDict(dict):
    __getattr__ = dict.__getitem__


class Graph(dict):
    def __init__(self, nodes, **content):
        super().__init__(**content)
        self.nodes = nodes


class Pair(tuple):
    def __new__(cls, x, y):
        made = tuple.__new__(cls, (x, y))
        made.name = "pair"
        return made


class Two(list):
    def __init__(self, x, y):
        super().__init__([x, y])


class Named(NamedTuple):
    x: torch.Tensor
    y: torch.Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    x: torch.Tensor
    y: torch.Tensor
    name: str = "s"


class Encoding(collections.UserDict):
    """Moves in place, as the batches of tokenizers do."""

    def to(self, device):
        self.data = {name: item.to(device) for name, item in self.data.items()}
        return self


MADE = {
    "dict": lambda x, y: {"x": x, "y": y},
    "AttrDict": lambda x, y: AttrDict(x=x, y=y),
    "OrderedDict": lambda x, y: collections.OrderedDict(x=x, y=y),
    "Graph": lambda x, y: Graph(16, x=x, y=y),
    "UserDict": lambda x, y: collections.UserDict(x=x, y=y),
    "tuple": lambda x, y: (x, y),
    "Pair": Pair,
    "Two": Two,
    "Named": Named,
    "a dataclass": Sample,
    "nested": lambda x, y: [Pair(AttrDict(x=x), 3), Sample(y, {"y": y})],
    "no tensor": lambda x, y: Sample("x", 3),
    "torch.max": lambda x, y: torch.max(x, 0),
}


def parts(batch):
    if isinstance(batch, torch.Tensor):
        return [batch]
    if dataclasses.is_dataclass(batch):
        return parts([batch.x, batch.y])
    if isinstance(batch, collections.abc.Mapping):
        return parts(list(batch.values()))
    return [tensor for item in batch for tensor in parts(item)] if isinstance(batch, tuple | list) else []


@pytest.mark.parametrize("name", MADE)
def test_a_batch_in_place_is_the_same_object_and_a_moved_one_of_the_same_type(name):
    batch = MADE[name](torch.ones(2, 3), torch.zeros(2, 1))
    assert moved(batch, None) is batch
    assert moved(batch, CPU) is batch
    there = moved(batch, META)
    assert type(there) is type(batch)
    assert len(parts(there)) == len(parts(batch))
    assert {tensor.device for tensor in parts(there)} <= {META}
    assert {tensor.device for tensor in parts(batch)} <= {CPU}  # the user's own are where they were
    assert getattr(there, "__dict__", {}).keys() == getattr(batch, "__dict__", {}).keys()


def test_what_can_move_itself_is_asked_and_does_not_move_under_the_user():
    packed = pack_sequence([torch.randn(4, 3), torch.randn(2, 3)])
    assert moved(packed, CPU) is packed
    there = moved(packed, META)
    assert isinstance(there, PackedSequence)
    assert there.data.device == META
    batch = Encoding(x=torch.ones(2))
    assert moved(batch, META)["x"].device == META
    assert batch["x"].device == CPU


class First(torch.nn.Module):
    """Takes the first part of whatever it is given."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(6, 1)

    def forward(self, batch):
        return self.inner(batch[0])


@pytest.mark.parametrize("wrap", [Named, Pair, Two, lambda x, y: pack_sequence(list(x[:, None]))])
def test_an_input_that_derives_from_a_tuple_or_list_is_one_argument(wrap):
    _, batches = regression()
    kinds = set()

    class Model(First):
        def forward(self, batch):
            kinds.add(type(batch))
            return super().forward(batch)

    pairs = [(wrap(x, y), y) for x, y in batches]
    assert find_lr(Model(), "adam", mse_loss, pairs, **FEW).lr > 0
    assert kinds == {type(pairs[0][0])}
