"""A few steps by hand: one parameter, or a matrix of four, a few gradients, and every value on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np

from ..core.init import Init
from ..core.rule import Rule, chain
from ..core.settings import shared
from ..engines.eager import numpy as _words  # noqa: F401 - teaches the vocabulary arrays
from .cost import host, needs_matrix
from .facts import symbol
from .formula.print import LOWEST, SUM, Terminal, expression
from .formula.read import FIRST, formulas
from .formula.run import run
from .formula.tree import Number, Tree, parts, put

START = 1.0
GRADIENTS = (0.5, -0.2, 1.0)
# For rules that work on rows, columns or whole matrices.
MATRIX_START = ((1.0, -1.0), (0.5, 2.0))
MATRIX_GRADIENTS = (((0.5, -0.2), (1.0, 0.3)), ((-0.2, 1.0), (0.5, -0.4)), ((1.0, 0.5), (-0.2, 0.6)))
ROUNDING = 1e-12  # an entry that is smaller, beside the largest of its matrix, is zero

Value = float | bool | list[Any]  # a number, a truth, the rows of a matrix


@dataclass(frozen=True)
class Assigned:
    """One value of one step."""

    stage: str
    name: str
    text: str  # the line with numbers in place of names; matrices keep their names
    value: Value

    @property
    def symbol(self) -> str:
        return symbol(self.name)


@dataclass(frozen=True)
class Step:
    t: int
    g: Value
    before: dict[str, Value]  # p and the state, before the step
    values: tuple[Assigned, ...]
    p: Value


def by_hand(rule: Rule, steps: int = 1, p: Any = None, gradients: Sequence[Any] = ()) -> list[Step]:
    """The first steps from p = 1 with gradients 0.5, −0.2, 1, and again; of matrix rules, with 2×2 matrices.

    A modifier of the step stands behind the first rule that it fits, whose result is q.

    Args:
        p, gradients: instead of these, numbers (of matrix rules, 2×2 arrays).

    Raises:
        TypeError: the rule works on neither.
    """
    usual, usually = _given(rule)
    p, gradients = usual if p is None else p, gradients or usually
    try:
        with np.errstate(all="ignore"):  # inf and NaN are values here
            whole = chain(host(rule), rule) if rule.kind == "after" else rule
            return _steps(whole, p, list(islice(cycle(gradients), steps)), "q" if rule.kind == "after" else "p")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        what = "number" if np.ndim(p) == 0 else "matrix"
        raise TypeError(f"{rule.name} does not work on a single {what}") from error


def given(rule: Rule, steps: int = 1) -> str:
    """What the steps start with: ``p = 1, g = 0.5, −0.2``; of matrices, the first gradient only."""
    p, gradients = _given(rule)
    said = gradients[: 1 if np.ndim(p) else steps]
    each = [shown(_plain(g)) for g in said] + ["…"] * (steps > len(said))
    behind = f"; q from {host(rule).name}" if rule.kind == "after" else ""
    return f"p = {shown(_plain(p))}, g = {', '.join(each)}{behind}"


def _given(rule: Rule) -> tuple[Any, tuple[Any, ...]]:
    if needs_matrix(rule):
        return np.array(MATRIX_START), tuple(map(np.array, MATRIX_GRADIENTS))
    return START, GRADIENTS


def _steps(rule: Rule, p: Any, gradients: list[Any], point: str) -> list[Step]:
    """The steps; ``point`` is what the result of a rule is called."""
    stages = rule.stages or (rule,)
    plan = list(zip(stages, formulas(rule), strict=True))
    base = next((stage.settings for stage in stages if stage.kind == "rule"), {})
    settings = {s.name: {k: base.get(k) if v is shared else v for k, v in s.settings.items()} for s in stages}
    begin, taken = {"p": p, "g": gradients[0]}, []
    state = {
        (stage.name, slot.name): _start(slot.init, {**begin, **settings[stage.name]}, np.shape(p))
        for stage in stages
        for slot in stage.slots
    }
    for t, g in enumerate(gradients, 1):
        before = {"p": _plain(p), **{slot: _plain(value) for (_, slot), value in state.items()}}
        q, passed, values = p, g, []
        for stage, formula in plan:
            env = {"p": p, "q": q, "g": passed, "t": t, **settings[stage.name]}
            env |= {slot.name: state[stage.name, slot.name] for slot in stage.slots}
            for line, new in run(formula, env):
                numbers = {k: _rounded(v) for k, v in env.items() if _is_number(v)}
                several = parts("tuple", line.value)
                each: tuple[Tree, ...] = several if len(several) == len(new) else (line.value,) * len(new)
                for target, value, x in zip(line.targets, new, each, strict=True):
                    new_value = _plain(value)
                    said = Terminal().show(put(x, numbers), SUM if isinstance(new_value, bool) else LOWEST)
                    name = point if stage.kind == "rule" and target.name == "p" else target.name
                    values.append(Assigned(stage.name, name, said, new_value))
                env |= {target.name: value for target, value in zip(line.targets, new, strict=True)}
            result = env[FIRST[stage.kind]]
            passed, q = (result, q) if stage.kind == "before" else (passed, result)
            state |= {(stage.name, slot.name): env[slot.name] for slot in stage.slots}
        taken.append(Step(t, _plain(g), before, tuple(values), _plain(q)))
        p = q
    return taken


def _start(init: Init, named: dict[str, Any], shape: tuple[int, ...]) -> Any:
    fill = init.first(named)
    if not shape or init.is_number:
        return fill
    if init.is_square:
        return fill * np.eye(init.shape_for(shape)[0])
    return np.broadcast_to(fill, init.shape_for(shape))


def _is_number(x: object) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool)


def _plain(x: Any) -> Value:
    return x if isinstance(x, bool) else np.asarray(x).tolist() if np.ndim(x) or isinstance(x, np.bool_) else float(x)


def _rounded(x: float, digits: int = 6) -> float:
    return float(f"{x:.{digits}g}")


def shown(x: Value) -> str:
    """Six digits: ``0.999``, ``−0.2``, ``2.5·10⁻⁷``; five in a matrix, whose rows end with a semicolon."""
    if isinstance(x, bool):
        return "true" if x else "false"
    if not isinstance(x, list):
        return expression(Number(_rounded(x)))
    rows = np.atleast_2d(np.array(x))
    rows = np.where(np.abs(rows) < ROUNDING * np.abs(rows).max(), 0, rows)
    return f"[{'; '.join(' '.join(expression(Number(_rounded(v, 5))) for v in row) for row in rows)}]"
