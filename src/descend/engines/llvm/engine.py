"""The CPU engine: one fused pass over all tensors, compiled by LLVM (see ``kernels``).

A step is a table of chunks of fixed length, cut from all tensors, and a serial kernel that runs a range
of chunks. The threads that torch has take ranges (see ``team``), or those of our own pool. Chunk bounds do not
depend on the number of threads, so neither do the bits of the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.program import Program, program
from ...core.rule import Rule
from ...core.trace import Extent
from ..base import Engine, Meanwhile, Step, Work, share, streams, untraceable
from ..numbers import Numbers
from . import machine
from .kernels import kernel
from .pool import POOL
from .source import source
from .team import team

CHUNK = 1 << 15  # elements; 5 float32 streams of a chunk are 640 KiB, which fits a core's L2
# Elements below which a second thread costs more than it saves: waking one of the pool's takes about 60 µs, one of
# torch's, that spins after torch's own work, two (60,000 elements: 96 µs in one thread, 78 in the team).
INLINE, INLINE_POOL = 1 << 15, 1 << 19


def cut(rule: Rule, guard: bool) -> Program:
    """The passes this engine runs for a rule."""
    return program(rule, guard, late=True)


def texts(of: Program, dtype: str) -> list[tuple[str, tuple[str, ...], str]]:
    """What ``kernel`` needs to make each pass: its text, the names of its streams, the parameters' type."""
    return [(source(of, k), streams(of.rule), dtype) for k in range(len(of.kernels))]


class _Ready:
    """A Work with everything that does not change from step to step: tables and machine code."""

    def __init__(self, work: Work, guard: bool) -> None:
        self.work = work
        self.program = of = cut(work.rule, guard)
        self.kernels = [kernel(*given) for given in texts(of, work.dtype)]
        self.bound: list[tuple[Any, Any]] = [((None,) * 4, None)] * len(self.kernels)  # tables, the kernel on them
        self.numbers = Numbers(of, work, np.float64 if work.dtype == "float64" else np.float32)
        sizes = np.asarray(work.sizes, np.int64)
        self.sizes = sizes
        counts = -(-sizes // CHUNK)
        tensor = np.repeat(np.arange(len(sizes)), counts)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64) if len(sizes) else counts
        begin = (np.arange(len(tensor)) - first[tensor]) * CHUNK
        self.chunks = np.stack([tensor, begin, np.minimum(CHUNK, sizes[tensor] - begin), tensor])
        self.chunks = np.ascontiguousarray(self.chunks, np.int64)
        self.by_row: Any = None
        self.rows_at: Any = None
        self.first, self.filled = first, sizes > 0
        # one table per kernel: a refused step must leave the sums of the last pass of the step before it
        self.partials = [np.zeros((max(1, len(kernel.sums)), len(tensor))) for kernel in of.kernels]
        # numbers that no step needs are left as partial sums until somebody asks
        self.unasked = all(slot.init.passing for slot in work.rule.slots if slot.init.is_number)
        self.elements = int(sizes.sum())

    def _chunks(self, k: int) -> np.ndarray:
        """The table of chunks for kernel ``k``, where each knows which line of the scalar table is its tensor's."""
        if self.numbers.by_tensor[k]:
            return self.chunks
        if self.rows_at is not self.work.row_of:
            self.by_row = self.chunks.copy()
            self.by_row[3], self.rows_at = self.work.row_of[self.by_row[0]], self.work.row_of
        return self.by_row

    def run(self, k: int, table: np.ndarray, threads: int, meanwhile: Meanwhile | None = None) -> None:
        """Kernel ``k`` on all chunks, in this thread, in torch's team or in the pool; beside it ``meanwhile``, once."""
        chunks = self._chunks(k)
        tables, (bound_to, call) = (self.work.addresses, chunks, table, self.partials[k]), self.bound[k]
        if any(new is not old for new, old in zip(tables, bound_to, strict=True)):
            call = self.kernels[k].bind(*tables)
            self.bound[k] = (tables, call)
        count, beside = chunks.shape[1], meanwhile.native if meanwhile else (0, 0)
        together = team(threads) if self.elements > INLINE and threads > 1 else None
        if together:
            together.run(call.native, count, threads, beside)
        elif self.elements <= INLINE_POOL or threads <= 1:
            call.run(0, count)
        else:
            POOL.run(call.run, count, threads, meanwhile.call if meanwhile else None)
            return
        if meanwhile and not (together and beside[0]):
            meanwhile.call()

    def by_sum(self, k: int) -> list[tuple[int, np.ndarray]]:
        """Each reduction of kernel ``k`` with its sum over every tensor, added in the order of the chunks."""
        found = []
        for line, index in enumerate(self.program.kernels[k].sums):
            totals = np.zeros(len(self.sizes))
            if self.elements:
                totals[self.filled] = np.add.reduceat(self.partials[k][line], self.first[self.filled])
            found.append((index, totals))
        return found


