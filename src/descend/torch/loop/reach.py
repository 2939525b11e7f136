"""What can be reached from a loader: a generator may stand anywhere in its data set."""

import functools
import random
import types
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import torch

MOST = 50_000  # things, a few hundredths of a second
MOST_ITEMS = 1_000  # of one container: a list of a million samples is not read to its end
_ATOMS = (bool, int, float, complex, str, bytes, type(None), torch.Tensor, np.ndarray, np.generic)
_CLOSED = (type, types.ModuleType, torch.optim.Optimizer, random.SystemRandom)
_LIVE = {  # modules of things that run beside the program, or stand for something outside it
    "_io", "_thread", "asyncio", "concurrent", "ctypes", "io", "logging", "multiprocessing", "queue", "socket",
    "sqlite3", "subprocess", "threading", "weakref",
}  # fmt: skip


def reached(roots: Iterable[Any]) -> Iterator[Any]:
    """All objects that hang on these, nearest first: attributes, items, what a function or a method has with it.

    Each once. Classes, modules, optimizers, and what runs beside the program are not entered; numbers, strings,
    tensors and arrays not given.
    """
    seen: dict[int, Any] = {}  # with the things themselves: an id is worth something only while they live
    left, queue = MOST, deque([iter(roots)])
    while queue:
        for thing in islice(queue.popleft(), left):
            left -= 1
            if isinstance(thing, _ATOMS) or id(thing) in seen:
                continue
            seen[id(thing)] = thing
            if isinstance(thing, _CLOSED) or type(thing).__module__.partition(".")[0] in _LIVE:
                continue
            yield thing
            queue.append(_parts(thing))


def _parts(thing: Any) -> Iterator[Any]:
    found: Iterable[Any] = _attributes(thing).values()
    if isinstance(thing, dict):
        found = chain(found, islice(dict.values(thing), MOST_ITEMS))
    elif isinstance(thing, list | tuple | deque):
        found = chain(found, islice(thing, MOST_ITEMS))
    elif isinstance(thing, functools.partial):
        found = chain(found, thing.args, thing.keywords.values())
    elif isinstance(thing, types.MethodType | types.BuiltinMethodType):
        found = chain(found, (thing.__self__,))
    elif isinstance(thing, types.FunctionType):
        found = chain(found, kept_by(thing))
    yield from found


def _attributes(thing: Any) -> dict[str, Any]:
    """Without a loader's processes that wait for the next epoch."""
    try:
        content = vars(thing)
    except Exception:  # a class may answer for any attribute, and badly
        return {}
    return {name: item for name, item in content.items() if name != "_iterator"}


def kept_by(function: types.FunctionType) -> Iterator[Any]:
    """The defaults of a function, and what its closure holds."""
    yield from function.__defaults__ or ()
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
