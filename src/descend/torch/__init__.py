"""Layer 4: rules as ``torch.optim.Optimizer`` classes.

torch's own classes have torch's arguments. Every other rule of the catalogue has a class of its name, made when it is
asked for: ``from descend.torch import AdEMAMix, ScheduleFreeAdamW`` (case and underscores do not matter).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import torch as _torch

from ..schedules.formula import _remade
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

if TYPE_CHECKING:
    from .alarms import Alarms
    from .checking import check_gradients, initial_loss, overfit_one_batch
    from .groups import param_groups
    from .loop import Accumulator
    from .range_test import LRFinding, find_lr
    from .release import step_in_backward
    from .switch_policy import switch_at
    from .switch_rule import switch
    from .switch_swats import swats
    from .telemetry_live import live
    from .telemetry_log import TelemetryLogger

# torch's schedulers keep an lr that is a schedule in their checkpoints, which torch.load refuses otherwise
_torch.serialization.add_safe_globals([_remade])

# What is around the step, loaded when it is asked for: name -> module.
_AROUND = {
    "Alarms": "alarms",
    "Accumulator": "loop",
    "LRFinding": "range_test",
    "TelemetryLogger": "telemetry_log",
    "check_gradients": "checking",
    "initial_loss": "checking",
    "overfit_one_batch": "checking",
    "find_lr": "range_test",
    "live": "telemetry_live",
    "param_groups": "groups",
    "step_in_backward": "release",
    "swats": "switch_swats",
    "switch": "switch_rule",
    "switch_at": "switch_policy",
}

__all__ = [
    "ASGD",
    "SGD",
    "Accumulator",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Alarms",
    "LRFinding",
    "Lion",
    "Muon",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "RuleOptimizer",
    "SparseAdam",
    "TelemetryLogger",
    "check_gradients",
    "find_lr",
    "initial_loss",
    "live",
    "muon_groups",
    "optimizer",
    "overfit_one_batch",
    "param_groups",
    "step_in_backward",
    "swats",
    "switch",
    "switch_at",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from .. import rules

    if name.startswith("_"):
        raise AttributeError(name)
    if name in _AROUND:
        found = getattr(importlib.import_module(f"{__name__}.{_AROUND[name]}"), name)
        globals()[name] = found
        return found
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
