"""The streaming limit: how fast this machine moves the arrays that a rule moves, with no rule between.

A rule is passes over memory; each reads some arrays and writes some, most of them in place. The limit is a plain
loop per pass over as many arrays of each kind, with as many threads: no arithmetic but the least that keeps a load
from being optimised away. It shares with the engine the language of kernels and the team of threads, and with the
contestants the allocator: NumPy asks the kernel for huge pages, torch does not, and a limit on better memory than
the rule's would be no limit of the rule.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from ..core.program import Program
from ..engines.llvm.kernels import Kernel, kernel
from ..engines.llvm.pool import POOL
from ..engines.llvm.team import team

PIECES = 32  # per thread: one that is held up by the system holds up little


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
    for one in program.kernels:
        loads, stores = set(one.loads), {name for name, _ in one.stores}
        found.append(Pass(len(loads & stores), len(loads - stores), len(stores - loads)))
    return tuple(one for one in found if one.arrays)


@functools.cache
def _kernel(of: Pass) -> Kernel:
    """A loop over chunks of so many arrays, in the language of the engine's kernels; its one scalar is tiny."""
    updated, read = range(of.updated), range(of.updated, of.updated + of.read)
    written = range(of.updated + of.read, of.arrays)
    text = ["def kernel(addresses, chunks, scalars, partials, lo, hi):", " for c in range(lo, hi):"]
    text += ["  b = chunks[1, c]; n = chunks[2, c]; s = scalars[0, 0]"]
    text += [f"  at{i} = addresses[{i}, 0] + b * width_a{i}" for i in range(of.arrays)]
    text += [f"  sum{i} = zero" for i in read] + ["  for j in range(n):", "   x = s"]
    text += [f"   x{i} = load_a{i}(at{i}, j)" for i in (*updated, *read)]
    if updated or written:
        text += [f"   x = x + x{i}" for i in read]
        text += [f"   store_a{i}(at{i}, j, x{i} + s * x)" for i in updated]
        text += [f"   store_a{i}(at{i}, j, x)" for i in written]
    else:
        text += [f"   sum{i} = add_any_order(sum{i}, x{i})" for i in read]
        text += [f"  partials[{k}, c] = float64(sum{i})" for k, i in enumerate(read)]
    return kernel("\n".join(text), tuple(f"a{i}" for i in range(of.arrays)), "float32")


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
    """A function that streams through the passes once, with so many threads: torch's, as the engine's steps."""
    begin = np.linspace(0, arrays.count, PIECES * threads + 1).astype(np.int64)
    chunks = np.stack([0 * begin[:-1], begin[:-1], np.diff(begin), 0 * begin[:-1]])
    tiny, calls = np.full((1, 1), 1e-9, np.float32), []
    for one in of:
        addresses = np.array(arrays.addresses(one.arrays), np.int64)[:, None]
        sums = np.zeros((max(1, one.read), chunks.shape[1]))
        calls.append(_kernel(one).bind(np.ascontiguousarray(addresses), chunks, tiny, sums))

    def call() -> None:
        together = team(threads) if threads > 1 else None
        for one in calls:
            if together is not None:
                together.run(one.native, chunks.shape[1], threads)
            else:
                POOL.run(one.run, chunks.shape[1], threads)

    return call
