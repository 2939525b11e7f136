"""The CPU engine: one fused pass over all tensors, compiled by Numba, without Numba's threads.

A step is a table of chunks of fixed length, cut from all tensors, and a serial kernel that runs a range
of chunks. Threads of our own pool take ranges. Chunk bounds do not depend on the number of threads,
so neither do the bits of the result.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from ..core import ops
from ..core.emit import Program, program
from ..core.rule import Rule
from ..core.trace import Extent, NotTraceable
from . import numba_words as words
from .base import Work
from .pool import POOL

CHUNK = 1 << 15  # elements; 5 float32 streams of a chunk are 640 KiB, which fits a core's L2
INLINE = 1 << 19  # elements below which waking a thread (about 60 µs) costs more than it saves
_LANES = 4096  # elements summed in the working type before they join a float64 sum
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
_COMPILING = threading.Lock()


def source(of: Program, k: int) -> str:
    """The text of kernel ``k``: what is compiled, and what ``explain`` may show."""
    kernel, names = of.kernels[k], {}
    streams = ["p", "g", *(slot.name for slot in of.rule.slots if slot.init.shape == "element")]
    touched = [n for n in streams if n in kernel.loads or n in dict(kernel.stores)]
    head = [f"at_{n} = addresses[{streams.index(n)}, i] + b * width_{n}" for n in touched]
    for position, index in enumerate(kernel.scalars):
        head.append(f"s{index} = scalars[r, {position}]")
        names[index] = f"s{index}"
    loads = [f"{n} = load_{n}(at_{n}, j)" for n in kernel.loads]
    names |= {i: str(of.tape.nodes[i].value) for i in kernel.body if of.tape.nodes[i].op == "input"}
    body = loads + of.lines(kernel.body, words.SPELLING, names)
    body += [f"store_{n}(at_{n}, j, {names[i]})" for n, i in kernel.stores]
    sums = [(f"sum{i}", names[of.tape.nodes[i].args[0]]) for i in kernel.sums]
    text = ["def kernel(addresses, chunks, scalars, partials, lo, hi):", " for c in range(lo, hi):"]
    text += ["  i = chunks[0, c]; b = chunks[1, c]; n = chunks[2, c]; r = chunks[3, c]"]
    text += ["  " + line for line in head]
    if not sums:
        return "\n".join([*text, "  for j in range(n):", *("   " + line for line in body)])
    text += [f"  {total} = 0.0" for total, _ in sums] + [f"  for q in range(0, n, {_LANES}):"]
    text += [f"   part_{total} = zero" for total, _ in sums] + [f"   for j in range(q, min(q + {_LANES}, n)):"]
    text += ["    " + line for line in body]
    text += [f"    part_{total} = add_any_order(part_{total}, {value})" for total, value in sums]
    text += [f"   {total} += float64(part_{total})" for total, _ in sums]
    text += [f"  partials[{row}, c] = {total}" for row, (total, _) in enumerate(sums)]
    return "\n".join(text)


@functools.cache
def _compiled(text: str, streams: tuple[str, ...], dtype: str) -> Callable[..., None]:
    """The machine code of a kernel; the same text is compiled once."""
    number = np.float64 if dtype == "float64" else np.float32
    scope: dict[str, Any] = {
        "math": math, "float64": np.float64, "select": words.select, "fma": words.fma,
        "add_any_order": words.add_any_order,
        "zero": number(0), "one": number(1), "largest": np.finfo(number).max,
    }  # fmt: skip
    scope["power"] = numba.njit(**_OPTIONS)(lambda a, b: a**b)
    for index, name in enumerate(streams):
        kind = dtype if name in ("p", "g") else number.__name__
        scope[f"load_{name}"] = words.loader(index, len(streams), kind)
        scope[f"store_{name}"] = words.storer(index, len(streams), kind)
        scope[f"width_{name}"] = words.WIDTH[kind]
    exec(compile(text, "<descend kernel>", "exec"), scope)
    real = numba.float64 if dtype == "float64" else numba.float32
    signature = numba.void(
        numba.int64[:, ::1],
        numba.int64[:, ::1],
        real[:, ::1],
        numba.float64[:, ::1],
        numba.int64,
        numba.int64,
    )
    return numba.njit(signature, **_OPTIONS)(scope["kernel"])


_HOST = {name: getattr(ops, name) for name in ("divide", "power", "absolute")}
_HOST |= {name: ops.NUMBERS[name] for name in ("sqrt", "exp", "log", "tanh", "sign", "isfinite")}
_HOST |= {name: ops.NUMBERS[name] for name in ("maximum", "minimum", "where")} | {"invert": lambda x: not x}
_ARRAYS = {"divide": np.divide, "power": np.power, "absolute": np.abs, "invert": np.logical_not}
_ARRAYS |= {name: getattr(np, name) for name in ("sqrt", "exp", "log", "tanh", "sign", "isfinite")}
_ARRAYS |= {name: getattr(np, name) for name in ("maximum", "minimum", "where")}


class _Ready:
    """A Work with everything that does not change from step to step: tables and machine code."""

    def __init__(self, work: Work, guard: bool) -> None:
        self.work = work
        self.program = program(work.rule, guard)
        streams = tuple(work.names)
        texts = [source(self.program, k) for k in range(len(self.program.kernels))]
        with _COMPILING:
            self.calls = [_compiled(text, streams, work.dtype) for text in texts]
        self.number = np.float64 if work.dtype == "float64" else np.float32
        nodes = self.program.tape.nodes
        self.by_tensor = any(node.extent is Extent.TENSOR for node in nodes)
        self.hosts = []
        for k in range(len(texts)):
            scope = dict(_ARRAYS if self.by_tensor else _HOST)
            exec(compile(self.program.host(k), "<descend host>", "exec"), scope)
            self.hosts.append(scope["host"])
        sizes = np.asarray(work.sizes, np.int64)
        self.sizes = sizes
        counts = -(-sizes // CHUNK)
        tensor = np.repeat(np.arange(len(sizes)), counts)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64) if len(sizes) else counts
        begin = (np.arange(len(tensor)) - first[tensor]) * CHUNK
        self.chunks = np.stack([tensor, begin, np.minimum(CHUNK, sizes[tensor] - begin), tensor])
        self.chunks = np.ascontiguousarray(self.chunks, np.int64)
        self.first, self.filled = first, sizes > 0
        self.rows_at: Any = None
        lines = len(sizes) if self.by_tensor else 1
        self.tables = [np.zeros((lines, len(kernel.scalars)), self.number) for kernel in self.program.kernels]
        self.known = [[i for i in self.program.sums if nodes[i].level <= k] for k in range(len(texts))]
        self.partials = np.zeros((max(1, len(self.program.sums)), len(tensor)))
        self.sums: dict[int, Any] = {}  # reduction -> its value, one per tensor or one for all
        self.elements = int(sizes.sum())

    def scalars(self, k: int, count_all: int) -> tuple[np.ndarray, tuple[Any, ...]]:
        """The scalar table of kernel ``k``, and the new per-tensor state if ``k`` is the last."""
        host, rows, table = self.hosts[k], self.work.rows, self.tables[k]
        known = [self.sums[i] for i in self.known[k]]
        state = [self.work.numbers[name] for name in self.program.tensor_slots]
        if not self.by_tensor:
            state = [float(numbers[0]) for numbers in state]  # numbers that all parameters share
            values: Any = ()
            if len(table) != len(rows):
                table = self.tables[k] = np.empty((len(rows), table.shape[1]), self.number)
            for line, row in enumerate(rows):
                values = host(row.t, *row.settings.values(), *state, None, count_all, *known)
                table[line] = values[: table.shape[1]]
            return table, values[table.shape[1] :]
        order = self.work.row_of
        columns = [np.array([float(r.t) for r in rows])[order]]
        columns += [np.array([r.settings[name] for r in rows])[order] for name in self.program.rule.settings]
        with np.errstate(all="ignore"):
            values = host(*columns, *state, self.sizes.astype(float), float(count_all), *known)
        for column in range(table.shape[1]):
            table[:, column] = values[column]
        return table, values[table.shape[1] :]

    def run(self, k: int, table: np.ndarray, threads: int) -> None:
        """Kernel ``k`` on all chunks, inline or by the pool."""
        work = self.work
        if self.rows_at is not work.row_of:  # tell each chunk which line of the table is its tensor's
            self.chunks[3] = self.chunks[0] if self.by_tensor else work.row_of[self.chunks[0]]
            self.rows_at = work.row_of
        call, addresses, chunks, partials = self.calls[k], work.addresses, self.chunks, self.partials
        if self.elements <= INLINE or threads <= 1:
            call(addresses, chunks, table, partials, 0, chunks.shape[1])
        else:
            POOL.run(lambda lo, hi: call(addresses, chunks, table, partials, lo, hi), chunks.shape[1], threads)

    def by_sum(self, k: int) -> list[tuple[int, np.ndarray]]:
        """Each reduction of kernel ``k`` with its sum over every tensor, added in the order of the chunks."""
        found = []
        for line, index in enumerate(self.program.kernels[k].sums):
            totals = np.zeros(len(self.sizes))
            if self.elements:
                totals[self.filled] = np.add.reduceat(self.partials[line], self.first[self.filled])
            found.append((index, totals))
        return found


class _Step:
    """All Works of one optimizer, compiled; called once per step."""

    def __init__(self, works: list[Work], guard: bool) -> None:
        self.ready = [_Ready(work, guard) for work in works]
        self.guard = guard
        self.count_all = sum(r.elements for r in self.ready)
        self.depth = max((len(r.calls) for r in self.ready), default=1) - 1

    def __call__(self, threads: int) -> bool:
        for level in range(self.depth):
            self._reduce(level, threads)
            if (
                level == 0
                and self.guard
                and any(r.sums[r.program.tape.guard] for r in self.ready if r.program.tape.guard)
            ):
                return False
        plans = [r.scalars(len(r.calls) - 1, self.count_all) for r in self.ready]
        for r, (table, numbers) in zip(self.ready, plans, strict=True):
            r.run(len(r.calls) - 1, table, threads)
            for name, value in zip(r.program.tensor_slots, numbers, strict=True):
                r.work.numbers[name][:] = value
        return True

    def _reduce(self, level: int, threads: int) -> None:
        """Run pass ``level`` of every Work and join the sums: over a tensor alone, or over all Works."""
        everywhere: dict[int, list[tuple[_Ready, int]]] = {}
        parts: dict[int, float] = {}
        for r in self.ready:
            if level >= len(r.calls) - 1:
                continue
            r.run(level, r.scalars(level, self.count_all)[0], threads)
            for order, (index, totals) in enumerate(r.by_sum(level)):
                if r.program.tape.nodes[index].extent is Extent.TENSOR:
                    r.sums[index] = totals
                    continue
                key = -1 if index == r.program.tape.guard else order
                everywhere.setdefault(key, []).append((r, index))
                parts[key] = parts.get(key, 0.0) + float(totals.sum())
        for key, places in everywhere.items():
            for r, index in places:
                r.sums[index] = parts[key]


class NumbaEngine:
    name = "numba"
    on_memory = True

    def refuses(self, rule: Rule, dtype: str) -> str | None:
        if dtype not in words.WIDTH:
            return f"the numba engine has no {dtype}"
        try:
            program(rule)
        except NotTraceable as reason:
            return str(reason)
        return None

    def prepare(self, works: list[Work], guard: bool = False) -> Callable[[int], bool]:
        return _Step(works, guard)


ENGINE = NumbaEngine()
