"""The streaming limit: how fast this machine moves the arrays that a rule moves, with no rule between.

A rule is passes over memory; each reads some arrays and writes some, most of them in place. The limit is a plain
loop per pass over as many arrays of each kind, with as many threads: no tables, no scalars, no arithmetic but the
least that keeps a load from being optimised away. It shares with the engine only the instructions that load and
store an element, and with the contestants the allocator: NumPy asks the kernel for huge pages, torch does not, and
a limit on better memory than the rule's would be no limit of the rule.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

import numba
import numpy as np
import torch

from ..core.emit import Program
from ..engines import numba_words as words

PIECES = 8  # per thread: one that is held up by the system holds up little


class Pass(NamedTuple):
    """Arrays that one pass touches, by what it does to them."""

    updated: int  # read and written in place
    read: int
    written: int

    @property
    def arrays(self) -> int:
        return sum(self)

    @property
    def moved(self) -> int:
        """Arrays read plus arrays written."""
        return 2 * self.updated + self.read + self.written


def passes(program: Program) -> tuple[Pass, ...]:
    """The passes of a rule that has been traced."""
    found = []
    for kernel in program.kernels:
        loads, stores = set(kernel.loads), {name for name, _ in kernel.stores}
        found.append(Pass(len(loads & stores), len(loads - stores), len(stores - loads)))
    return tuple(one for one in found if one.arrays)


@functools.cache
def _kernel(of: Pass) -> Callable[..., None]:
    scope: dict[str, Any] = {"s": np.float32(1e-9), "zero": np.float32(0), "add": words.add_any_order}
    for i in range(of.arrays):
        scope[f"load{i}"] = words.loader(i, of.arrays, "float32")
        scope[f"store{i}"] = words.storer(i, of.arrays, "float32")
    updated, read = range(of.updated), range(of.updated, of.updated + of.read)
    written = range(of.updated + of.read, of.arrays)
    text = [f"def kernel({', '.join(f'a{i}' for i in range(of.arrays))}, out, lo, hi):"]
    text += [f" sum{i} = zero" for i in read]
    text += [" for j in range(lo, hi):", "  x = s"]
    text += [f"  x{i} = load{i}(a{i}, j)" for i in (*updated, *read)]
    if updated or written:
        text += [f"  x = x + x{i}" for i in read]
        text += [f"  store{i}(a{i}, j, x{i} + s * x)" for i in updated]
        text += [f"  store{i}(a{i}, j, x)" for i in written]
    else:
        text += [f"  sum{i} = add(sum{i}, x{i})" for i in read]
        text += [f" out[{i}] = sum{i}" for i in read]
    exec("\n".join(text), scope)
    signature = numba.void(*[numba.int64] * of.arrays, numba.float32[::1], numba.int64, numba.int64)
    return numba.njit(signature, nogil=True)(scope["kernel"])


class Team:
    """Threads of the limit's own, which wait for work; the calling thread takes its share."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._done = threading.Semaphore(0)
        for _ in range(threads - 1):
            threading.Thread(target=self._serve, daemon=True, name="descend-limit").start()

    def run(self, call: Callable[[int, int], object], count: int) -> None:
        """``call(lo, hi)`` for ranges that cover ``range(count)``."""
        bounds = [count * i // (PIECES * self.threads) for i in range(PIECES * self.threads + 1)]
        pieces = deque(itertools.pairwise(bounds))

        def work() -> None:
            while True:
                try:
                    lo, hi = pieces.popleft()
                except IndexError:
                    return
                call(lo, hi)

        for _ in range(self.threads - 1):
            self._jobs.put(work)
        work()
        for _ in range(self.threads - 1):
            self._done.acquire()

    def _serve(self) -> None:
        while True:
            self._jobs.get()()
            self._done.release()


@functools.cache
def _team(threads: int) -> Team:
    return Team(threads)


class Arrays:
    """float32 arrays of ``count`` elements, from torch's allocator as the contestants' are; made once and kept."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._kept: list[torch.Tensor] = []

    def addresses(self, wanted: int) -> list[int]:
        while len(self._kept) < wanted:
            self._kept.append(torch.ones(self.count))
        return [a.data_ptr() for a in self._kept[:wanted]]


def stream(of: tuple[Pass, ...], arrays: Arrays, threads: int) -> Callable[[], None]:
    """A function that streams through the passes once, with so many threads."""
    team, out = _team(threads), np.zeros(64, np.float32)
    plan = [(_kernel(one), arrays.addresses(one.arrays)) for one in of]

    def call() -> None:
        for kernel, addresses in plan:
            team.run(lambda lo, hi, k=kernel, a=addresses: k(*a, out, lo, hi), arrays.count)

    return call
