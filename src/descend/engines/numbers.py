"""The arithmetic between passes: numbers in float64, one by one or as a column with one for each tensor."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..core import ops
from ..core.program import Program
from .base import Work

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
        return min(max(1.0 / x, -largest), largest) if x else ops.divide(1.0, x)

    scope: dict[str, Any] = dict(_ARRAYS if arrays else _HOST, reciprocal=reciprocal)
    exec(compile(text, "<descend host>", "exec"), scope)
    return scope["host"]


class Numbers:
    """The numbers of a Work: what its kernels read besides memory, and what it keeps per tensor.

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
        self.differs = [of.differs(k) for k in self.passes]
        self.by_state = [of.differs_by_state(k) for k in self.passes]
        self.by_tensor = list(self.differs)
        self._may_share = any(map(operator.and_, self.differs, self.by_state))
        self._kept = [slot.name for slot in of.rule.slots if slot.init.is_number and not slot.init.passing]
        self.known = [of.known(k) for k in self.passes]
        self.sums: dict[int, Any] = {}
        self.sizes = np.asarray(work.sizes, np.float64)
        # both forms of those that may take either: nothing is compiled between two passes
        forms = [{one, one and not by_state} for one, by_state in zip(self.differs, self.by_state, strict=True)]
        self._hosts = {
            (k, arrays): compiled(of.host(k, of.divisors(k)), arrays, real) for k in self.passes for arrays in forms[k]
        }
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
            order = work.row_of
            columns = [np.array([float(r.t) for r in work.rows])[order]]
            columns += [np.array([r.settings[name] for r in work.rows])[order] for name in self.program.rule.settings]
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
