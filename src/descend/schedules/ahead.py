"""Looking ahead: a schedule whose values a setting does not admit is refused before the run begins."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.settings import check_setting
from .schedule import Schedule

AHEAD = 1_000_000


def refuse_values(
    schedule: Schedule, setting: str, of: str, factor: float = 1.0, also: Callable[[Any], Any] | None = None
) -> None:
    """Look at all steps of the schedule (of a long one at the first million and the end).

    Args:
        setting: whose admitted values count, such as ``"lr"`` or ``"beta1"``.
        of: who asks, for the message.
        factor: what the values are multiplied by.
        also: whether a value, or each of an array, is one that the optimizer takes; those of the setting if None.
    Raises:
        ValueError: the first value that ``setting`` does not admit, with its step.
    """
    steps = np.arange(math.ceil(min(schedule.length, AHEAD)) + 1.0)
    if AHEAD < schedule.length < math.inf:
        steps = np.append(steps, math.ceil(schedule.length))
    values = factor * schedule(steps)
    # A setting admits all or none of a class, and every setting admits the rest.
    classes = (~np.isfinite(values), values < 0, values >= 1)
    for i in sorted(int(suspects.argmax()) for suspects in classes if suspects.any()):
        admitted(float(values[i]), setting, of, int(steps[i]))
    if also is not None and not (taken := also(values)).all():
        i = int(taken.argmin())
        raise ValueError(f"{of}: {setting} must not be {float(values[i])}, its value at step {int(steps[i])}")


def admitted(value: Any, setting: str, of: str, step: int) -> float:
    """``value`` as a number.

    Raises:
        ValueError: ``setting`` does not admit it; the message names the step.
    """
    try:
        return check_setting(setting, value, of)
    except ValueError as error:
        raise ValueError(f"{error} at step {step}") from None
