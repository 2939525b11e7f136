"""What `find_lr` is given: what it stands for, and what is refused before anything moves."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from ...core.rule import Rule
from ...core.settings import check_count
from ..optim.classes import optimizer as class_of
from ..optim.group import given
from ..sharded.refusals import refuse_use


def check_numbers(
    low: Any, high: Any, steps: Any, repeats: Any, probes: Any, probe_steps: Any, val_batches: Any,
    seconds: Any, accumulate: Any,
) -> None:  # fmt: skip
    whole = {"steps": (steps, 10), "repeats": (repeats, 1), "probes": (probes, 0), "val_batches": (val_batches, 1),
             "accumulate": (accumulate, 1), "probe_steps": (1 if probe_steps is None else probe_steps, 1)}  # fmt: skip
    for name, (value, least) in whole.items():
        check_count(name, value, least)
    positive: dict[str, Any] = {"low": low, "high": high, "seconds": seconds}
    for name, value in positive.items():
        if value is not None and not _positive(value):
            raise ValueError(f"{name} must be a finite number above 0, got {value!r}")


def _positive(value: Any) -> bool:
    try:
        return not isinstance(value, bool | str) and 0 < float(value) < math.inf
    except (TypeError, ValueError):
        return False


def check_precision(autocast: Any, scaler: Any = None) -> None:
    """Refuse what is no autocast and no scaler: dtypes by their names, a context instead of what makes one."""
    entered = isinstance(autocast, AbstractContextManager)  # torch's can be called, too: as a decorator
    if entered or not (autocast is None or isinstance(autocast, torch.dtype) or callable(autocast)):
        raise TypeError(
            "autocast must be a dtype (torch.bfloat16) or a function that makes the context of the forward pass; "
            f"got {autocast!r:.60}"
        )
    if scaler is not None and not all(callable(getattr(scaler, n, None)) for n in ("scale", "unscale_", "step")):
        raise TypeError(f"scaler must be a torch.amp.GradScaler, got {scaler!r:.60}")


def made(optimizer: Any, model: Any) -> torch.optim.Optimizer:
    """The optimizer itself, or a new one of a class, a rule or a rule's name."""
    if isinstance(optimizer, Rule | str):
        optimizer = class_of(optimizer)
    if isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer):
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"to make a {optimizer.__name__} the model must be a torch.nn.Module; or give an optimizer")
        params = [p for p in model.parameters() if p.requires_grad]
        if not params:
            raise ValueError("every parameter of the model is frozen (requires_grad=False): nothing to train")
        kind: Any = optimizer
        return kind(params)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be an optimizer, a class of one, a rule or its name; got {optimizer!r:.80}")
    return optimizer


def check_trainable(optimizer: torch.optim.Optimizer, model: Any) -> None:
    params = [p for group in optimizer.param_groups for p in group["params"]]
    if not any(p.requires_grad for p in params):
        raise ValueError("every parameter of the optimizer is frozen (requires_grad=False): nothing to train")
    instead = "each process sees another loss and would end elsewhere; find the rate before the model is sharded"
    refuse_use(params, "find_lr", instead)
    if any(getattr(p, "_post_accumulate_grad_hooks", None) for p in params):
        raise ValueError(
            "a parameter has a hook that acts when its gradient arrives (step_in_backward): what that does cannot be "
            "undone; find the rate with the ordinary optimizer first"
        )
    for i, group in enumerate(optimizer.param_groups):
        if "lr" not in group:
            raise ValueError(f"parameter group {i} of {type(optimizer).__name__} has no 'lr'")
    if isinstance(model, torch.nn.Module):
        own = {id(p) for p in model.parameters()}
        if own and not any(id(p) in own for p in params):
            raise ValueError("the optimizer holds none of the model's parameters: it was made for another model")


def default(kind: type) -> float | None:
    """The default lr of an optimizer class, if it has one."""
    import inspect

    parameter = inspect.signature(kind).parameters.get("lr")
    value: Any = None if parameter is None else parameter.default
    return float(value) if isinstance(value, int | float) and 0 < value < math.inf else None


def bases(optimizer: torch.optim.Optimizer) -> list[float]:
    """The lr of each group, by which they are compared; where all are 0, the default lr of the class, or 1.

    A group at 0 beside others is one that is meant to stay where it is.
    """
    found = [_base(group) for group in optimizer.param_groups]
    return found if any(found) else [default(type(optimizer)) or 1.0] * len(found)


def lead(bases: Sequence[float]) -> float:
    """The lr that every rate of a range test is compared with: that of the first group that moves."""
    return next(base for base in bases if base)


def _base(group: dict[str, Any]) -> float:
    """The lr of a group; its peak where it is scheduled."""
    value: Any = given(group)["lr"]
    if not callable(value):
        value = group.get("initial_lr", value)  # a scheduler's warm-up may have it near 0 now
    else:
        schedule: Any = value
        length = getattr(schedule, "length", math.inf)
        end = 10_000 if length == math.inf else length
        value = max(float(schedule(round(end * k / 200))) for k in range(201))
    return float(value)
