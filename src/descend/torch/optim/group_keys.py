"""Keys of a group that are no setting of its class: labels are carried along, and so is what asks for nothing."""

import difflib
import functools
from collections.abc import Iterable
from typing import Any

from ... import rules
from ...core.settings import is_number

# Labels and numbers that schedulers, trainers and torch itself put into groups, for themselves to read.
LABELS = frozenset({
    "params", "param_names", "name", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum",
    "swa_lr", "lr_scale", "warmup_steps", "layer_name", "initial_weight_decay", "schedule_step", "schedule_taken",
    "group_name", "group_names", "tag", "label", "layer_id", "is_last_layer", "swap",
    "lr_mult", "lr_multiplier", "lr_factor", "wd_mult", "wd_multiplier", "decay_mult",
})  # fmt: skip
_FLAGS = frozenset({
    "foreach", "fused", "capturable", "differentiable", "maximize", "nesterov", "amsgrad", "centered", "adamw",
    "decoupled_weight_decay", "polar_express", "clip_norm", "betas", "etas", "step_sizes",
})  # fmt: skip
_ON = ("correct_bias", "bias_correction")
"""Flags that ask for something where they are off: for Adam without its corrections."""
_OFF_AT_0 = ("weight_decay", "momentum", "dampening", "lr_decay", "momentum_decay", "initial_accumulator_value")


def carried(name: str, value: Any, valid: Iterable[str]) -> bool:
    """Whether a group may hold a key that its class does not have, whose settings are ``valid``.

    The value of a setting or flag of other classes must ask for nothing; what is a near miss of a valid name is a
    mistake whatever it says; of other names, a text, None and False say nothing to a rule.
    """
    if name in LABELS:
        return True
    if name in _ON:
        return value is True or value is None
    if name in _OFF_AT_0:
        return not callable(value) and (value is None or value is False or _is_zero(value))
    if name in _FLAGS or name in _settings():
        return value is None or value is False
    # harder to please than the hints of refusals: ``decay=False`` of a framework is no mistyped weight_decay
    return (value is None or value is False or isinstance(value, str)) and not difflib.get_close_matches(name, valid, 1)


def _is_zero(value: Any) -> bool:
    return is_number(value) and float(value) == 0


@functools.cache
def _settings() -> frozenset[str]:
    return frozenset(name for rule in rules.all().values() for name in rule.settings)
