"""Kernels in the team of threads that torch's OpenMP runtime already has.

Right after a backward pass torch's workers still spin, waiting for more: threads of our own would share the cores with
them (AdamW on 2M elements, two cores: 1.55 ms in a pool, 0.84 ms in the team), and a sleeping thread takes some 60 µs
to wake where a spinning one takes two. So the same chunks are handed to that team, by the runtime's own entry point.

The team is asked for with torch's number of threads, always: another number would make the runtime let threads go and
start them again for torch's next operation. Torch's settings are not touched. What cannot be served so is left to the
pool: no such runtime, a forked child (whose team exists in the parent only), a thread besides the main one.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import kernels, machine

log = logging.getLogger("descend")
_MAIN = threading.main_thread().ident
_JOB = ("kernel", "arguments", "chunks", "each", "threads", "number", "began", "beside", "argument")
_APART = 8  # numbers of 8 bytes: behind the job stands, in a cache line of its own, how much of each share is taken
_PIECES = 32  # per thread: one that is held up by the system holds up little

Native = tuple[int, int]
"""The address of a C function and its one argument: what can be run without the interpreter."""


class Team:
    """A parallel region of an OpenMP runtime.

    Args:
        begin: ``begin(function, job, threads)``, which runs ``function`` in every thread and returns when all are done.
        number: the address of a function that says which of the threads it is called in.
        third: whether the runtime hands ``job`` over behind two numbers of its own, as LLVM's does.
    Raises:
        RuntimeError, OSError: LLVM or the runtime does not do what it should.
    """

    def __init__(self, begin: Callable[[int, int, int], None], number: int, third: bool = False) -> None:
        self._begin, self._number, self._share = begin, number, _shared(third)
        nothing = _space(2)(0, 0, 0, 0, 2, number)
        begin(self._share, ctypes.addressof(nothing), 2)
        if not 1 <= nothing[_JOB.index("began")] <= 2:
            raise RuntimeError("the runtime of OpenMP did not run what it was given")

    def run(self, kernel: Native, chunks: int, threads: int, beside: Native = (0, 0)) -> None:
        """A kernel on all chunks. ``beside`` is run once, in one of the threads, with the argument given."""
        each = min(-(-chunks // threads), _PIECES)
        job = _space(threads)(*kernel, chunks, each, threads, self._number, 0, *beside)
        self._begin(self._share, ctypes.addressof(job), threads)


@functools.cache
def _space(threads: int) -> type[ctypes.Array[ctypes.c_int64]]:
    """The numbers of a job, and behind them zeros for the shares of the threads."""
    return ctypes.c_int64 * (2 * _APART + _APART * threads)


@functools.cache
def _shared(third: bool) -> int:
    """The address of what every thread runs: the pieces of its own share, then what is left of the others'.

    A thread has the same share in every step, and torch's loops over elements give it the same half of a tensor: what
    it needs is in its own cache, as far as that goes.
    """
    return kernels.function(Path(__file__).read_bytes() + bytes([third]), lambda: _compiled(third))


def _compiled(third: bool) -> bytes:
    from llvmlite import ir

    whole, nothing = ir.IntType(64), ir.VoidType()
    job_kind = whole.as_pointer()
    module = ir.Module("share")
    kinds = [job_kind] * 3 if third else [job_kind]
    made = ir.Function(module, ir.FunctionType(nothing, kinds), "kernel")
    entry, first, shares, share, take, taken, run, next_share, done = (
        made.append_basic_block(name)
        for name in ("entry", "first", "shares", "share", "take", "taken", "run", "next_share", "done")
    )
    build = ir.IRBuilder(entry)
    job = made.args[-1]
    of = {name: build.load(build.gep(job, [whole(i)])) for i, name in enumerate(_JOB) if name != "began"}
    kernel = build.inttoptr(of["kernel"], ir.FunctionType(nothing, [whole] * 3).as_pointer())
    beside = build.inttoptr(of["beside"], ir.FunctionType(whole, [whole]).as_pointer())
    number = build.inttoptr(of["number"], ir.FunctionType(ir.IntType(32), []).as_pointer())
    mine = build.sext(build.call(number, []), whole)
    pieces = build.mul(of["each"], of["threads"])
    arrival = build.atomic_rmw("add", build.gep(job, [whole(_JOB.index("began"))]), whole(1), "monotonic")
    alone = build.and_(build.icmp_signed("==", arrival, whole(0)), build.icmp_signed("!=", of["beside"], whole(0)))
    build.cbranch(alone, first, shares)
    build.position_at_end(first)
    build.call(beside, [of["argument"]])
    build.branch(shares)

    build.position_at_end(shares)
    turn = build.phi(whole, "turn")
    turn.add_incoming(whole(0), entry)
    turn.add_incoming(whole(0), first)
    build.cbranch(build.icmp_signed("<", turn, of["threads"]), share, done)
    build.position_at_end(share)
    whose = build.srem(build.add(mine, turn), of["threads"])
    counter = build.gep(job, [build.mul(build.add(whose, whole(2)), whole(_APART))])
    build.branch(take)
    build.position_at_end(take)
    k = build.atomic_rmw("add", counter, whole(1), "monotonic")
    build.cbranch(build.icmp_signed("<", k, of["each"]), taken, next_share)
    build.position_at_end(taken)
    piece = build.add(build.mul(whose, of["each"]), k)
    lo, hi = (build.sdiv(build.mul(of["chunks"], build.add(piece, whole(i))), pieces) for i in (0, 1))
    build.cbranch(build.icmp_signed("<", lo, hi), run, take)
    build.position_at_end(run)
    build.call(kernel, [of["arguments"], lo, hi])
    build.branch(take)
    build.position_at_end(next_share)
    turn.add_incoming(build.add(turn, whole(1)), next_share)
    build.branch(shares)
    build.position_at_end(done)
    build.ret_void()
    return machine.emitted(module)


# ---------------------------------------------------------------- finding the runtime


def torch_library(name: str) -> ctypes.CDLL:
    """A library that torch has loaded already.

    Raises:
        OSError: there is none of the name.
    """
    form = {"darwin": "lib{}.dylib", "win32": "{}.dll"}.get(sys.platform, "lib{}.so")
    return ctypes.CDLL(os.path.join(os.path.dirname(sys.modules["torch"].__file__ or ""), "lib", form.format(name)))


def _entry(name: str) -> Any:
    """A function of the runtime that torch calls: symbols of the whole process win over those of its own libraries."""
    libraries = ([ctypes.CDLL(None)] if os.name == "posix" else []) + [torch_library("torch_cpu")]
    return next((getattr(library, name) for library in libraries if hasattr(library, name)), None)


def _gnu() -> Callable[[int, int, int], None] | None:
    """``GOMP_parallel``, which LLVM's and Intel's runtimes have as well where they stand in for GNU's."""
    function = _entry("GOMP_parallel")
    if function is None:
        return None
    function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return lambda share, job, threads: function(share, job, threads, 0)


