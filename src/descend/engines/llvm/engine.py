"""The CPU engine: one fused pass over all tensors, compiled by LLVM (see ``kernels``).

A step is a table of chunks of fixed length, cut from all tensors, and a serial kernel that runs a range
of chunks. The threads that torch has take ranges (see ``team``), or those of our own pool. Chunk bounds do not
depend on the number of threads, so neither do the bits of the result.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ...core import ops
from ...core.program import Program, program
from ...core.rule import Rule
from ...core.trace import Extent
from ..base import Engine, Meanwhile, Step, Work, share, streams, untraceable
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


@functools.lru_cache(maxsize=1024)  # every new plan asks: half of what planning a few tensors takes
def texts(of: Program, dtype: str) -> tuple[tuple[str, tuple[str, ...], str], ...]:
    """What ``kernel`` needs to make each pass: its text, the names of its streams, the parameters' type."""
    return tuple((source(of, k), streams(of.rule), dtype) for k in range(len(of.kernels)))


# ---------------------------------------------------------------- the arithmetic between passes

_HOST = {name: getattr(ops, name) for name in ("divide", "power", "absolute")}
_HOST |= {name: ops.NUMBERS[name] for name in ("sqrt", "exp", "log", "tanh", "sign", "isfinite")}
_HOST |= {name: ops.NUMBERS[name] for name in ("maximum", "minimum", "where")} | {"invert": lambda x: not x}
_ARRAYS = {"divide": np.divide, "power": np.power, "absolute": np.abs, "invert": np.logical_not}
_ARRAYS |= {name: getattr(np, name) for name in ("sqrt", "exp", "log", "tanh", "sign", "isfinite")}
_ARRAYS |= {name: getattr(np, name) for name in ("maximum", "minimum", "where")}


def compiled(text: str, arrays: bool, real: type[np.floating[Any]] = np.float64) -> Callable[..., Any]:
    """The function ``host`` of a program's text; ``arrays``: for columns; ``real``: what its answers are rounded to."""
    largest = float(np.finfo(real).max)

    def reciprocal(x: Any) -> Any:
        # what is too small to have one is no zero, so its reciprocal is no infinity: 0 / x is 0
        if arrays:
            return np.where(x == 0, 1.0 / x, np.clip(1.0 / x, -largest, largest))
        if not x:
            return ops.divide(1.0, x)
        y = 1.0 / x
        return y if -largest <= y <= largest else min(max(y, -largest), largest)

    scope: dict[str, Any] = dict(_ARRAYS if arrays else _HOST, reciprocal=reciprocal)
    exec(compile(text, "<descend host>", "exec"), scope)
    return scope["host"]


class Between(NamedTuple):
    """What is the same for every Work of a program, before each kernel and behind the last.

    Attributes:
        differs, by_state: as ``Program`` says. known: reductions. hosts: by kernel and whether it takes columns.
    """

    differs: list[bool]
    by_state: list[bool]
    known: list[list[int]]
    hosts: dict[tuple[int, bool], Callable[..., Any]]


@functools.lru_cache(maxsize=1024)
def between(of: Program, real: type[np.floating[Any]]) -> Between:
    """The arithmetic between the passes of a program, for a type of arithmetic."""
    passes = range(len(of.kernels) + 1)
    differs, by_state = [of.differs(k) for k in passes], [of.differs_by_state(k) for k in passes]
    # both forms of those that may take either: nothing is compiled between two passes
    forms = [{one, one and not by_state} for one, by_state in zip(differs, by_state, strict=True)]
    hosts = {(k, arrays): compiled(of.host(k, of.divisors(k)), arrays, real) for k in passes for arrays in forms[k]}
    return Between(differs, by_state, [of.known(k) for k in passes], hosts)


