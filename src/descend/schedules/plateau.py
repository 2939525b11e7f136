"""``plateau``: the one schedule with a memory. It falls when a metric has stopped getting better."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.settings import is_number
from .checks import number
from .schedule import KINDS, Schedule
from .words import filled

_STATE = ("value", "best", "bad", "cooling")


class Plateau(Schedule):
    """torch's ReduceLROnPlateau as a factor: ``lr = 3e-4 * linear_warmup(500) * plateau(patience=5)``.

    Call ``observe(metric)`` once per epoch. At every step its value is the latest one.
    """

    length = math.inf

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.value: float = settings["start"]
        self.best = _worst(settings)
        self.bad = self.cooling = 0

    def observe(self, metric: Any) -> float:
        """Take the metric of another epoch; the value from now on. NaN is no improvement.

        Raises:
            TypeError: ``metric`` is no number.
        """
        if not is_number(metric):
            raise TypeError(f"plateau: a metric is a number, got {metric!r}")
        x, s = float(metric), self.settings
        if self._better(x):
            self.best, self.bad = x, 0
        else:
            self.bad += 1
        if self.cooling > 0:
            self.cooling -= 1
            self.bad = 0
        if self.bad > s["patience"]:
            lower = max(self.value * s["factor"], s["min_lr"])
            if self.value - lower > s["eps"]:
                self.value = lower
            self.cooling, self.bad = s["cooldown"], 0
        return self.value

    def _better(self, x: float) -> bool:
        s = self.settings
        sign = -1 if s["mode"] == "min" else 1
        if s["threshold_mode"] == "rel":
            return sign * x > sign * self.best * (1 + sign * s["threshold"])
        return sign * x > sign * (self.best + sign * s["threshold"])

    def at(self, k: Any) -> Any:
        return filled(self.value, k)

    def plateaus(self) -> Iterator[Plateau]:
        yield self

    def state_dict(self) -> dict[str, Any]:
        """The value now, the best metric, bad epochs and epochs of cooldown left: numbers, as JSON has them.

        The best is None where nothing was better than nothing yet, and "inf" or "-inf" where it is infinite.
        """
        state = {name: getattr(self, name) for name in _STATE}
        if math.isinf(self.best):
            state["best"] = None if self.best == _worst(self.settings) else str(self.best)
        return state

    def read_state(self, state: Any) -> list[tuple[Plateau, dict[str, Any]]]:
        if not isinstance(state, Mapping) or set(state) != set(_STATE):
            got = ", ".join(map(str, state)) if isinstance(state, Mapping) else repr(state)
            raise ValueError(f"the state of a plateau has {', '.join(_STATE)}; got {got:.120}")
        best = state["best"]
        if best is None:
            best = _worst(self.settings)
        elif best not in ("inf", "-inf", math.inf, -math.inf):
            best = _of_state("best", best)
        read = {name: best if name == "best" else _of_state(name, state[name]) for name in _STATE}
        return [(self, {**read, "best": float(best)})]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plateau):
            return NotImplemented
        return self.settings == other.settings and self.state_dict() == other.state_dict()

    def __hash__(self) -> int:
        return hash(tuple(self.settings.items()))  # not of what changes: a plateau stays found in its dictionary

    def __repr__(self) -> str:
        changed = {name: x for name, x in self.settings.items() if x != _DEFAULTS[name]} | self._seen()
        return f"plateau({', '.join(f'{name}={x!r}' for name, x in changed.items())})"

    def _seen(self) -> dict[str, Any]:
        """The state as an argument, if it is no longer the first one."""
        return {} if self == Plateau(self.settings) else {"state": [*self.state_dict().values()]}

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "plateau", **self.settings, **self._seen()}


def _worst(settings: dict[str, Any]) -> float:
    """What any metric is better than."""
    return math.inf if settings["mode"] == "min" else -math.inf


def _of_state(name: str, value: Any) -> float:
    try:
        return number("the state of a plateau", name, value)
    except TypeError as error:
        raise ValueError(str(error)) from None


def plateau(
    mode: str = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: str = "rel",
    cooldown: int = 0,
    min_lr: float = 0.0,
    eps: float = 1e-8,
    start: float = 1.0,
    state: Any = None,
) -> Plateau:
    """torch's ReduceLROnPlateau, its arguments and its arithmetic.

    Args:
        start: its value before the first reduction; ``min_lr`` and ``eps`` are compared with this value, so with
            ``start=1`` they are shares of the learning rate that it multiplies.
        state: of a saved plateau, as its JSON and its repr hold it.
    Raises:
        ValueError: by name, as torch's and where it should.
    """
    settings = {
        "mode": mode, "factor": factor, "patience": patience, "threshold": threshold, "threshold_mode": threshold_mode,
        "cooldown": cooldown, "min_lr": min_lr, "eps": eps, "start": start,
    }  # fmt: skip
    for name, choices in (("mode", ("min", "max")), ("threshold_mode", ("rel", "abs"))):
        if settings[name] not in choices:
            raise ValueError(f"plateau: {name} must be {' or '.join(map(repr, choices))}, got {settings[name]!r}")
    for name in ("factor", "patience", "threshold", "cooldown", "min_lr", "eps", "start"):
        settings[name] = number("plateau", name, settings[name])
        if settings[name] < 0:
            raise ValueError(f"plateau: {name} must not be negative, got {settings[name]}")
    if not factor < 1:
        raise ValueError(f"plateau: factor must be below 1, got {factor}")
    made = Plateau(settings)
    if state is not None:
        if isinstance(state, str) or not hasattr(state, "__iter__") or len(state) != len(_STATE):
            raise ValueError(f"plateau: the state of a plateau has {', '.join(_STATE)}, got {state!r:.120}")
        made.load_state_dict(dict(zip(_STATE, state, strict=True)))
    return made


_DEFAULTS = plateau().settings
KINDS["plateau"] = plateau
