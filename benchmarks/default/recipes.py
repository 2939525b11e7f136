"""The recipes that were compared: each takes a model and the number of steps, and makes an optimizer."""

from functools import partial
from typing import Any

from torch import nn

import descend.torch
from descend import schedules
from descend.lab.trials.annealing import annealed
from descend.schedules import Schedule
from descend.torch.groups.groups import param_groups

from .training import Recipe

CHOSEN = "default"
WARM = 20  # steps of the warm-up where the end is not known


def recipe(rule: str, lr: float, decay: float = 0.01, open_end: Schedule | None = None, **settings: Any) -> Recipe:
    """A rule at a fixed rate, annealed to zero; `open_end`: or what follows a warm-up that knows no end."""

    def made(model: nn.Module, steps: int) -> Any:
        kind = descend.torch.optimizer(rule)
        shape = annealed("linear", lr, steps)
        if open_end is not None:
            shape = lr * (schedules.linear_warmup(WARM, start=1 / WARM) >> open_end)
        if "weight_decay" not in kind.spec.arguments:
            return kind(model.parameters(), lr=shape, **settings)
        return kind(param_groups(model, decay, no_decay="bias+norm+1d", show=False), lr=shape, **settings)

    return made


FAST: dict[str, Any] = {"betas": (0.9, 0.99)}
SET: dict[str, Any] = {**FAST, "d0": 1e-4}
RECIPES: dict[str, Recipe] = {
    **{f"adamw {lr:g}": recipe("adamw", lr) for lr in (1e-2, 3e-2, 1e-1)},
    **{f"adamw .99 {lr:g}": recipe("adamw", lr, **FAST) for lr in (1e-2, 3e-2, 1e-1)},
    **{f"nadamw {lr:g}": recipe("nadamw", lr) for lr in (1e-2, 3e-2, 1e-1)},
    **{f"cautious {lr:g}": recipe("adamw+cautious", lr) for lr in (1e-2, 3e-2, 1e-1)},
    **{f"muon {lr:g}": recipe("muon", lr) for lr in (1e-2, 3e-2)},
    **{f"lion {lr:g}": recipe("lion", lr) for lr in (1e-3, 3e-3)},
    **{
        f"schedule-free {lr:g}": recipe("schedule_free_adamw", lr, open_end=schedules.constant(1.0))
        for lr in (1e-2, 3e-2)
    },
    **{name: recipe(name, 1.0) for name in ("prodigy", "dadapt_adam", "dadapt_sgd", "dog", "dowg")},
    "prodigy .5 .99": recipe("prodigy", 0.5, **FAST),
    "tensor": recipe("prodigy_tensor", 1.0, decay=0.0),
    "tensor .99": recipe("prodigy_tensor", 1.0, decay=0.0, **FAST),
    "tensor .5": recipe("prodigy_tensor", 0.5, decay=0.0),
    "tensor .5 .99": recipe("prodigy_tensor", 0.5, decay=0.0, **FAST),
    CHOSEN: descend.torch.default,
    "scale .7": partial(descend.torch.default, scale=0.7),
    "scale 1.4": partial(descend.torch.default, scale=1.4),
    **{f"decay {decay}": partial(descend.torch.default, weight_decay=decay) for decay in (0, 2, 3)},
    "d0 1e-3": partial(descend.torch.default, d0=1e-3),
    "no end": lambda model, steps: descend.torch.default(model),
    "no end, constant .5": recipe("prodigy_tensor", 0.5, open_end=schedules.constant(1.0), **SET),
    "no end, constant .2": recipe("prodigy_tensor", 0.2, open_end=schedules.constant(1.0), **SET),
    "no end, 1/t": recipe("prodigy_tensor", 0.5, open_end=schedules.inverse_time(0.01), **SET),
}
