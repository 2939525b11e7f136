"""The processor that kernels are compiled for, and machine code of theirs made callable, by LLVM alone."""

import ctypes
import functools
import itertools
import os
import threading
from collections.abc import Callable
from typing import Any

from llvmlite import binding

MACHINE: dict[str, Any] = {"opt": 3, "reloc": "pic", "codemodel": "jitdefault", "jit": True}
LOCK = threading.RLock()
"""Held while LLVM works, and by whoever forks: a child never inherits LLVM in the middle of something."""
# llvmlite's own lock is held by whichever thread frees one of its objects, outside of ours
_LOCKS = [LOCK, *([inner] if (inner := getattr(getattr(binding.ffi.lib, "_lock", None), "_lock", None)) else [])]


def _hold() -> None:
    for lock in _LOCKS:
        lock.acquire()


def _let_go() -> None:
    for lock in reversed(_LOCKS):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)

Function = Callable[[int, int, int], None]


@functools.cache
def processor() -> tuple[str, str]:
    """Name and features of the processor; DESCEND_CPU_NAME and DESCEND_CPU_FEATURES override (or NUMBA_CPU_...)."""
    name, features = (
        os.environ.get(f"DESCEND_CPU_{x}", os.environ.get(f"NUMBA_CPU_{x}")) for x in ("NAME", "FEATURES")
    )
    if features is None:
        features = binding.get_host_cpu_features().flatten()
        if "+avx512f" in features.split(","):
            # LLVM halves the vectors of Intel's processors against a clock that falls; a step waits for memory, and
            # longer vectors leave room for more loads on their way: Lion at 20M 0.52 ns a parameter, then 0.475
            features += ",-prefer-256-bit"
    return name or binding.get_host_cpu_name(), features


@functools.cache
def halves() -> bool:
    """Whether machine code may convert float16: without F16C, LLVM calls a function there, and the process crashes."""
    name, features = processor()
    x86 = binding.get_process_triple().startswith(("x86_64", "i386", "i686"))
    return not x86 or "+f16c" in features.split(",") or name in ("x86-64-v3", "x86-64-v4")


def machine() -> Any:
    """LLVM's target machine for ``processor``."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    name, features = processor()
    return _target().create_target_machine(cpu=name, features=features, **MACHINE)


def emitted(module: Any, speed_level: int = 2, **tuning: bool) -> bytes:
    """The object file of a module of llvmlite's.

    Args:
        tuning: options of LLVM's pipeline, such as ``loop_vectorization``.
    Raises:
        RuntimeError: LLVM refuses it.
    """
    target = machine()
    module.triple, module.data_layout = target.triple, str(target.target_data)
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    options = binding.create_pipeline_tuning_options(speed_level=speed_level)
    for name, value in tuning.items():
        setattr(options, name, value)
    builder = binding.create_pass_builder(target, options)
    builder.getModulePassManager().run(parsed, builder)
    return target.emit_object(parsed)


def _target() -> Any:
    return binding.Target.from_triple(binding.get_process_triple())


@functools.cache
def _linker() -> Any:
    # of LLVM's two linkers the one that reports a missing symbol as an error; the other ends the process
    return binding.create_lljit_compiler(machine(), use_jit_link=False, suppress_errors=True)


_names = itertools.count()  # LLVM keeps the name of a library that could not be linked, too
_linked: list[Any] = []  # what keeps the code in memory: kernels live as long as the process


def linked(code: bytes) -> Function:
    """``kernel(arguments, lo, hi)`` of an object file, with the GIL released while it runs.

    Raises:
        RuntimeError: it is no object file for this machine, or it has no ``kernel``.
    """
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(placed(code))


def placed(code: bytes) -> int:
    """The address of ``kernel`` of an object file, which stays in memory as long as the process.

    Raises:
        RuntimeError: as ``linked``.
    """
    library = binding.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol("kernel")
    tracker = library.link(_linker(), f"descend{next(_names)}")
    _linked.append(tracker)
    return tracker["kernel"]
