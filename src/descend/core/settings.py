"""Settings: what a number may be, judged by its name, and how a refusal reads."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from .nearest import did_you_mean


class _Shared:
    def __repr__(self) -> str:
        return "shared"


shared: Any = _Shared()
"""Default of a modifier's setting that it takes over from the rule it is chained with."""


# A setting is checked by its name, because a name means the same in every rule.
_HALF_OPEN = ("beta", "beta1", "beta2", "beta3", "rho", "decay")
_ANY_SIGN = ("dampening", "beta2_decay", "gamma", "nu")


def is_number(value: Any) -> bool:
    """Whether it is a real number, of whatever library: no truth, no text, nothing that is called."""
    return hasattr(value, "__float__") and not isinstance(value, bool)


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raises ValueError: it is no whole number, or below ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more; got {value!r}")


def check_setting(name: str, value: Any, of: str = "rule") -> float:
    """``value`` as a number if the setting ``name`` admits it.

    Raises:
        TypeError: it is no real number. ValueError: it is NaN, infinite or outside its interval.
    """
    if not is_number(value):
        raise TypeError(f"{of}: {name} must be a number or a schedule, got {value!r}")
    try:
        x = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ValueError(f"{of}: {name} must be one number that a float can hold, got {value!r:.40}: {error}") from None
    if math.isnan(x) or (math.isinf(x) and name not in ("step_max", "max_norm", "clip_norm")):
        raise ValueError(f"{of}: {name} must be finite, got {x}")
    if name.removeprefix("ema_") in _HALF_OPEN and not 0 <= x < 1:
        raise ValueError(f"{of}: {name} must be in [0, 1), got {x}")
    if name not in _ANY_SIGN and x < 0:
        raise ValueError(f"{of}: {name} must not be negative, got {x}")
    return x


def taken_by(function: Callable[..., Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the settings that a function, such as a rule's point, has arguments for."""
    return {name: settings[name] for name in inspect.signature(function).parameters if name in settings}


def all_given(settings: Mapping[str, Any], of: str) -> None:
    """Refuse a setting of a modifier that no rule of its chain has.

    Raises:
        TypeError: by name.
    """
    for name, value in settings.items():
        if value is shared:
            raise TypeError(unknown_setting(name, settings, of))


def unknown_setting(name: str, valid: Any, of: str) -> str:
    """One sentence that names the unknown setting, the nearest valid one, and all of them."""
    return f"{of} has no setting {name!r}.{did_you_mean(name, valid)} It has: {', '.join(valid)}."
