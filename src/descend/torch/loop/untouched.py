"""Leave no trace: everything a trial may change, as it was, bit for bit, whatever happens inside.

`hold(value)` remembers what a value contains and returns what puts it back, into the same objects: other code may
hold on to them. `Signals` lets no Ctrl-C come between the trial and its undoing.
"""

import contextlib
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from ...signals import Held
from ..optim.group import Group
from .reach import reached

Thaw = Callable[[], Any]
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
_FEEDING = (torch.utils.data.Dataset, torch.utils.data.Sampler, torch.utils.data.DataLoader)


def hold(value: Any, memo: dict[int, Thaw] | None = None) -> Thaw:
    """What puts the present content back into `value` and returns it.

    Containers, tensors, arrays and random generators are held by content, to any depth; whatever else, by identity.
    A tensor gets back its numbers, its storage, its `requires_grad` and the gradient it had, or had not.
    """
    memo = {} if memo is None else memo
    if id(value) in memo:
        return memo[id(value)]
    memo[id(value)] = lambda: value  # a container that holds itself
    made: Thaw = _hold(value, memo)
    memo[id(value)] = made
    return made


def _hold(value: Any, memo: dict[int, Thaw]) -> Thaw:
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray) and value.dtype != object and value.flags.writeable:
        copy = value.copy()
        return lambda: (np.copyto(value, copy), value)[1]
    if isinstance(value, _GENERATORS):
        return _generator(value)
    if isinstance(value, torch.optim.Optimizer):
        return _optimizer(value, memo)
    if isinstance(value, Group):
        return _group(value, memo)
    if isinstance(value, dict):
        entries = [(key, hold(item, memo)) for key, item in value.items()]

        def refill() -> Any:
            items = [(key, thaw()) for key, thaw in entries]
            value.clear()
            value.update(items)
            return value

        return refill
    if isinstance(value, list | tuple | deque):
        thaws = [hold(item, memo) for item in value]

        def relist() -> Any:
            items = [thaw() for thaw in thaws]
            if isinstance(value, list):
                value[:] = items
            elif isinstance(value, deque):
                value.clear()
                value.extend(items)
            return value

        return relist
    return lambda: value


def _tensor(value: torch.Tensor) -> Thaw:
    alias = content = value.detach()
    if _strided(alias) and 0 in alias.stride():  # of what an expanded tensor shows many times, one
        content = alias[tuple(slice(0, 1) if step == 0 else slice(None) for step in alias.stride())]
    copy = content.clone()
    leaf = value.is_leaf
    wanted, grad = value.requires_grad, value.grad if leaf else None

    def thaw() -> torch.Tensor:
        with torch.no_grad():
            if value.shape != alias.shape or (_strided(alias) and value.data_ptr() != alias.data_ptr()):
                value.data = alias
            content.copy_(copy)
        if leaf:
            value.requires_grad_(wanted)
            value.grad = grad
        return value

    return thaw


def _optimizer(value: torch.optim.Optimizer, memo: dict[int, Thaw]) -> Thaw:
    """All of an optimizer, and of those inside: a policy that switched holds the first one again, which steps again."""
    content = hold(vars(value), memo)
    state = vars(value).get("_state")
    changed = getattr(state, "changed", None)

    def thaw() -> torch.optim.Optimizer:
        content()
        if changed is not None:  # what a plan of descend.torch points to is where it was, with what it held
            state.changed = changed  # type: ignore[union-attr]
        return value

    return thaw


def _group(value: Group, memo: dict[int, Thaw]) -> Thaw:
    """A parameter group with its schedules: the numbers that are put back are the ones that stood there."""
    entries = [(key, hold(item, memo)) for key, item in value.items()]
    beside = hold(vars(value), memo)

    def thaw() -> Group:
        dict.clear(value)
        dict.update(value, [(key, restored()) for key, restored in entries])
        beside()
        return value

    return thaw


def _strided(tensor: torch.Tensor) -> bool:
    return tensor.layout == torch.strided and tensor.device.type != "meta"


def _generator(value: Any) -> Thaw:
    if isinstance(value, torch.Generator | np.random.RandomState):
        state: Any = value.get_state()
        return lambda: (value.set_state(state), value)[1]
    if isinstance(value, np.random.Generator):
        state = value.bit_generator.state
        return lambda: (setattr(value.bit_generator, "state", state), value)[1]
    state = value.getstate()
    return lambda: (value.setstate(state), value)[1]


def hold_modules(modules: Iterable[torch.nn.Module], optimizer: torch.optim.Optimizer, *others: Any) -> Thaw:
    """Parameters, buffers, modes and plain attributes of modules; all of an optimizer; the `__dict__` of others."""
    memo: dict[int, Thaw] = {}
    thaws: list[Thaw] = []
    for root in modules:
        for module in root.modules():
            thaws.append(hold(vars(module), memo))
            # a scripted module keeps its tensors elsewhere
            thaws += [hold(tensor, memo) for tensor in (*module.parameters(False), *module.buffers(False))]
    thaws += [hold(optimizer, memo), *(hold(vars(thing), memo) for thing in others if thing is not None)]
    return lambda: [thaw() for thaw in thaws]


def hold_randomness(*loaders: Any) -> Thaw:
    """The generators of Python, NumPy and torch (each device), and those that loaders reach, at any depth.

    Of a loader, its samplers and its data sets, also the plain attributes (an epoch, a position) are put back.
    """
    found = list(reached(loaders))
    thaws = [_global_generators(), *(hold(thing) for thing in found if isinstance(thing, _GENERATORS))]
    seen: set[int] = set()
    queue = [*(thing for thing in found if isinstance(thing, _FEEDING)), *loaders]
    while queue:
        thing = queue.pop()
        if id(thing) in seen or not hasattr(thing, "__dict__"):
            continue
        seen.add(id(thing))
        content = vars(thing)
        plain = {name: item for name, item in content.items() if isinstance(item, _PLAIN)}
        thaws.append(lambda content=content, plain=plain: content.update(plain))
        queue += [content[name] for name in ("sampler", "batch_sampler", "dataset", "data_source") if name in content]
    return lambda: [thaw() for thaw in thaws]


def _global_generators() -> Thaw:
    python, array, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    metal = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def thaw() -> None:
        random.setstate(python)
        np.random.set_state(array)
        torch.set_rng_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)
        if metal is not None:
            torch.mps.set_rng_state(metal)

    return thaw


class Signals(Held):
    """The first signal interrupts the trial; from then on, and once it is closed, signals wait for `release()`."""

    open = True

    def take(self, number: int, frame: Any) -> None:
        if not self.open:
            super().take(number, frame)
            return
        self.open = False
        self.before[number](number, frame)
        self.open = True  # the handler only took note and did not raise


def untouched(body: Callable[[], Any], *thaws: Thaw) -> Any:
    """Run `body`; afterwards, or after any exception or signal in it, run every thaw, then let signals through."""
    signals = Signals()
    try:
        try:
            signals.catch()
            return body()
        finally:
            signals.open = False  # a signal that strikes before this line has done so itself
    finally:
        with contextlib.ExitStack() as stack:  # each runs, also after one that fails
            stack.callback(signals.release)
            for thaw in thaws:
                stack.callback(thaw)
