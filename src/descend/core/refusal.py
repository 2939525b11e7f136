"""Why a rule cannot run, said for who wrote it: the rule, the file and line, and what to write instead."""

import builtins
import dis
import linecache
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import CodeType, FrameType, TracebackType
from typing import Any

from .init import Init
from .nearest import nearest
from .value import WHERE, Refused, Value
from .words import STARTS, WORDS, instead, listed

_HERE = os.path.dirname(__file__)
_BUILTIN = {
    "max": "write maximum(a, b) in place of max",
    "min": "write minimum(a, b) in place of min",
    "sum": "write total(x) for the sum of a tensor",
    "len": "write rows(x) and columns(x) for the sizes of a matrix",
    "any": "write total(where(condition, 1.0, 0.0)) > 0 for any",
    "all": "write total(where(condition, 0.0, 1.0)) == 0 for all",
}


def explained(error: Exception, kind: str, name: str, fn: Callable[..., Any]) -> Refused:
    """The refusal of a rule whose function stopped with ``error`` while it was traced."""
    frame, line, at = _place(error.__traceback__, fn)
    said = _said(error, frame, at)
    return Refused(f"{place(kind, name, fn, frame.f_code if frame else None, line)} {said}")


def place(kind: str, name: str, fn: Callable[..., Any], code: CodeType | None = None, line: int = 0) -> str:
    """``rule mine, file.py:12, `if g > 0:`,``; without a line, where the function returns."""
    code = code or getattr(fn, "__code__", None)
    if code is None:
        return f"{kind} {name}"
    line = line or max((i.lineno for i in _returns(code)), default=code.co_firstlineno)
    text = linecache.getline(code.co_filename, line).strip()
    return f"{kind} {name}, {_shown(code.co_filename)}:{line}{f', `{text}`,' if text else ''}"


def _shown(file: str) -> str:
    here = os.getcwd() + os.sep
    return file.removeprefix(here)


def _place(traceback: TracebackType | None, fn: Callable[..., Any]) -> tuple[FrameType | None, int, int]:
    """The deepest frame of the rule's own files, with the line and the instruction at which it stands."""
    found: tuple[FrameType | None, int, int] = (None, 0, 0)
    home: FrameType | None = None
    while traceback is not None:
        frame = traceback.tb_frame
        if os.path.dirname(frame.f_code.co_filename) != _HERE:
            home = home or frame
            if _together(frame, home):
                found = frame, traceback.tb_lineno, traceback.tb_lasti
        traceback = traceback.tb_next
    return found


def _together(frame: FrameType, home: FrameType) -> bool:
    """Whether two frames are of the same package, or of files side by side."""
    packages = {str(f.f_globals.get("__name__", "")).partition(".")[0] for f in (frame, home)}
    return len(packages) == 1 or len({os.path.dirname(f.f_code.co_filename) for f in (frame, home)}) == 1


def _said(error: Exception, frame: FrameType | None, at: int) -> str:
    called = _called(frame.f_code, at) if frame else ""
    words = _of_error(error)
    if isinstance(error, NameError):
        name = getattr(error, "name", None) or ""
        return f"uses a name that nothing has: {words}. {_word(name, frame)}"
    if called and frame and _is_foreign(called, frame):
        own = str(getattr(_found(called, frame), "__name__", ""))
        way = instead(called.rpartition(".")[2]) or instead(own) or "descend has nothing of the kind"
        return f"calls {called}, which is no word of descend: {way}. {listed()}"
    if called in _BUILTIN and isinstance(error, Refused):
        return words.replace("; ", f"; {_BUILTIN[called]}; ", 1)
    if isinstance(error, Refused):
        return words
    if "is not callable" in words and called in WORDS and frame and isinstance(_found(called, frame), Value):
        return f"calls {called}, which is a setting or a state of this rule and hides the word {called}: rename it"
    if "is not callable" in words and any(f"'{kind}'" in words for kind in _kinds()):
        return f"calls {called or 'a value'}, a number by now: give the schedule to the optimizer, as in lr=schedule"
    if "unhashable" in words and any(kind in words for kind in _kinds()):
        return f"uses a value as a key, and it is only known while it runs; {WHERE}"
    if isinstance(error, TypeError) and any(f"'{kind}'" in words for kind in _kinds()):
        return f"does to a value what it cannot: {words}. {listed()}"
    return f"stopped with {type(error).__name__}: {words}"


def _of_error(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "") or "no message"


def _kinds() -> Iterable[str]:
    return [kind.__name__ for kind in Value.__subclasses__()]


def _word(name: str, frame: FrameType | None) -> str:
    if name in STARTS:
        return f"{name} begins state in the signature: from descend import {name}"
    if way := instead(name):
        return f"{way[0].upper()}{way[1:]}. {listed()}"
    near = nearest(name, [*WORDS, *(frame.f_locals if frame else ())], 1)
    return f"{f'Did you mean {near[0]!r}? ' if near else ''}{listed()}"


