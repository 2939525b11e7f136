"""Checks of the parts: every setting and every state slot is there for something, and the state is the whole state."""

import numpy as np

from ...engines.base import Work
from ..traces import STEPS
from .compare import all_of, differ, first_difference, points
from .report import Outcome, green, red
from .run import check
from .runs import Snapshot, Subject, run

# Settings that a rule carries for its relative's sake.
CARRIED = {("came_vector", "beta3"), ("came_vector", "eps2")}


@check("settings", "Every setting changes the result.")
def _settings(it: Subject) -> Outcome:
    base: dict[int, list[Snapshot]] = {}
    tried, idle = 0, []
    for name in it.rule.settings:
        if (it.rule.name, name) in CARRIED:
            continue
        for k, settings in enumerate(it.settings):
            base[k] = base.get(k) or run(it.rule, *it.given, settings)
            values = {other[name] for other in it.settings} | {settings[name] + 0.1, 1e3 * settings[name]}
            tried = sorted(values - {settings[name]})
            changed = (run(it.rule, *it.given, {**settings, name: value}) for value in tried)
            if any(_matters(base[k], other) for other in changed):
                break
        else:
            idle.append((name, tried))
    if idle:
        seen = "; ".join(f"{name} at {', '.join(f'{v:g}' for v in values)}" for name, values in idle)
        return red(
            f"the same bits after {STEPS} steps, from {len(it.settings)} settings of the others, with {seen}",
            f"Use {' and '.join(name for name, _ in idle)} in the formula, or take it out of the signature.",
        )
    return green(", ".join(it.rule.settings) or "it has none")


def _matters(one: list[Snapshot], other: list[Snapshot]) -> bool:
    return any(differ(all_of(a), all_of(b)) for a, b in zip(one, other, strict=True))


@check("state", "Every state slot is used: parameters (or the point that ships) depend on it.")
def _state(it: Subject) -> Outcome:
    idle = [slot.name for slot in it.rule.slots if not _used(it, slot.name)]
    if idle:
        return red(
            f"{' and '.join(idle)} doubled, halved and negated before step 6, and no parameter of 25 steps moved a bit",
            f"Use {' and '.join(idle)} on the way to p, or do not keep it: state costs memory and time.",
        )
    return green(", ".join(slot.name for slot in it.rule.slots) or "it has none")


def _used(it: Subject, name: str) -> bool:
    for settings in it.settings:
        plain = run(it.rule, *it.given, settings)
        for factor, more in ((2.0, 1.0), (0.5, 0.0), (-1.0, 0.0)):

            def change(t: int, work: Work, factor: float = factor, more: float = more) -> None:
                if t == 6:
                    for array in work.arrays.get(name, [work.numbers.get(name)]):
                        assert array is not None
                        array[...] = factor * array + more

            try:
                changed = run(it.rule, *it.given, settings, touch=change)
            except np.linalg.LinAlgError:
                return True
            pairs = zip(plain[5:], changed[5:], strict=True)
            if any(differ(points(it.rule, a, settings), points(it.rule, b, settings)) for a, b in pairs):
                return True
    return False


@check("resumes", "Stopped in the middle and taken up from its state alone, it goes on with the same bits.")
def _resumes(it: Subject) -> Outcome:
    start, grads = it.given
    half = STEPS // 2
    rest = run(it.rule, start, grads[half:], it.settings[0], resume=(half, it.plain[half - 1]))
    if found := first_difference(it.plain[half:], rest, half + 1):
        return red(f"taken up after step {half}, {found}", "Keep in state slots all that lasts from step to step.")
    return green(f"taken up after step {half} of {STEPS}")
