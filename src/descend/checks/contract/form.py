"""Checks of the form: it runs, returns what it declares, branches on nothing, writes into nothing, repeats."""

import numpy as np

from ...core.value import Misreturned
from ...engines.base import Work
from ..traces import gradients
from .compare import first_difference
from .report import Outcome, green, red, skipped, warning
from .run import check
from .runs import Subject, called, run, sentence


@check("shapes", "It runs on tensors of every shape; a rule for matrices on every matrix.", needed=True)
def _shapes(it: Subject) -> Outcome:
    if it.refused:
        return skipped("no engine runs it; the next checks say why")
    for shape in it.shapes:
        start, grads = gradients([shape], steps=2, holes=False)
        try:
            if not _misfit(it, shape):
                run(it.rule, start, grads, it.settings[0])
        except Exception as error:
            advice = "Use only the words of descend (where, norm, ...), which know every shape."
            if it.rule.vectors is None and len(shape) < 2:
                advice += " A rule for matrices names the rule for the others: @rule(vectors=adamw)."
            return red(f"on shape {shape}: {sentence(error)}{it.line_of(error)}", advice)
    return green(", ".join(map(str, it.shapes)))


def _misfit(it: Subject, shape: tuple[int, ...]) -> str:
    """Which returned value is not of the shape or the type it should be, in words; empty if all are."""
    names = ["p", *(slot.name for slot in it.rule.slots)]
    expected = [shape, *(slot.init.shape_for(shape) for slot in it.rule.slots)]
    for name, value, right in zip(names, called(it.rule, shape, it.settings[0]), expected, strict=True):
        if value is None:
            return f"{name} came back as None"
        if np.shape(value) != right:
            return f"{name} came back with shape {np.shape(value)} where it has {right} (p of shape {shape})"
        if (kind := np.asarray(value).dtype) != np.float64:
            return f"{name} came back as {kind}; float64 went in (p of shape {shape})"
    return ""


@check("returns", "It returns the new p and each state, in order, each in its own shape, as numbers.", needed=True)
def _returns(it: Subject) -> Outcome:
    names = ", ".join(it.rule.results)
    advice = f"End with: return {names}. A condition becomes a number by where(condition, 1.0, 0.0)."
    if it.refused:
        return (
            red(str(it.refused), advice) if isinstance(it.refused, Misreturned) else skipped("it does not run so far")
        )
    for shape in it.shapes:
        if misfit := _misfit(it, shape):
            return red(misfit, advice)
    return green(f"{names} in their own shapes, float64")


@check(
    "branches", "It decides nothing by if, and, or, min, max or a loop over data; every engine runs it.", needed=True
)
def _branches(it: Subject) -> Outcome:
    if it.refused:
        return red(str(it.refused), "Write where(condition, a, b) and the words of `descend words` alone.")
    return green("one and the same arithmetic for all data")


@check("inputs", "It does not write into the arrays it is given.")
def _inputs(it: Subject) -> Outcome:
    for shape in it.shapes:
        try:
            called(it.rule, shape, it.settings[0], frozen=True)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            return red(
                f"it writes into one of them{it.line_of(error)}",
                "Write m = m + g and not m += g: on the right a name is the old value, on the left the new one.",
            )
    return green("all of them read-only, and it ran")


@check("repeats", "Two runs from the same start give the same bits.")
def _repeats(it: Subject) -> Outcome:
    if found := first_difference(it.plain, it.run()):
        return red(
            f"{found} in the second run",
            "Keep what must last in a state slot; draw no random numbers and remember nothing outside.",
        )
    return green(f"{len(it.plain)} steps, bit by bit")


@check("step", "It knows the step only if it declares t, and uses it if it does.")
def _step(it: Subject) -> Outcome:
    for stage in it.stages:
        names = stage.fn.__code__.co_names
        if not stage.uses_t and "t" in names:
            return red(
                f"{stage.name} reads a t from outside of it", "Declare the step behind the *: def rule(..., *, t)"
            )
    late = [stage.name for stage in it.stages if stage.uses_t]
    if not late:
        return green("no t")
    if not any(_later_differs(it, settings) for settings in it.settings):
        seen = f"{' and '.join(late)} declares t, and nothing depends on it at {len(it.settings)} settings"
        return warning(seen, "Take t out of the signature.")
    return green("t is declared, and matters")


def _later_differs(it: Subject, settings: dict[str, float]) -> bool:
    """Whether the same run, were it five steps later, is another."""

    def later(t: int, work: Work) -> None:
        work.rows[0].t = t + 5

    here, there = (run(it.rule, *it.given, settings, touch=touch) for touch in (None, later))
    return bool(first_difference(here, there))
