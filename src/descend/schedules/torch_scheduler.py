"""A schedule for loops that expect torch's ``LRScheduler``: Lightning, transformers, accelerate."""

from collections.abc import Sequence
from typing import Any

from .schedule import Schedule


def torch_scheduler(
    optimizer: Any,
    schedule: Schedule | Sequence[Schedule],
    setting: str = "lr",
    *,
    relative: bool = False,
    step: int = 0,
) -> Any:
    """A ``torch.optim.lr_scheduler.LRScheduler`` that sets ``setting`` of every group to the value of the schedule.

    It never warns about the order of calls, and it may be stepped beyond the schedule's length, where that holds.
    Like torch's, it counts its own ``step()`` calls, also one after a step that a ``GradScaler`` skipped.

    Args:
        optimizer: of torch or of ``descend.torch``.
        schedule: one for all groups, or one for each.
        setting: a key of the groups, such as ``"lr"``, ``"momentum"``, ``"weight_decay"``; or ``"beta1"``, ``"beta2"``.
        relative: multiply what each group had before any scheduler, so that groups keep their ratios. It stands in the
            groups, and so in the optimizer's checkpoint: "initial_lr" as torch's, "initial_momentum", "initial_beta1".
        step: steps taken so far; a resumed run needs nothing else.
    Raises:
        ValueError: a value that the setting does not admit, such as a negative rate, with its step; as many schedules
            as there are no groups; a setting that is not one number, such as "betas". TypeError: no optimizer, no
            schedule. KeyError: groups without this setting.
    """
    from .schedule_lr import ScheduleLR  # which imports torch

    return ScheduleLR(optimizer, schedule, setting, relative, step)
