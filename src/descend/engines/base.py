"""What an engine is given and what it owes.

An engine receives the tensors of an optimizer in groups that share rule, type and device (``Work``),
and steps them all at once: first everything that only reads (norms, the check for non-finite
gradients), then one commit in which nothing can fail any more.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.program import program
from ..core.rule import Rule
from ..core.trace import NotTraceable
from .formats import WIDTH


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


class Gather:
    """Totals over all parameters, which may span several Works: their functions run once more for each such total.

    Attributes:
        count: elements of all parameters.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.known: list[Any] = []
        self._asked = 0
        self._partial: list[Any] = []

    def all(self, partial: Any) -> Any:
        """The total whose part of this Work is ``partial``: exact if known, else to be found next."""
        k, self._asked = self._asked, self._asked + 1
        if k == len(self.known):
            self._partial.append(partial)
        return self.known[k] if k < len(self.known) else partial

    def run(self, functions: list[Callable[[], Any]]) -> list[Any]:
        """What the functions return once every total they ask for is known; of one function, each part is the total."""
        while True:
            self._partial, returned = [], []
            for function in functions:
                self._asked = 0
                returned.append(function())
            if not self._partial or len(functions) == 1:
                return returned
            self.known.append(sum(self._partial[1:], self._partial[0]))


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


@dataclass(frozen=True)
class Meanwhile:
    """What a caller does once in a step, and may be done while kernels run.

    Attributes:
        native: the same as the address of a C function and its one argument, which any thread may call; or zeros.
    """

    call: Callable[[], None]
    native: tuple[int, int] = (0, 0)


class Step:
    """What an engine has made of some Works: called once in every step. What it does not have stands here.

    Attributes:
        meanwhile: what is done besides in every step that writes: while kernels run, or behind them.
        found_inf: of a capturable step: a tensor of one number on the device. Where it is not 0, nothing is changed.
    """

    meanwhile: Meanwhile | None = None
    found_inf: Any = None

    def __call__(self, threads: int) -> bool:
        """Step all Works. False, with nothing changed, if the guard found a gradient that is not finite.

        Raises:
            NoFactors: of a matrix of finite numbers; nothing has been changed.
        """
        done = self.run(threads)
        if done and self.meanwhile:
            self.meanwhile.call()
        return done

    def run(self, threads: int) -> bool:
        """The step without what is done meanwhile."""
        raise NotImplementedError

    def counters(self) -> list[Any]:
        """Of a capturable step: for each Work the next step of each of its rows, from 1: float64, on the device."""
        raise NotImplementedError

    def measure(self) -> None:
        """Bring up to date what is of this step alone (``passing`` numbers), where a step leaves that until asked."""

    def first_sums(self, threads: int) -> list[tuple[list[np.ndarray], float]]:
        """Run the first pass alone, of engines that have ``sums``, of rules whose first pass needs no sum.

        Returns: for each Work what it has added up, tensor by tensor, and how many elements of its gradients are not
        finite (0 without a guard).
        """
        raise NotImplementedError


class Engine:
    """One way to run rules.

    Attributes:
        on_memory: it reads ``Work.addresses``; the others read ``Work.arrays``.
        on_numpy: those are NumPy's, and it computes in float64.
        sums: its steps have ``first_sums``.
        capturable: a CUDA graph may record its steps, which are counted on the device then.
    """

    name: str
    on_memory = False
    on_numpy = False
    sums = False
    capturable = False

    def refuses(self, rule: Rule, dtype: str) -> str | None:
        """Why this engine cannot run the rule on this type, or None."""
        raise NotImplementedError

    def out_of_reach(self, tensor: Any) -> str | None:
        """Why it cannot step a tensor of torch's that lies where this one does, or None."""
        return None if tensor.device.type == "cpu" else f"a tensor on {tensor.device.type}"

    def prepare(self, works: list[Work], guard: bool = False, capturable: bool = False) -> Step:
        """Compile what is needed for all Works.

        With ``guard`` a step with a gradient that is not finite changes nothing. With ``capturable``, of engines that
        are, steps are counted on the device from the rows' first ``t`` on. Between steps the caller may change the
        works' rows, arrays and addresses, not their tensors' sizes.
        """
        raise NotImplementedError
