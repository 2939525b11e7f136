"""A few steps by hand: one parameter, a few gradients, and every value on the way."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from ..core.formula import Number, put
from ..core.formula_print import expression
from ..core.formula_read import FIRST, formulas
from ..core.formula_run import run
from ..core.rule import Rule
from ..core.settings import shared
from .facts import symbol

START = 1.0
GRADIENTS = (0.5, -0.2, 1.0)


@dataclass(frozen=True)
class Assigned:
    """One value of one step."""

    stage: str
    name: str
    text: str  # the line with numbers in place of names
    value: float

    @property
    def symbol(self) -> str:
        return symbol(self.name)


@dataclass(frozen=True)
class Step:
    t: int
    g: float
    before: dict[str, float]  # p and the state, before the step
    values: tuple[Assigned, ...]
    p: float


def by_hand(rule: Rule, steps: int = 1) -> list[Step]:
    """The first steps from p = 1; gradients 0.5, −0.2, 1, and again.

    Raises:
        TypeError: the rule needs more than one number (a matrix, say).
    """
    try:
        return _steps(rule, steps)
    except (AttributeError, IndexError, KeyError, ValueError) as error:
        raise TypeError(f"{rule.name} does not work on a single number") from error


def _steps(rule: Rule, steps: int) -> list[Step]:
    stages = rule.stages or (rule,)
    plan = list(zip(stages, formulas(rule), strict=True))
    base = next((stage.settings for stage in stages if stage.kind == "rule"), {})
    settings = {s.name: {k: base.get(k) if v is shared else v for k, v in s.settings.items()} for s in stages}
    p, taken = START, []
    state = {
        (stage.name, slot.name): _start(slot.init.fill, settings[stage.name])
        for stage in stages
        for slot in stage.slots
    }
    for t, g in enumerate(islice(cycle(GRADIENTS), steps), 1):
        before = {"p": p, **{slot: value for (_, slot), value in state.items()}}
        q, passed, values = p, g, []
        for stage, formula in plan:
            env = {"p": p, "q": q, "g": passed, "t": t, **settings[stage.name]}
            env |= {slot.name: state[stage.name, slot.name] for slot in stage.slots}
            for line, new in run(formula, env):
                shown = expression(put(line.value, {k: _rounded(v) for k, v in env.items() if _is_number(v)}))
                for target, value in zip(line.targets, new, strict=True):
                    values.append(Assigned(stage.name, target.name, shown, float(value)))
                env |= {target.name: value for target, value in zip(line.targets, new, strict=True)}
            result = env[FIRST[stage.kind]]
            passed, q = (result, q) if stage.kind == "before" else (passed, result)
            state |= {(stage.name, slot.name): env[slot.name] for slot in stage.slots}
        taken.append(Step(t, g, before, tuple(values), float(q)))
        p = q
    return taken


def _start(fill: float | str, settings: dict[str, Any]) -> float:
    return settings[fill] if fill in settings else {"p": START, "g": GRADIENTS[0]}.get(str(fill), fill)  # type: ignore


def _is_number(x: object) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool)


def _rounded(x: float) -> float:
    return float(f"{x:.6g}")


def shown(x: float) -> str:
    """Six digits: ``0.999``, ``−0.2``, ``2.5·10⁻⁷``."""
    return expression(Number(_rounded(x)))