class Numbers:
    """The numbers of a Work, in float64: what its kernels read besides memory, and what it keeps per tensor.

    They are computed once for each row of the Work where they can be: where they differ from tensor to tensor
    only as the state does, and the tensors of a row have the same state. Else they are columns.

    Args:
        real: the type of the arithmetic, as NumPy knows it.
    Attributes:
        sums: reduction -> its value, one per tensor or one for all; what the kernels have found so far.
        by_tensor: for each kernel, and for the state behind the last, whether there is a line per tensor in this
            step, and not one per row.
    """

    def __init__(self, of: Program, work: Work, real: type[np.floating[Any]]) -> None:
        self.program, self.work = of, work
        self.passes = range(len(of.kernels) + 1)
        self.differs, self.by_state, self.known, self._hosts = between(of, real)
        self.by_tensor = list(self.differs)
        self._may_share = any(map(operator.and_, self.differs, self.by_state))
        # the same for all tensors of a row, and of steps and settings alone: no column is looked at
        self._plain = [not (d or of.tensor_slots or k) for d, k in zip(self.differs, self.known, strict=True)]
        self._kept = [slot.name for slot in of.rule.slots if slot.init.is_number and not slot.init.passing]
        self.sums: dict[int, Any] = {}
        self.sizes = np.asarray(work.sizes, np.float64)
        self._tables = [np.zeros((0, len(kernel.scalars)), real) for kernel in of.kernels]
        self._rows_at: Any = None
        self._first = np.zeros(0, np.int64)
        self._left: dict[str, bytes] = {}

    def settle(self) -> None:
        """Find out what differs in this step."""
        if not self._may_share:
            return
        if self._rows_at is not self.work.row_of:
            self._rows_at = self.work.row_of
            self._first = np.unique(self._rows_at, return_index=True)[1]
            self._left = {}
        alike = len(self._first) == len(self.work.rows) and all(map(self._alike, self._kept))
        self.by_tensor = [
            differs and not (alike and by_state) for differs, by_state in zip(self.differs, self.by_state, strict=True)
        ]

    def _alike(self, slot: str) -> bool:
        """Whether the tensors of every row have the same number."""
        numbers = self.work.numbers[slot]
        held = numbers.tobytes()  # what was alike a step ago and is as it was left, is alike: this is quicker
        if self._left.get(slot) != held and not (numbers == numbers[self._first][self.work.row_of]).all():
            return False
        self._left[slot] = held
        return True

    def _said(self, k: int, count_all: int) -> Iterator[tuple[Any, ...]]:
        """What ``host(k)`` says: once, with a column per number, or once for each row."""
        host, work = self._hosts[k, self.by_tensor[k]], self.work
        known = [self.sums[i] for i in self.known[k]]
        numbers = [work.numbers[name] for name in self.program.tensor_slots]
        if self.by_tensor[k]:
            names = self.program.rule.settings
            by_row = np.array([[r.t, *(r.settings[name] for name in names)] for r in work.rows], np.float64)
            columns = by_row.T.take(work.row_of, axis=1)
            with np.errstate(all="ignore"):
                yield host(*columns, *numbers, self.sizes, float(count_all), *known)
            return
        # of use only if the tensors of a row share them: else this host does not look at them
        firsts = self._first if self.differs[k] else [0] * len(work.rows)
        for row, first in zip(work.rows, firsts, strict=True):
            yield host(row.t, *row.settings.values(), *(float(x[first]) for x in numbers), None, count_all, *known)

    def table(self, k: int, count_all: int) -> np.ndarray:
        """The scalars of kernel ``k``: a line per tensor or per row. The same memory while the lines are as many."""
        lines = len(self.sizes) if self.by_tensor[k] else len(self.work.rows)
        table = self._tables[k]
        if len(table) != lines:
            table = self._tables[k] = np.empty((lines, table.shape[1]), table.dtype)
        if self._plain[k]:
            host = self._hosts[k, False]
            for line, row in enumerate(self.work.rows):
                table[line] = host(row.t, *row.settings.values(), None, count_all)
            return table
        for line, values in enumerate(self._said(k, count_all)):
            if not self.by_tensor[k]:
                table[line] = values
                continue
            for column, value in enumerate(values):
                table[:, column] = value
        return table

    def count_on(self, count_all: int) -> None:
        """The state that is numbers, for the next step."""
        slots, behind = self.program.tensor_slots, self.passes[-1]
        if not slots:
            return
        said = list(self._said(behind, count_all))
        by_row = len(said) > 1  # rows differ in step and settings, also where tensors as such do not
        for name, values in zip(slots, zip(*said, strict=True), strict=True):
            numbers = self.work.numbers[name]
            numbers[:] = np.array(values)[self.work.row_of] if by_row else values[-1]
            if name in self._left and not self.by_tensor[behind]:
                self._left[name] = numbers.tobytes()


# ---------------------------------------------------------------- the passes


class _Ready:
    """A Work with everything that does not change from step to step: tables and machine code."""

    def __init__(self, work: Work, guard: bool) -> None:
        self.work = work
        self.program = of = cut(work.rule, guard)
        self.kernels = [kernel(*given) for given in texts(of, work.dtype)]
        self.bound: list[tuple[Any, ...]] = [(None,) * 4] * len(self.kernels)  # tables, the kernel on them
        self.numbers = Numbers(of, work, np.float64 if work.dtype == "float64" else np.float32)
        sizes = np.asarray(work.sizes, np.int64)
        self.sizes = sizes
        counts = -(-sizes // CHUNK)
        tensor = np.repeat(np.arange(len(sizes)), counts)
        first = np.cumsum(counts) - counts
        begin = (np.arange(len(tensor)) - first[tensor]) * CHUNK
        self.chunks = np.array([tensor, begin, np.minimum(CHUNK, sizes[tensor] - begin), tensor], np.int64)
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
        addresses, (at, cut_so, filled, call) = self.work.addresses, self.bound[k]
        if at is not addresses or cut_so is not chunks or filled is not table:
            call = self.kernels[k].bind(addresses, chunks, table, self.partials[k])
            self.bound[k] = (addresses, chunks, table, call)
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
