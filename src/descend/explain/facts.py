"""Everything there is to say about a rule, as data. Nothing here is written by hand for one rule."""

import re
from typing import Any

from .. import rules
from ..core.init import Slot
from ..core.rule import Rule
from ..core.settings import shared
from ..core.symbols import MEANING, STATE, WORDS, meaning
from .cost import OF_MATRICES, SIZE, cost, engines, held_line
from .formula.print import Terminal, text
from .formula.read import formulas
from .formula.tree import Formula, Name, Op, Raw, nodes


def catalogue() -> dict[str, Rule]:
    """Rules and modifiers by name."""
    return {**rules.all(), **rules.modifiers()}


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


# Names


def symbol(name: str) -> str:
    return Terminal().name(Name(name, name))


def starts_at(slot: Slot) -> str:
    """A number, a setting, ``p`` (the parameters) or ``g`` (the first gradient)."""
    fill = slot.init.fill
    begin = symbol(fill) if isinstance(fill, str) else default(fill)
    return f"{begin}·I" if slot.init.is_square and fill else begin


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
    size = (SIZE | OF_MATRICES).get(slot.init.shape, ("",))[0]
    return ": ".join(x for x in (size, meaning(slot.saved_as, rule.name, STATE)) if x)


def words(rule: Rule) -> list[str]:
    """What the words of matrices mean, of those in the formula."""
    found: set[str] = set()
    for x in (node for part in formulas(rule) for node in nodes(part)):
        if isinstance(x, Op):
            found.update([x.kind, x.word, *(v.text.strip("'") for _, v in x.options if isinstance(v, Raw))])
        if isinstance(x, Raw):
            found.update(re.findall(r"\w+", x.text))
    return [said for word, said in WORDS.items() if word in found]


def names_in(formula: Formula) -> set[str]:
    """Every name in the lines of a formula."""
    return {node.name for line in formula.lines for node in nodes(line) if isinstance(node, Name)}


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
    lines = [["held", held_line(rule)]]
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