class _Where(ctypes.Structure):
    """LLVM's ``ident_t``: the place in a source that a region is reported to begin at."""

    _fields_ = [(name, ctypes.c_int32) for name in ("reserved", "flags", "more", "size")] + [("text", ctypes.c_char_p)]


def _llvm() -> Callable[[int, int, int], None] | None:
    """``__kmpc_fork_call`` of LLVM's and Intel's runtimes."""
    fork, number, push = map(_entry, ("__kmpc_fork_call", "__kmpc_global_thread_num", "__kmpc_push_num_threads"))
    if not (fork and number and push):
        return None
    where = _Where(0, 2, 0, 0, b";descend;step;0;0;;")
    place = ctypes.addressof(where)
    number.argtypes, number.restype = [ctypes.c_void_p], ctypes.c_int32
    push.argtypes, push.restype = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32], None
    fork.argtypes, fork.restype = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p], None  # the rest are its "..."

    def begin(share: int, job: int, threads: int, _alive: Any = where) -> None:
        push(place, number(place), threads)
        fork(place, 1, share, ctypes.c_void_p(job))

    return begin


@functools.cache
def _found() -> Team | None:
    try:
        number = ctypes.cast(_entry("omp_get_thread_num"), ctypes.c_void_p).value or 0
        if number and (begin := _gnu()) is not None:
            return Team(begin, number)
        if number and (begin := _llvm()) is not None:
            return Team(begin, number, third=True)
        why = "torch's libraries have no OpenMP runtime that is known"
    except (OSError, RuntimeError, AttributeError, ctypes.ArgumentError) as error:
        why = str(error)
    log.info("steps run in threads of their own, not in torch's: %s", why)
    return None


_forked = False


def _forget() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def team(threads: int) -> Team | None:
    """Torch's team, if it has this many threads and this is a thread that may ask for it."""
    torch = sys.modules.get("torch")
    if torch is None or _forked or threading.get_ident() != _MAIN or torch.get_num_threads() != threads:
        return None
    return _found()
