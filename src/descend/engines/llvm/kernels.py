"""From the text of a kernel to something callable: known in this process, found on disk, or compiled now."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import platform
import re
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..formats import WIDTH, working
from . import cache, machine
from .machine import LOCK, Function

log = logging.getLogger("descend")


class Call(NamedTuple):
    """A kernel on some tables: ``run(lo, hi)`` does a range of chunks; ``native``: its address, its first argument."""

    run: Callable[[int, int], None]
    native: tuple[int, int]


_Arguments = ctypes.c_int64 * 8
_known: dict[tuple[str, tuple[str, ...], str], Kernel] = {}
_SOURCES = ("kernels", "lower", "machine", "memory", "arithmetic", "../formats")
_PROBE = 45  # elements of the self-test: whole vectors of any processor, and a rest


class Kernel:
    """Machine code for one pass over chunks of tensors.

    Attributes:
        origin: ``"disk"`` or ``"compiled"``.
        seconds: what it took to get.
        unkept: why the disk does not have it, or ``""``.
    """

    origin = "compiled"
    seconds = 0.0
    unkept = ""

    def __init__(self, function: Function, dtype: str) -> None:
        self._function = function
        self._address = ctypes.cast(function, ctypes.c_void_p).value or 0  # type: ignore[arg-type]
        real = np.dtype(working(dtype))
        self._kinds = (np.dtype(np.int64), np.dtype(np.int64), real, np.dtype(np.float64))

    def bind(self, addresses: Any, chunks: Any, scalars: Any, partials: Any) -> Call:
        """The kernel on these tables, whose memory is read at every call.

        Args:
            addresses: int64 (streams, tensors). chunks: int64 (4, chunks): tensor, first element, elements,
                line of ``scalars``. scalars: (lines, numbers) in the type of the arithmetic.
                partials: float64 (sums, chunks), written.
        Raises:
            TypeError: a table of another type or layout.
        """
        tables, facts = (addresses, chunks, scalars, partials), []
        for table, kind in zip(tables, self._kinds, strict=True):
            about = table.__array_interface__
            if table.dtype != kind or table.ndim != 2 or about["strides"] is not None:
                raise TypeError(f"a kernel takes C-contiguous {kind} tables; got {table.dtype} {table.shape}")
            facts += [about["data"][0], about["shape"][1]]
        arguments = _Arguments(*facts)
        pointer = ctypes.addressof(arguments)
        run = functools.partial(self._function, pointer)
        run.alive = arguments, tables  # type: ignore[attr-defined] - as long as it may be called
        return Call(run, (self._address, pointer))

    def __call__(self, addresses: Any, chunks: Any, scalars: Any, partials: Any, lo: int, hi: int) -> None:
        self.bind(addresses, chunks, scalars, partials).run(lo, hi)


def kernel(text: str, streams: tuple[str, ...], dtype: str) -> Kernel:
    """The kernel with that text; every text is compiled once in a process, and once for all later ones.

    Args:
        streams: the names of the arrays, in the order of the table of addresses.
        dtype: of ``p`` and ``g``: float64, float32, float16 or bfloat16.
    """
    given = (text, streams, dtype)
    if given not in _known:
        begin, name = time.perf_counter(), name_of(*given)
        made = _from_disk(name, *given)
        if made is None:
            with cache.turn(name):
                made = _known.get(given) or _from_disk(name, *given) or _compiled(name, *given)
        made.seconds = time.perf_counter() - begin
        _known.setdefault(given, made)
    return _known[given]


def known(text: str, streams: tuple[str, ...], dtype: str) -> bool:
    """Whether this process has the kernel already."""
    return (text, streams, dtype) in _known


def name_of(text: str, streams: tuple[str, ...], dtype: str) -> str:
    """What the kernel is called on disk: the version of what makes it, and a hash of all that it depends on."""
    content = repr((version(), text, streams, dtype))
    return f"{version()[:8]}-{hashlib.sha256(content.encode()).hexdigest()[:40]}"


@functools.cache
def version() -> str:
    """A hash of everything but the text that decides what machine code comes out."""
    here = Path(__file__).parent
    sources = [(here / f"{name}.py").read_bytes() for name in _SOURCES]
    binding = machine.binding
    facts = (
        hashlib.sha256(b"\0".join(sources)).hexdigest(),
        machine.MACHINE,
        machine.processor(),
        binding.get_process_triple(),
        binding.llvm_version_info,
        __import__("llvmlite").__version__,
        (platform.python_implementation(), platform.python_version()),
        [struct.calcsize(kind) for kind in "Pqfdl"],
        np.dtype(np.intp).byteorder,
        WIDTH,
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def function(content: bytes, compiled: Callable[[], bytes]) -> int:
    """The address of a helper's machine code, from the disk or compiled now.

    Args:
        content: all that decides what comes out, besides ``version``. compiled: makes the object file.
    """
    name = f"{version()[:8]}-{hashlib.sha256(version().encode() + content).hexdigest()[:40]}"
    with LOCK:
        code = cache.load(name)
        if code is None:
            code = compiled()
            cache.store(name, code)
        return machine.placed(code)


def _from_disk(name: str, text: str, streams: tuple[str, ...], dtype: str) -> Kernel | None:
    """The kernel as it was stored, if it still gives the answer that was stored with it."""
    held = cache.load(name)
    if held is None:
        return None
    answer, code = held[:32], held[32:]
    try:
        with LOCK:
            found = Kernel(machine.linked(code), dtype)
        if probe(found, text, streams, dtype) != answer:
            raise ValueError("it gives another answer than when it was compiled")
    except Exception as error:
        log.warning("a stored kernel is compiled again: %s", error)
        return None
    found.origin = "disk"
    return found


def _compiled(name: str, text: str, streams: tuple[str, ...], dtype: str) -> Kernel:
    with LOCK:
        from . import lower

        code = lower.compiled(text, streams, dtype)
        made = Kernel(machine.linked(code), dtype)
    made.unkept = cache.store(name, probe(made, text, streams, dtype) + code)
    return made


def probe(found: Kernel, text: str, streams: tuple[str, ...], dtype: str) -> bytes:
    """SHA-256 of all that ``tried`` returns."""
    arrays, sums = tried(found, text, streams, dtype)
    return hashlib.sha256(b"".join(array.tobytes() for array in (*arrays, sums))).digest()


def tried(found: Any, text: str, streams: tuple[str, ...], dtype: str) -> tuple[list[np.ndarray], np.ndarray]:
    """All that a kernel writes for a few fixed numbers, in two chunks of one tensor: its streams and its sums."""
    real = np.dtype(working(dtype))
    arrays = []
    for line, stream in enumerate(streams):
        values = (np.arange(_PROBE) * 37 + 11 * line) % 101 / 64 + 1 / 64
        if stream in ("p", "g"):
            values[::3] *= -1
        kind = dtype if stream in ("p", "g") else real.name
        if kind == "bfloat16":
            arrays.append((values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16))
        else:
            arrays.append(values.astype(kind))
    addresses = np.array([[array.ctypes.data] for array in arrays], np.int64)
    chunks = np.array([[0, 0], [0, 32], [32, _PROBE - 32], [0, 0]], np.int64)
    scalars = (0.5 + np.arange(_count(r"scalars\[r, (\d+)\]", text)) / 8)[None].astype(real)
    partials = np.zeros((_count(r"partials\[(\d+), c\]", text), 2))
    found(addresses, chunks, scalars, partials, 0, 2)
    return arrays, partials


def _count(pattern: str, text: str) -> int:
    """Rows or columns of a table that the text uses; at least one."""
    return max((int(n) + 1 for n in re.findall(pattern, text)), default=1)
