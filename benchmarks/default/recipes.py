"""The recipes that were compared: each takes a model and the number of steps, and makes an optimizer."""

from functools import partial
from typing import Any

from torch import nn

import descend.torch
from descend import schedules
from descend.lab.trials.annealing import annealed
from descend.schedules import Schedule
from descend.torch.groups.groups import param_groups
from descend.torch.untuned import GROWTH

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
    "tensor": recipe("prodigy_tensor", 1.0),
    "tensor .5 .99": recipe("prodigy_tensor", 0.5, **SET),
    "tensor cautious": recipe("prodigy_tensor+cautious", 0.5, **SET),
    "tensor least .1": recipe("prodigy_tensor", 0.5, **SET, d0_rel=0.1),
    "tensor both": recipe("prodigy_tensor+cautious", 0.5, **SET, d0_rel=0.1),
    CHOSEN: descend.torch.default,
    "scale .7": partial(descend.torch.default, scale=0.7),
    "scale 1.4": partial(descend.torch.default, scale=1.4),
    **{f"decay {decay}": partial(descend.torch.default, weight_decay=decay) for decay in (0, 3, 10)},
    **{f"least {least:g}": partial(descend.torch.default, d0_rel=least) for least in (0, 0.05, 0.2)},
    "rising": partial(descend.torch.default, growth_rate=GROWTH),
    "no end": lambda model, steps: descend.torch.default(model),
}
