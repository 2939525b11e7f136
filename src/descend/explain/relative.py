"""The nearest relative of a rule: of those that stand before it, the one whose formula differs least."""

import difflib
import re
from functools import lru_cache

from .. import rules
from ..core.rule import Rule
from .facts import lines
from .formula.print import Terminal
from .formula.read import formulas
from .formula.tree import Name


def nearest(rule: Rule) -> Rule | None:
    """The rule that this one grew from: nearest formula in its family, else in the families before."""
    known = rules.all()
    if rule.name not in known:
        return None
    names = list(known)
    earlier = names[: names.index(rule.name)]
    family = [name for name in earlier if rules.family_of(name) == rules.family_of(rule.name)]
    candidates = [known[name] for name in family or earlier]
    return min(candidates, key=lambda other: _distance(other, rule), default=None)


class _Bones(Terminal):
    """Formulas in which names of state, and of the share of the past in an average, are all alike."""

    def name(self, x: Name) -> str:
        if x.name.startswith(("alpha", "beta", "rho")):
            return "β"
        return "x" if x.when and x.name not in ("p", "g") else super().name(x)


@lru_cache(256)
def _bones(rule: Rule) -> list[str]:
    """The lines of a rule so written: each is compared with nine others, on average."""
    return [x for part in formulas(rule) for x in _Bones().lines(part)]


def _distance(other: Rule, rule: Rule) -> tuple[int, int]:
    """Lines that differ; then, words that differ, where a word lost weighs as much as two added."""
    theirs, mine = _bones(other), _bones(rule)
    changed = sum(line[0] != " " for line in _marked(theirs, mine))
    a, b = (re.findall(r"\w+|\S", "\n".join(x)) for x in (theirs, mine))
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    kept = sum(block.size for block in matcher.get_matching_blocks())
    return changed, 2 * (len(a) - kept) + len(b) - kept


def difference(other: Rule, rule: Rule) -> list[str]:
    """The lines of both formulas: ``-`` only the other's, ``+`` only the rule's, blank both."""
    return _marked(lines(other), lines(rule))


def _marked(theirs: list[str], mine: list[str]) -> list[str]:
    return [line for line in difflib.ndiff(theirs, mine) if not line.startswith("?")]