def _called(code: CodeType, at: int) -> str:
    """The function that is called at this instruction, as it is written (``np.sqrt``); "" if there is none.

    Read off the instructions and not off the text, which is not at hand for what was typed at a prompt.
    """
    instructions = list(dis.get_instructions(code))
    here = next((i for i in reversed(instructions) if i.offset <= at), None)  # it may stand within a cache behind
    if here is None or "CALL" not in here.opname or here.positions is None:
        return ""
    start = here.positions.lineno, here.positions.col_offset
    names: list[str] = []
    for i in instructions:
        if i is here:
            break
        if i.positions and (i.positions.lineno, i.positions.col_offset) == start and isinstance(i.argval, str):
            if i.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                names.append(i.argval)
            elif i.opname.startswith("LOAD"):
                names = [i.argval]
    return ".".join(names)


def _found(called: str, frame: FrameType) -> Any:
    """What a dotted name stands for in a frame; None if it cannot be told."""
    root, *attributes = called.split(".")
    value = {**vars(builtins), **frame.f_globals, **frame.f_locals}.get(root)
    for attribute in attributes:
        value = None if isinstance(value, Value) else getattr(value, attribute, None)
    return value


def _is_foreign(called: str, frame: FrameType) -> bool:
    """Whether it is a function of another library, and neither Python's own, nor descend's, nor the writer's."""
    value = _found(called, frame)
    if value is None or isinstance(value, Value | Init):
        return False
    home = str(getattr(value, "__module__", None) or getattr(type(value), "__module__", "")).partition(".")[0]
    mine = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return home not in ("descend", mine) and value is not getattr(builtins, called, None)


@dataclass(frozen=True)
class _Return:
    names: tuple[str, ...]  # what it returns, where it is plain names; else none
    lineno: int


def _returns(code: CodeType) -> list[_Return]:
    """The returns of a function. ``return p, m`` has the names p and m."""
    instructions = list(dis.get_instructions(code))
    found = []
    for k, end in enumerate(instructions):
        if end.opname != "RETURN_VALUE" or k == 0:
            continue
        several = instructions[k - 1].opname == "BUILD_TUPLE"
        count, names = (instructions[k - 1].arg or 0) if several else 1, []
        for i in reversed(instructions[: k - several]):
            if len(names) >= count or not i.opname.startswith(("LOAD_FAST", "LOAD_DEREF", "STORE_FAST_LOAD_FAST")):
                break
            loaded = i.argval if isinstance(i.argval, tuple) else (i.argval,)
            names = [*(loaded[1:] if i.opname.startswith("STORE") else loaded), *names]
        line = end.positions.lineno if end.positions and end.positions.lineno else code.co_firstlineno
        found.append(_Return(tuple(names) if len(names) == count else (), line))
    return found


def disordered(kind: str, name: str, fn: Callable[..., Any], results: tuple[str, ...]) -> str:
    """The refusal of a function whose return names what it should, in each other's places; "" if none does.

    Only a circle is one: ``return p, g, prev`` for slots prev and older moves each value on.
    """
    code = getattr(fn, "__code__", None)
    for one in _returns(code) if code else ():
        if len(one.names) == len(results) and _turns(one.names, results):
            where = place(kind, name, fn, code, one.lineno)
            return f"{where} returns ({', '.join(one.names)}); {ending(results)}"
    return ""


def ending(results: tuple[str, ...]) -> str:
    """How a function of these results ends."""
    return f"end with the order of the signature: return {', '.join(results)}"


def _turns(names: tuple[str, ...], results: tuple[str, ...]) -> bool:
    """Whether some of the names stand in each other's places."""
    for begun in results:
        at = names[results.index(begun)]
        for _ in results:
            if at == begun or at not in results:
                break
            at = names[results.index(at)]
        if at == begun and names[results.index(begun)] != begun:
            return True
    return False


def miscounted(kind: str, name: str, fn: Callable[..., Any], results: tuple[str, ...], values: Any) -> str:
    """The refusal of a function that returned too much, too little or nothing."""
    must = f"{place(kind, name, fn)} must return ({', '.join(results)}); it returned"
    if values is None:
        return f"{must} nothing; {ending(results)}"
    nested = isinstance(values, tuple) and any(isinstance(v, tuple | list) for v in values)
    if nested or isinstance(values, list | dict):
        return f"{must} a {type(values).__name__}{' with others inside' * nested}; {ending(results)}"
    count = len(values) if isinstance(values, tuple) else 1
    named = next((one.names for one in _returns(fn.__code__) if len(one.names) == count), ())
    missing = [r for r in results if r not in named] if named else list(results[count:])
    more = [n for n in named if n not in results] if count > len(results) else []
    said = f"; missing: {', '.join(missing)}" if missing else ""
    said += f"; no state of its signature: {', '.join(more)} ({more[0]}=zeros would make it one)" if more else ""
    return f"{must} {count} value{'s' * (count != 1)}{said}; {ending(results)}"
