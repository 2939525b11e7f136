"""Checks of the formula: it can be printed, it descends, it is its transcription, and every edit of it shows."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from ...core.rule import Rule, chain
from ...core.settings import taken_by
from ...explain.formula.print import text
from ...explain.formula.read import formulas
from ..mutate import BAR, EQUIVALENT, mutants, survives
from ..traces import STEPS, distance
from .report import Outcome, green, red, skipped, warning
from .run import check
from .runs import Subject, sentence, walk

HOW = (
    "A reference allows two more checks. Beside the rule, and without looking at it, write it from the paper:\n"
    "  from descend.checks import per_tensor\n"
    "  @per_tensor\n"
    "  def {name}_reference(x, gradients, *, {settings}):\n"
    "      {state} = np.zeros_like(x)\n"
    "      for t, g in enumerate(gradients, 1):\n"
    "          ...\n"
    "          yield x, {{{state!r}: {state}}}"
)


def how(rule: Rule) -> str:
    """How to write a reference for this rule."""
    state = rule.slots[0].name if rule.slots else "m"
    return HOW.format(name=rule.name.replace("+", "_"), settings=", ".join(rule.settings) or "**_", state=state)


@check("formula", "Its formula can be printed.")
def _formula(it: Subject) -> Outcome:
    try:
        lines = [line for formula in formulas(it.rule) for line in text(formula)]
    except OSError:
        return skipped("its text is not at hand: it was typed at a prompt")
    except Exception as error:
        return red(
            f"it cannot be read: {sentence(error)}",
            "Write assignments and end with one return, in a file (not at a prompt).",
        )
    return green(" | ".join(line.strip() for line in lines if line.strip()))


@check("descends", "With its defaults it falls on a convex quadratic (a warning only: some rules must not).")
def _descends(it: Subject) -> Outcome:
    shape = it.shapes[0]
    x = np.random.default_rng(5).normal(size=shape)
    curvature = np.geomspace(0.1, 1.0, x.size).reshape(shape)
    settings, grads = it.settings[0], [[curvature * x]]
    last = x
    for after, _ in zip(walk(it.rule, [x], grads, settings), range(300), strict=False):
        last = at = after["p"][0]
        if it.rule.gradient_point is not None:
            wanted = taken_by(it.rule.gradient_point, settings)
            at = it.rule.gradient_point(at, *(after[slot.name][0] for slot in it.rule.slots), **wanted)
        grads.append([curvature * at])
    before, end = (float((curvature * y * y).sum() / 2) for y in (x, last))
    seen = f"f went from {before:.3g} to {end:.3g} in 300 steps"
    if not end < before:
        return warning(seen, "If it should descend, look at its signs and at lr.")
    return green(seen)


@check("reference", "It equals its independent transcription.")
def _reference(it: Subject) -> Outcome:
    if it.reference is None:
        return skipped("there is none", how(it.rule))
    for k, settings in enumerate(it.settings):
        try:
            with np.errstate(all="ignore"):
                apart = distance(it.rule, it.reference, settings, seed=k)
        except Exception as error:
            return red(
                f"the reference stopped with {sentence(error)}",
                "It takes x, gradients and every setting by keyword, and yields (new x, state by name) each step. "
                "Written for one tensor, it stands under @per_tensor.",
            )
        if not apart <= BAR:
            shown = ", ".join(f"{name}={value:.4g}" for name, value in settings.items())
            return red(
                f"up to {apart:.2e} apart within {STEPS} steps with {shown} (bound {BAR:.0e})",
                "Compare both with the paper, line by line: one of them is wrong.",
            )
    return green(f"within {BAR:.0e} over {STEPS} steps at {len(it.settings)} settings")


@check("mutants", "Every one-edit mistake in its text is noticed by the reference.")
def _mutants(it: Subject) -> Outcome:
    if it.reference is None:
        return skipped("there is no reference", "See the check 'reference'.")
    if it.quick:
        return skipped("left out by --quick")
    if not survives(it.rule, it.rule, it.reference):
        return skipped("not looked at before 'reference' is green")
    try:
        made = list(broken(it))
    except Exception as error:
        return warning(f"its text cannot be edited: {sentence(error)}", "Write it at the top level of a file.")
    if not made:
        return skipped("its text has nothing to edit")
    with np.errstate(all="ignore"):
        alive = [what for what, mutant in made if survives(it.rule, mutant, it.reference)]
    if alive:
        more = f" and {len(alive) - 5} more" if len(alive) > 5 else ""
        return red(
            f"{len(alive)} of {len(made)} are not: {'; '.join(islice(alive, 5))}{more}",
            "Yield all the state from the reference. If an edit changes nothing, say so: "
            f"{it.rule.name.replace('+', '_')}_equivalent = {{{alive[0]!r}: 'why'}}",
        )
    return green(f"{len(made)} of {len(made)}")


def broken(it: Subject) -> Iterator[tuple[str, Rule]]:
    """Every mutant that must be noticed; those of a chain are its stages' in turn."""
    stages = list(it.stages)
    for k, stage in enumerate(stages):
        rebuilt: Callable[[Rule], Any] = lambda mutant, k=k: chain(*stages[:k], mutant, *stages[k + 1 :])  # noqa: E731
        for what, mutant in mutants(stage):
            if what not in it.equivalent and (it.rule.name, what) not in EQUIVALENT:
                yield what, rebuilt(mutant) if it.rule.stages else mutant