class _Step(Step):
    """All Works of one optimizer, compiled."""

    def __init__(self, works: list[Work], guard: bool) -> None:
        self.ready = [_Ready(work, guard) for work in works]
        self.guard = guard
        self.count_all = sum(r.elements for r in self.ready)
        self.depth = max((len(r.kernels) for r in self.ready), default=1) - 1
        self.shares = any(slot.init.shape == "all" for work in works for slot in work.rule.slots)

    def __call__(self, threads: int) -> bool:
        for r in self.ready:
            r.numbers.settle()
        before = [dict(r.numbers.sums) for r in self.ready] if self.guard else []
        for level in range(self.depth):
            self._pass(level, [r for r in self.ready if level < len(r.kernels) - 1], threads)
            if level == 0 and self.guard and any(r.numbers.sums[r.program.tape.guard or 0] for r in self.ready):
                for r, sums in zip(self.ready, before, strict=True):
                    r.numbers.sums = sums
                return False
        self._pass(-1, self.ready, threads)
        for r in self.ready:
            if not r.unasked:
                r.numbers.count_on(self.count_all)
        if self.shares:
            share([r.work for r in self.ready])
        return True

    def first_sums(self, threads: int) -> list[tuple[list[np.ndarray], float]]:
        found = []
        for r in self.ready:
            r.run(0, r.numbers.table(0, self.count_all), threads)
            sums = dict(r.by_sum(0))
            bad = sums.pop(r.program.tape.guard, None)  # type: ignore[arg-type]
            found.append((list(sums.values()), 0.0 if bad is None else float(bad.sum())))
        return found

    def measure(self) -> None:
        for r in self.ready:
            if r.unasked:
                r.numbers.sums |= dict(r.by_sum(len(r.kernels) - 1))
                r.numbers.count_on(self.count_all)

    def _pass(self, level: int, ready: list[_Ready], threads: int) -> None:
        """Run pass ``level`` of some Works and join the sums: over a tensor alone, or over all Works.

        The numbers of all are computed first: nothing may fail between the writing passes of two Works.
        """
        everywhere: dict[int, list[tuple[_Ready, int]]] = {}
        parts: dict[int, float] = {}
        tables = [r.numbers.table(level % len(r.kernels), self.count_all) for r in ready]
        for r, table in zip(ready, tables, strict=True):
            k = level % len(r.kernels)
            r.run(k, table, threads, self.meanwhile if level < 0 and r is ready[0] else None)
            for order, (index, totals) in enumerate(() if r.unasked and level < 0 else r.by_sum(k)):
                if r.program.tape.nodes[index].extent is Extent.TENSOR:
                    r.numbers.sums[index] = totals
                    continue
                key = -1 if index == r.program.tape.guard else order
                everywhere.setdefault(key, []).append((r, index))
                parts[key] = parts.get(key, 0.0) + float(totals.sum())
        for key, places in everywhere.items():
            for r, index in places:
                r.numbers.sums[index] = parts[key]


class LLVMEngine(Engine):
    name = "llvm"
    on_memory = True
    sums = True

    def refuses(self, rule: Rule, dtype: str) -> str | None:
        return untraceable(rule, dtype, self.name)

    def out_of_reach(self, tensor: Any) -> str | None:
        if (away := super().out_of_reach(tensor)) or not str(tensor.dtype).endswith(".float16") or machine.halves():
            return away
        return "a float16 tensor: this processor does not convert them (no F16C)"

    def prepare(self, works: list[Work], guard: bool = False, capturable: bool = False) -> Step:
        return _Step(works, guard)


ENGINE = LLVMEngine()
