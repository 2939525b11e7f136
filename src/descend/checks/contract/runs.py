"""How the checks run a rule: on an engine, from a state, with something changed on the way."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ...core.rule import Rule
from ...core.trace import NotTraceable, Tape, admit, trace
from ...core.value import Refused
from ...engines import load
from ...engines.arrays import address, take_first_gradients
from ...engines.base import Engine, Row, Work
from ..traces import FED, Reference, Tensors, begin, gradients, settings_of, shapes_for

Snapshot = dict[str, list[np.ndarray]]  # "p" and each slot -> an array per tensor, after a step
Touch = Callable[[int, Work], None]


@dataclass
class Subject:
    """A rule under check, and what its author says about it.

    Attributes:
        reference: a plain NumPy transcription, in the calling form of ``checks/references``.
        equivalent: edits of its text that do not change the rule -> the reason.
        quick: leave out what takes seconds.
    """

    rule: Rule
    reference: Reference | None = None
    equivalent: dict[str, str] = field(default_factory=dict)
    quick: bool = False

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return shapes_for(self.rule)

    @cached_property
    def settings(self) -> list[dict[str, float]]:
        """The defaults, then others in which nothing is zero or hides."""
        return list(settings_of(self.rule))

    @cached_property
    def given(self) -> tuple[Tensors, list[Tensors]]:
        """A start and 30 steps of gradients without zeros, of mixed signs, spanning 1e-4 to 1e2."""
        return gradients(self.shapes, holes=False)

    @cached_property
    def plain(self) -> list[Snapshot]:
        """The rule with its defaults on these, by the oracle."""
        return self.run()

    def run(self, **how: Any) -> list[Snapshot]:
        return run(self.rule, *self.given, self.settings[0], **how)

    @cached_property
    def refused(self) -> Refused | None:
        """Why no engine runs it, if none does."""
        try:
            admit(self.rule)
        except Refused as reason:
            return reason
        return None

    @cached_property
    def tape(self) -> Tape | None:
        """What the tracer sees; None for a rule of rows, columns or matrices."""
        try:
            return trace(self.rule)
        except NotTraceable:
            return None

    @property
    def elementwise(self) -> bool:
        """Whether, by its text, each element of the result depends on the same element of the arrays alone."""
        return self.tape is not None and all(node.op != "total" for node in self.tape.nodes)

    @property
    def stages(self) -> tuple[Rule, ...]:
        return self.rule.stages or (self.rule,)

    def line_of(self, error: BaseException) -> str:
        """Where in the rule's own file the error arose, as `` (line 12: m = ...)``; empty if nowhere there."""
        files = {stage.fn.__code__.co_filename for stage in self.stages}
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in files]
        return f" (line {frames[-1].lineno}: {frames[-1].line})" if frames else ""


def sentence(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"


def called(rule: Rule, shape: tuple[int, ...], settings: dict[str, float], frozen: bool = False) -> tuple[Any, ...]:
    """The rule's function called once on float64 arrays of this shape: the new ``p``, then the new state.

    ``frozen``: the arrays refuse to be written to.
    """
    load("numpy")
    (x,), ((g,),) = gradients([shape], steps=1, seed=1, holes=False)
    work = begin(rule, [x], settings)
    arrays = [work.arrays["p"][0], g]
    arrays += [(work.arrays | work.numbers)[slot.name][0] for slot in rule.slots]
    for array in arrays:
        if isinstance(array, np.ndarray):
            array.flags.writeable = not frozen
    numbers = {name: np.float64(value) for name, value in settings.items()}
    with np.errstate(all="ignore"):
        return rule.apply(*arrays, t=np.float64(1), **numbers)


def run(*given: Any, **how: Any) -> list[Snapshot]:
    """All that ``walk`` yields: what an engine makes of a rule, after each step; float64 copies."""
    return list(walk(*given, **how))


def walk(
    rule: Rule,
    start: Sequence[np.ndarray],
    grads: Sequence[Sequence[np.ndarray]],
    settings: dict[str, float],
    *,
    engine: str | Engine = "numpy",
    dtype: str = "float64",
    resume: tuple[int, Snapshot] | None = None,
    touch: Touch | None = None,
    fed: bool = True,
) -> Iterator[Snapshot]:
    """The same step by step, while ``grads`` may grow.

    ``resume``: the number of steps done before, and what they left. ``touch(t, work)`` is called before step t.
    ``fed``: state that something else than the step feeds has been fed.
    """
    made = load(engine) if isinstance(engine, str) else engine
    done, left = resume or (0, None)
    work = _prepared(rule, start, settings, left, fed)
    work.dtype, convert = dtype, converter(made, dtype)
    work.arrays = {name: [convert(a) for a in arrays] for name, arrays in work.arrays.items()}
    work.arrays["g"] = [convert(np.zeros_like(x)) for x in start]
    if made.on_memory:
        address(work)
    step = made.prepare([work])
    names = ["p", *(slot.name for slot in rule.slots)]
    for t, g in enumerate(grads, done + 1):
        for array, value in zip(work.arrays["g"], g, strict=True):
            array[...] = convert(value)
        if t == 1:
            take_first_gradients(work)
        work.rows = [Row(t, dict(settings))]
        if touch is not None:
            touch(t, work)
        step(1)
        yield {n: [_copied(a) for a in (work.arrays | work.numbers)[n]] for n in names}


def _copied(array: Any) -> np.ndarray:
    return np.array(array.numpy() if hasattr(array, "numpy") else array, np.float64)


def _prepared(
    rule: Rule, start: Sequence[np.ndarray], settings: dict[str, float], left: Snapshot | None, fed: bool
) -> Work:
    work = begin(rule, list(start), settings)
    if left is not None:
        for slot in rule.slots:
            if slot.init.is_number:
                work.numbers[slot.name] = np.array(left[slot.name])
            else:
                work.arrays[slot.name] = [np.array(a) for a in left[slot.name]]
        work.arrays["p"] = [np.array(a) for a in left["p"]]
    elif fed and rule.name in FED and FED[rule.name][0] in work.arrays:
        for array in work.arrays[FED[rule.name][0]]:
            array[...] = FED[rule.name][1]
    return work


def converter(engine: Engine, dtype: str) -> Callable[[Any], Any]:
    """How an engine wants its arrays: NumPy's in C order, or torch's."""
    if engine.name != "torch":
        return lambda a: np.array(a, dtype, order="C")
    import torch

    return lambda a: torch.tensor(np.asarray(a), dtype=getattr(torch, dtype))
