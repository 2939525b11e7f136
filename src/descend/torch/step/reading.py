"""Where parameters and gradients lie, read for all of them by one call.

A step of many small tensors is mostly the question what has changed: from Python about 0.2 µs per tensor,
and several times that when gradients are new, as after ``zero_grad()``. Here a function made by LLVM asks
torch's own libraries: their stable C interface (``aoti_torch_*``) and three C++ functions that they export.
What is taken for granted is that a C++ tensor is one pointer; where a Python tensor keeps it is searched
for. Every Reader compares what it reads with what Python says before anybody relies on it, and where
anything is missing or differs, Python reads.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...engines.base import Meanwhile
from ...engines.llvm import kernels
from ...engines.llvm.team import torch_library
from . import reading_code
from .reading_code import FACTS, FUNCTIONS, MOVED, OTHER, SEEN, TABLE

log = logging.getLogger("descend")
_WORD = 8


class Reader:
    """Reads some parameters and their gradients, step after step.

    Args:
        members: the tensors of every group, in order.
        having: the parameters that have gradients, which fit.
        without: the others.
        states: state tensors, which may be asked for.
    Attributes:
        gradients: int64 (tensors), the address of every gradient.
    Raises:
        RuntimeError, OSError, AttributeError: torch's libraries are not as they must be.
    """

    MOVED, OTHER = MOVED, OTHER

    def __init__(
        self,
        members: Sequence[Sequence[torch.Tensor]],
        having: Sequence[torch.Tensor],
        without: Sequence[torch.Tensor],
        states: Sequence[torch.Tensor],
    ) -> None:
        offset, functions, address = _offset(), _functions(), _function()
        self._read = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address)  # nobody replaces what is being read
        if any(p.is_inference() for p in having):
            raise RuntimeError("a parameter was made in inference mode")  # which C++ refuses to bump
        for p in (*having, *without, *states):
            if ctypes.c_int64.from_address(id(p) + offset).value != p._cdata:  # pyright: ignore[reportAttributeAccessIssue]
                raise RuntimeError("a Python tensor keeps its C++ tensor elsewhere")
        grads: list[Any] = [p.grad for p in having]
        places = _places(grads)
        self._alive = (members, having, without, states)  # whose addresses the table holds
        self._lists, self.gradients = np.zeros(len(members), np.int64), places.copy()
        self._states = len(states)
        given: dict[str, Any] = {
            "offset": offset,
            "record": 1,
            "bump": 0,
            "groups": len(members),
            "lists": self._lists,
            "lengths": [len(group) for group in members],
            "members": [id(p) for group in members for p in group],
            "states": len(states),
            "state_objects": list(map(id, states)),
            "state_places": _places(states),
            "state_shapes": np.zeros(sum(map(_words, states)), np.int64),
            "tensors": len(having),
            "objects": list(map(id, having)),
            "places": _places(having),
            "gradients": self.gradients,
            "facts": np.zeros(len(FACTS) * len(grads) + sum(map(_words, (*having, *grads))), np.int64),
            "seen": np.zeros(SEEN * len(having), np.int64),
            "absent": len(without),
            "absents": list(map(id, without)),
        }
        self._arrays = {name: np.asarray(v, np.int64) for name, v in given.items() if not isinstance(v, int)}
        facts = [self._arrays[name].ctypes.data if name in self._arrays else given[name] for name in TABLE]
        self._table = np.array(facts + functions, np.int64)
        self._at = self._table.ctypes.data
        self._compare(members, places)
        self._bump_table = self._table.copy()
        self._bump_table[TABLE.index("bump")] = 1
        self.written = _telling(address, self._bump_table)

    def _compare(self, members: Sequence[Sequence[torch.Tensor]], places: np.ndarray) -> None:
        """Record what each gradient is, and see that Python agrees on where everything lies."""
        groups = [{"params": list(group)} for group in members]
        recorded = self.changes(groups, True)
        self._table[TABLE.index("record")] = 0
        if recorded or self.changes(groups, True) or (self.gradients != places).any():
            raise RuntimeError("torch's libraries answer otherwise than Python")

    def changes(self, groups: Sequence[dict[str, Any]], states: bool) -> int:
        """What has changed since the step before: SAME, MOVED or OTHER of ``reading_code``.

        Args:
            groups: the parameter groups as they are now, as many as there were.
            states: whether to ask for the state tensors, too.
        """
        for k, group in enumerate(groups):
            params = group["params"]
            if not isinstance(params, list):
                return self.OTHER
            self._lists[k] = id(params)
        self._table[_STATES] = self._states if states else 0
        return self._read(self._at)


def _telling(address: int, table: np.ndarray) -> Meanwhile:
    """Tells autograd, as ``torch.autograd.graph.increment_version`` does, that the parameters have been changed."""
    bump, at = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address), table.ctypes.data

    def written(_alive: np.ndarray = table) -> None:
        bump(at)

    return Meanwhile(written, (address, at))


_STATES = TABLE.index("states")


def _words(tensor: torch.Tensor) -> int:
    """How many numbers its shape is: how many dimensions, sizes, strides."""
    return 1 + 2 * tensor.dim()


def _places(tensors: Sequence[torch.Tensor]) -> np.ndarray:
    return np.array(list(map(torch.Tensor.data_ptr, tensors)), np.int64)


def reader(*given: Any) -> Reader | None:
    """A Reader, or None where reading is left to Python; the logger ``descend`` says why at INFO."""
    try:
        return Reader(*given)
    except (RuntimeError, OSError, AttributeError) as error:
        _say(str(error))
        return None


@functools.cache
def _say(why: str) -> None:
    log.info("addresses are read by Python, which takes longer for many small tensors: %s", why)


@functools.cache
def _function() -> int:
    """The address of the machine code, from the disk or compiled now."""
    return kernels.function(Path(reading_code.__file__).read_bytes(), reading_code.compiled)


@functools.cache
def _functions() -> list[int]:
    """The addresses of what the code calls."""
    libraries = {"python": ctypes.pythonapi, "torch_cpu": torch_library("torch_cpu"), "c10": torch_library("c10")}
    found = [getattr(libraries[library], name) for name, library in FUNCTIONS.items()]
    return [ctypes.cast(function, ctypes.c_void_p).value or 0 for function in found]


@functools.cache
def _offset() -> int:
    """Where in a Python tensor the pointer to its C++ tensor stands, in bytes.

    Raises:
        RuntimeError: nowhere, or in several places.
    """
    size = torch._C.TensorBase.__basicsize__ // _WORD * _WORD  # pyright: ignore[reportAttributeAccessIssue]
    found: set[int] | None = None
    for n in range(3):
        t = torch.zeros(n)
        words = np.frombuffer(ctypes.string_at(id(t), size), np.int64)
        here = set(np.flatnonzero(words == t._cdata).tolist())  # pyright: ignore[reportAttributeAccessIssue]
        found = here if found is None else found & here
    if not found or len(found) > 1 or ctypes.sizeof(ctypes.c_void_p) != _WORD:
        raise RuntimeError("a Python tensor does not show where its C++ tensor is")
    return found.pop() * _WORD
