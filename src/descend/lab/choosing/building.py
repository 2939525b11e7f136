"""The optimizer of a choice, for a model of torch's."""

from typing import Any

import torch

from ...rules.names import find_rule
from ...torch.groups.groups import param_groups
from ...torch.optim.classes import optimizer as class_of
from .code import decays


def optimizer(rule: str, model: torch.nn.Module, lr: Any) -> Any:
    """The optimizer that a choice means: biases and norms do not decay, where the rule decays anything."""
    found = find_rule(rule)
    kind = class_of(found)
    if decays(rule):
        return kind(param_groups(model, show=False), lr=lr)
    return kind([p for p in model.parameters() if p.requires_grad], lr=lr)
