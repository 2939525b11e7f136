"""``untraced``: what ``torch.compile`` calls as it stands, and never looks into.

Dynamo runs what it traces on stand-ins: an array whose address is taken is not the array that is kept, and an
attribute that is counted up is written back later, or not at all. A step hands addresses to kernels and counts, so
tracing it ends in lost counts or in a crash. The marks stand where Dynamo looks for them, on functions and their code:
a step that nobody compiles pays nothing for them, and torch need not be loaded for them to be set.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, TypeVar

_T = TypeVar("_T")
_OURS = str(Path(__file__).parents[1])
_WHY = "descend runs kernels of its own, on addresses"
_waiting: list[CodeType] = []  # until torch is loaded


def untraced(thing: _T) -> _T:
    """Decorator of a function, or of a class for all methods and properties it defines itself.

    In a compiled function a call of it is one graph break, and all that it calls, closures included, runs as if
    nothing were compiled.
    """
    if not isinstance(thing, type):
        return _marked(thing)
    for name, member in list(vars(thing).items()):
        if isinstance(member, FunctionType):
            setattr(thing, name, _marked(member))
        elif isinstance(member, property):
            parts = (_marked(part) if part else None for part in (member.fget, member.fset, member.fdel))
            setattr(thing, name, property(*parts, doc=member.__doc__))
    return thing


def tell() -> None:
    """Tell Dynamo of what was marked before torch was loaded."""
    frames: Any = sys.modules.get("torch._C._dynamo.eval_frame")
    if frames is None or not _waiting or not _skips(frames):
        return
    skip = frames._FrameAction.SKIP
    while _waiting:
        frames.set_code_exec_strategy(_waiting.pop(), frames._FrameExecStrategy(skip, skip))


def _skips(frames: Any) -> bool:
    return all(hasattr(frames, name) for name in ("set_code_exec_strategy", "_FrameExecStrategy", "_FrameAction"))


def _marked(function: Any) -> Any:
    frames: Any = sys.modules.get("torch._C._dynamo.eval_frame")
    if frames is not None and not _skips(frames):
        function = _plainly(function, frames)  # of torch before 2.7; this costs 0.2 µs a call
    for each in _inner(function):
        each._torchdynamo_disable, each._torchdynamo_disable_msg = True, _WHY
        if each.__code__.co_filename.startswith(_OURS):  # the frame of contextlib, say, is everybody's
            _waiting.append(each.__code__)
    tell()
    return function


def _inner(function: Any) -> Iterator[Any]:
    """The function and what it wraps, as ``contextmanager`` and ``functools.wraps`` say."""
    while function is not None:
        if isinstance(function, FunctionType):
            yield function
        function = getattr(function, "__wrapped__", None)


def _plainly(function: Callable[..., Any], frames: Any) -> Callable[..., Any]:
    """The function with Dynamo off inside, where code cannot be marked for good."""

    def plainly(*args: Any, **kwargs: Any) -> Any:
        before = frames.set_eval_frame(None)
        try:
            return function(*args, **kwargs)
        finally:
            frames.set_eval_frame(before)

    if hasattr(frames, "skip_code"):
        frames.skip_code(plainly.__code__)
    return functools.update_wrapper(plainly, function)
