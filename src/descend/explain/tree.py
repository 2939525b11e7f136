"""The family tree: which rule each one grew from, across families."""

from functools import cache

from .. import rules
from ..core.rule import Rule
from . import facts, relative

# By history and idea, where the nearest formula alone would mislead: Yogi's looks most like AMSGrad's, and
# grew from Adam. A rule that is not listed has the nearest formula of its family as its parent.
PARENT = {
    "nesterov_rewritten": "nesterov_lookahead",
    "lion": "signum",
    "rmsprop": "adagrad",
    "adadelta": "rmsprop",
    "amsgrad": "adam",
    "adamax": "adam",
    "nadam": "adam",
    "radam": "adam",
    "yogi": "adam",
    "adabelief": "adam",
    "laprop": "adam",
    "adopt": "adam",
    "adan": "nadam",
    "ademamix": "adamw",
    "grams": "adamw",
    "mars": "adamw",
    "sophia": "adamw",
    "adahessian": "adamw",
    "lamb": "adamw",
    "novograd": "adam",
    "came": "adafactor",
    "muon": "momentum_ema",
    "shampoo": "adagrad",
    "ftrl": "adagrad",
    "dadapt_sgd": "gradient_descent",
    "dog": "gradient_descent",
    "clip_tensor": "clip_norm",
    "adaptive_clip_vector": "clip_tensor",
    "adaptive_clip": "adaptive_clip_vector",
    "swa": "ema",
}


def parent(rule: Rule) -> Rule | None:
    """The rule that this one grew from; None for the root, most modifiers, and chains."""
    return _parent(rule.name) if facts.catalogue().get(rule.name) is rule else None


@cache
def _parent(name: str) -> Rule | None:
    known = facts.catalogue()
    return known[PARENT[name]] if name in PARENT else relative.nearest(known[name])


def lineage(rule: Rule) -> list[Rule]:
    """From the root down to the rule itself."""
    above = parent(rule)
    return [*(lineage(above) if above else []), rule]


def children(rule: Rule) -> list[Rule]:
    return [other for other in facts.catalogue().values() if parent(other) is rule]


def family_lines(rule: Rule) -> list[list[str]]:
    """Where the rule comes from and what grew out of it; nothing for one that stands alone."""
    line, below = lineage(rule), children(rule)
    lines = [["from", " → ".join(r.name for r in line)]] if len(line) > 1 else []
    return lines + ([["grew into", ", ".join(r.name for r in below)]] if below else [])


def roots() -> list[Rule]:
    """The rules (not the modifiers) that nothing precedes."""
    return [rule for rule in rules.all().values() if parent(rule) is None]
