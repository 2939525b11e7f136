"""Layer 3: the parts of a step that every front end shares.

``settle`` turns settings (numbers or schedules) into the numbers of one step, ``pick`` chooses an
engine.
"""

import logging
import os
from collections.abc import Mapping
from typing import Any

from .core.machine import cores
from .core.rule import Rule
from .core.settings import check_setting
from .core.trace import admit
from .engines import FUSED, load
from .engines.base import Engine

log = logging.getLogger("descend")
NONFINITE = ("propagate", "skip", "raise")


def settle(settings: Mapping[str, Any], step: int, of: str) -> dict[str, float]:
    """The settings of one step as numbers: a schedule is called with ``step``, counted from 0.

    Raises:
        TypeError, ValueError: a value the setting does not admit, by name.
    """
    return {
        name: check_setting(name, value(step) if callable(value) else value, of) for name, value in settings.items()
    }


_said: set[tuple[str, str]] = set()


def pick(asked: str, rule: Rule, dtype: str, fallback: str = "torch") -> Engine:
    """The engine asked for, or with ``"auto"`` the fused one of the processor if it takes the rule.

    Raises:
        Refused: no engine can run the rule. ValueError: there is no such engine, or the one asked for refuses the rule
        or the type. ImportError: the one asked for is not installed.
    """
    admit(rule)
    try:
        engine = load(FUSED if asked == "auto" else asked)
        reason = engine.refuses(rule, dtype)
    except Exception as error:
        if asked != "auto":
            raise
        return fall_back(rule, str(error), fallback)
    if reason and asked != "auto":
        raise ValueError(f"engine {asked!r} cannot run {rule.name}: {reason}")
    return fall_back(rule, reason, fallback) if reason else engine


def fall_back(rule: Rule, reason: str, to: str = "torch") -> Engine:
    """The engine that runs what the fused one does not; logged once per reason, at INFO, by the logger ``descend``."""
    say_once(rule.name, f"engine {to!r} instead of {FUSED!r} for {rule.name}: {reason}")
    return load(to)


def say_once(about: str, message: str, level: int = logging.INFO) -> None:
    """Log a message once per process."""
    if (about, message) not in _said:
        _said.add((about, message))
        log.log(level, message)


class NonFiniteGradient(FloatingPointError):
    """A gradient holds NaN or infinity and ``nonfinite="raise"`` was asked for. Nothing was changed."""


def threads_available() -> int:
    """Cores this process may run on; OMP_NUM_THREADS lowers it."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores(), int(limit)) if limit.isdigit() and int(limit) else cores()
