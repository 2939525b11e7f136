"""Layer 1: schedules, pure functions of the step for any hyperparameter.

A step is the number of steps taken so far: the first step of a run is step 0. Schedules are joined with ``>>``,
multiplied and added, moved and stretched in time (``.shift .scale .in_epochs .in_tokens .repeat .until``), limited
(``.clamp``); they compare equal by what they say, their repr evaluates to them, and ``to_json`` goes to disk.
"""

from . import algebra  # noqa: F401 - registers the formulas of the operators
from .cycles import cosine_restarts, cyclic, one_cycle, one_cycle_fastai, one_cycle_fastai_momentum, one_cycle_momentum
from .decay import (
    constant,
    cosine,
    exponential,
    geometric,
    inverse_sqrt,
    inverse_time,
    linear,
    multi_step,
    one_minus_sqrt,
    piecewise,
    polynomial,
    step_decay,
)
from .formula import from_json
from .plateau import plateau
from .runs import power_cool, wsd
from .schedule import Schedule
from .torch_scheduler import torch_scheduler
from .warmup import (
    exponential_warmup,
    gradual_warmup,
    linear_warmup,
    radam_warmup,
    untuned_exponential_warmup,
    untuned_linear_warmup,
)

__all__ = [
    "Schedule", "constant", "cosine", "cosine_restarts", "cyclic", "exponential", "exponential_warmup", "from_json",
    "geometric", "gradual_warmup", "inverse_sqrt", "inverse_time", "linear", "linear_warmup", "multi_step",
    "one_cycle", "one_cycle_fastai", "one_cycle_fastai_momentum", "one_cycle_momentum", "one_minus_sqrt", "piecewise",
    "plateau", "polynomial", "power_cool", "radam_warmup", "step_decay", "torch_scheduler",
    "untuned_exponential_warmup", "untuned_linear_warmup", "wsd",
]  # fmt: skip


def __dir__() -> list[str]:
    return list(__all__)


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(name)
    from ..core.nearest import did_you_mean

    raise AttributeError(f"descend.schedules has no {name!r}.{did_you_mean(name, __all__)}")
