"""What an engine is given and what it owes.

An engine receives the tensors of an optimizer in groups that share rule, type and device (``Work``),
and steps them all at once: first everything that only reads (norms, the check for non-finite
gradients), then one commit in which nothing can fail any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..core.program import program
from ..core.rule import Rule
from ..core.trace import NotTraceable
from .llvm.words import WIDTH


@dataclass
class Row:
    """The numbers that a set of tensors shares in this step: the step count and every setting."""

    t: int
    settings: dict[str, float]


@dataclass
class Work:
    """Tensors that one kernel can step together.

    Attributes:
        arrays: ``"p"``, ``"g"`` and each per-element slot -> one array per tensor. Engines that work on
            memory read ``addresses`` instead.
        numbers: each per-tensor slot -> float64 array, one entry per tensor; the engine replaces entries.
        dtype: of the parameters: float64, float32, bfloat16 or float16. State and arithmetic are float32
            for the last two.
        addresses: int64, one line per name in ``names``, one column per tensor; bytes.
    """

    rule: Rule
    dtype: str
    sizes: list[int]
    rows: list[Row]
    row_of: np.ndarray
    arrays: dict[str, list[Any]] = field(default_factory=dict)
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    addresses: np.ndarray | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return streams(self.rule)


class NoFactors(ArithmeticError):
    """LAPACK found no factors of finite numbers, of the tensor of this place in ``work``; nothing has been changed."""

    def __init__(self, word: str, tensor: int, reason: Exception) -> None:
        super().__init__(f"tensor {tensor}: {word} failed ({reason}); nothing was changed")
        self.word, self.tensor, self.reason = word, tensor, reason
        self.work: Work | None = None


def streams(rule: Rule) -> tuple[str, ...]:
    """The arrays of a rule, in the order of the address table."""
    return ("p", "g", *(slot.name for slot in rule.slots if slot.init.shape == "element"))


def finite(works: list[Work]) -> bool:
    """Whether all gradients, NumPy arrays, are."""
    return all(np.isfinite(g).all() for work in works for g in work.arrays["g"])


def write(works: list[Work], new: Iterable[dict[str, Any]]) -> None:
    """Write the new value of everything, by name, into the works' arrays and numbers, which are NumPy's."""
    for work, values in zip(works, new, strict=True):
        for name, items in values.items():
            if name in work.numbers:
                work.numbers[name][:] = items
            else:
                with np.errstate(over="ignore"):  # beyond float32 is infinity
                    for array, item in zip(work.arrays[name], items, strict=True):
                        array[...] = item
    share(works)


def share(works: list[Work], there: list[Mapping[str, Any]] | None = None) -> None:
    """Make the numbers that all parameters share one again, where a rule took them from steps or settings that differ.

    The first of the tensors that have taken the most steps decides. ``there``: the numbers of each Work, if elsewhere.
    """
    if len(works) == 1 and len(works[0].rows) == 1:
        return
    places: dict[str, list[tuple[int, Any, Any]]] = {}
    for work, held in zip(works, there or [work.numbers for work in works], strict=True):
        slots = [slot for slot in work.rule.slots if slot.init.shape == "all"] if work.sizes else []
        steps = [work.rows[row].t for row in work.row_of] if slots else []
        for slot in slots:
            first = steps.index(max(steps))
            numbers = held[slot.name]
            places.setdefault(slot.saved_as, []).append((steps[first], numbers[first], numbers))
    for found in places.values():
        _, value, _ = max(found, key=lambda place: place[0])
        for _, _, numbers in found:
            numbers[:] = value


def untraceable(rule: Rule, dtype: str, engine: str) -> str | None:
    """Why an engine of kernels cannot run the rule on this type, or None."""
    if dtype not in WIDTH:
        return f"the {engine} engine has no {dtype}"
    try:
        program(rule)
    except NotTraceable as reason:
        return str(reason)
    return None


class Engine(Protocol):
    """One way to run rules. ``on_memory`` engines read ``Work.addresses``, the others ``Work.arrays``."""

    name: str
    on_memory: bool

    def refuses(self, rule: Rule, dtype: str) -> str | None:
        """Why this engine cannot run the rule on this type, or None."""
        ...

    def prepare(self, works: list[Work], guard: bool = False) -> Callable[[int], bool]:
        """Compile what is needed. Returns ``step(threads)``, which steps all works once.

        With ``guard``, ``step`` returns False, with nothing changed, on a non-finite gradient. Between
        steps the caller may change the works' rows, arrays and addresses, not their tensors' sizes.
        """
        ...
