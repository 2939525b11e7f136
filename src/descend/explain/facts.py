"""Everything there is to say about a rule, as data. Nothing here is written by hand for one rule."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

from .. import rules
from ..core.chain import chain
from ..core.emit import program
from ..core.formula import Formula, Name, Tree
from ..core.formula_print import Terminal, text
from ..core.formula_read import formulas
from ..core.init import Slot
from ..core.rule import Rule
from ..core.settings import shared
from ..core.symbols import MEANING, STATE, meaning
from ..engines import ENGINES

FLOAT32 = 4  # bytes
TRACED = (
    "numba",
    "triton",
    "jax",
)  # engines that run what the tracer takes; the others run the function itself


# State that is not like the parameters: one, and several.
SIZE = {
    "tensor": ("one number per tensor", "{} numbers per tensor"),
    "all": ("one number for all parameters", "{} numbers for all parameters"),
    "row": ("one number per row", "{} numbers per row"),
    "column": ("one number per column", "{} numbers per column"),
    "left": ("a square matrix, rows by rows", "{} square matrices, rows by rows"),
    "right": ("a square matrix, columns by columns", "{} square matrices, columns by columns"),
}


@dataclass(frozen=True)
class Cost:
    """What a step costs: bytes per parameter, where parameters, gradients and state are float32."""

    held: int
    reads: int | None  # arrays; None where the tracer does not take the rule
    writes: int | None
    passes: int | None

    @property
    def moved(self) -> int | None:
        return None if self.reads is None or self.writes is None else (self.reads + self.writes) * FLOAT32


def find(name: str) -> Rule:
    """The rule, modifier, or chain ``a+b+c`` of that name.

    Raises:
        KeyError: there is none; the argument is the name that is unknown.
        TypeError: the parts of the chain do not fit together.
    """
    known = catalogue()
    parts = [part.strip() for part in name.split("+")]
    for part in parts:
        if part not in known:
            raise KeyError(part)
    return known[parts[0]] if len(parts) == 1 else chain(*(known[part] for part in parts))


def catalogue() -> dict[str, Rule]:
    """Rules and modifiers by name."""
    return {**rules.all(), **rules.modifiers()}


def nearest_names(name: str) -> list[str]:
    """Names that ``name`` may have been meant for, the likeliest first."""
    low = name.lower().replace("-", "_")
    known = list(catalogue())
    within = [x for x in known if low and (low in x or x in low)]
    return list(dict.fromkeys([*difflib.get_close_matches(low, known, 3), *within]))[:3]


# The first line of a docstring: name, idea, and in parentheses the paper.

_TITLE = re.compile(r"(?P<said>.*?)\s*(?:\((?P<paper>(?:[^()]|\([^()]*\))*)\))?\.?", re.DOTALL)


def said(rule: Rule) -> str:
    """The first line of the docstring without the paper."""
    found = _TITLE.fullmatch(rule.title)
    return found["said"] if found else rule.title


def idea(rule: Rule) -> str:
    """What the rule does, without its name."""
    _, colon, rest = said(rule).partition(": ")
    return rest if colon else said(rule)


def paper(rule: Rule) -> str:
    """Authors, year, equation; empty if the first line names none."""
    found = _TITLE.fullmatch(rule.title)
    return found["paper"] or "" if found else ""


def year(rule: Rule) -> int | None:
    """The first year the paper line names."""
    found = re.search(r"\b(1[89]|20)\d\d\b", paper(rule))
    return int(found[0]) if found else None


# Cost


def cost(rule: Rule) -> Cost:
    """The cost of a rule or chain; of a modifier, what it adds to the first rule it fits."""
    held = sum(FLOAT32 for slot in rule.slots if slot.init.shape == "element")
    try:
        if rule.kind == "rule":
            return Cost(held, *_traffic(rule))
        taken_over = [name for name, value in rule.settings.items() if value is shared]
        host = next(r for r in rules.all().values() if all(name in r.settings for name in taken_over))
        both = chain(rule, host) if rule.kind == "before" else chain(host, rule)
        return Cost(held, *(b - a for a, b in zip(_traffic(host), _traffic(both), strict=True)))
    except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError):  # the tracer refuses it
        return Cost(held, None, None, None)


def _traffic(rule: Rule) -> tuple[int, int, int]:
    made = program(rule)
    return *made.moved, len(made.kernels)


def engines(cost: Cost) -> list[str]:
    """The engines that run the rule."""
    return [name for name in ENGINES if cost.passes is not None or name not in TRACED]


# Names


def symbol(name: str) -> str:
    return Terminal().name(Name(name, name))


def starts_at(slot: Slot) -> str:
    """A number, a setting, ``p`` (the parameters) or ``g`` (the first gradient)."""
    fill = slot.init.fill
    begin = symbol(fill) if isinstance(fill, str) else default(fill)
    return f"{begin}·I" if slot.init.shape in ("left", "right") and fill else begin


def default(value: Any) -> str:
    """A default as one would type it: ``0.9``, ``1e-8``."""
    if value is shared:
        return "the rule's"
    return re.sub(r"e([-+])0*", lambda m: "e" + m[1].strip("+"), f"{value:g}")


def meanings(rule: Rule) -> dict[str, str]:
    """What the settings do, by name."""
    return {name: meaning(name, rule.name, MEANING) for name in rule.settings}


def holds(rule: Rule, slot: Slot) -> str:
    """What a state slot holds."""
    size = SIZE[slot.init.shape][0] if slot.init.shape != "element" else ""
    return ": ".join(x for x in (size, meaning(slot.saved_as, rule.name, STATE)) if x)


def names_in(formula: Formula) -> set[str]:
    """Every name in the lines of a formula."""

    def inside(x: Any) -> set[str]:
        if isinstance(x, Name):
            return {x.name}
        parts = [*getattr(x, "args", ()), *getattr(x, "lines", ()), *getattr(x, "targets", ())]
        value: Tree | None = getattr(x, "value", None)
        return set().union(*(inside(part) for part in [*parts, value])) if x is not None else set()

    return inside(formula)


def lines(rule: Rule) -> list[str]:
    """The formula as text; in a chain all stages after one another."""
    return [line for formula in formulas(rule) for line in text(formula)]


def source(rule: Rule) -> str:
    """The text of the rule, or of every stage of a chain."""
    return "\n".join(stage.source for stage in rule.stages or (rule,)).rstrip()


def state_lines(rule: Rule) -> list[list[str]]:
    """Symbol, name in checkpoints, start and meaning of each state slot."""
    return [[symbol(s.name), s.saved_as, f"starts at {starts_at(s)}", holds(rule, s)] for s in rule.slots]


def setting_lines(rule: Rule) -> list[list[str]]:
    """Name, symbol if it has one, default and meaning of each setting."""
    signs = {name: symbol(name) for name in rule.settings}
    return [
        [name, signs[name] * (signs[name] != name), default(rule.settings[name]), does]
        for name, does in meanings(rule).items()
    ]


def cost_lines(rule: Rule) -> list[list[str]]:
    """What is held and moved, and which engines run it, in words."""
    price = cost(rule)
    shapes = [slot.init.shape for slot in rule.slots]
    held = f"{price.held} bytes of state per parameter" if rule.slots else "no state"
    for shape, (one, several) in SIZE.items():
        if count := shapes.count(shape):
            held += f", {one if count == 1 else several.format(count)}"
    lines = [["held", held]]
    if price.moved:
        passes = f" in {price.passes} pass{'es' * (price.passes != 1)}" if price.passes else ""
        arrays = f"reads {price.reads} array{'s' * (price.reads != 1)}, writes {price.writes}"
        lines.append(["moved", f"{price.moved} bytes per parameter and step{passes}: {arrays}"])
    elif price.moved == 0:
        lines.append(["moved", "nothing more: it joins the rule's own pass"])
    return [*lines, ["engines", ", ".join(engines(price))]]


def origin_lines(rule: Rule) -> list[list[str]]:
    """The paper, and what differs from it."""
    lines = [["paper", paper(rule)], ["dialect", rule.dialect or ""]]
    return [line for line in lines if line[1]]
