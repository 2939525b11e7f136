"""Layer 4: rules as ``torch.optim.Optimizer`` classes.

torch's own classes have torch's arguments. Every other rule of the catalogue has a class of its name, made when it is
asked for: ``from descend.torch import AdEMAMix, ScheduleFreeAdamW`` (case and underscores do not matter).
"""

from __future__ import annotations

from typing import Any

from .base import RuleOptimizer
from .classes import (
    ASGD,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Muon,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
    SparseAdam,
    optimizer,
)
from .muon import muon_groups

__all__ = [
    "ASGD",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "RuleOptimizer",
    "SparseAdam",
    "muon_groups",
    "optimizer",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from .. import rules

    if name.startswith("_"):
        raise AttributeError(name)
    known = {rule_name.replace("_", ""): rule for rule_name, rule in rules.all().items()}
    rule = known.get(name.replace("_", "").lower())
    if rule is None:
        import difflib

        near = difflib.get_close_matches(name.replace("_", "").lower(), known, 1)
        hint = f" Did you mean {known[near[0]].name!r}?" if near else ""
        raise AttributeError(f"descend.torch has no {name!r}.{hint}")
    made = optimizer(rule, name)
    globals()[name] = made
    return made
