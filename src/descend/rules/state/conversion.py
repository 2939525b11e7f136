"""Momentum in another convention: the same path, other numbers in the buffer, and often another lr.

Every convention keeps a multiple of one thing, the displacement u, the step that the momentum alone would make:
u ← μ·u − η·g. So a conversion is a factor for the buffer, an lr that gives the same η, and for
``nesterov_lookahead``, which stores the point before the look-ahead, a move of p by μ·u.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...core.rule import Rule
from ...core.settings import check_setting, unknown_setting

Settings = Mapping[str, float]


@dataclass(frozen=True)
class _Convention:
    """How one rule writes the common quantities.

    Attributes:
        slot, decay: the names of its buffer and of its μ.
        gain: η / lr, from μ and the settings.
        per_lr: whether the buffer is u / -lr (else it is u).
        ahead: whether p is the look-ahead point (Nesterov); None where no look-ahead is taken.
        fixed: further settings, from μ.
    """

    slot: str
    decay: str
    gain: Callable[[float, Settings], float]
    per_lr: bool
    ahead: bool | None
    fixed: Callable[[float], dict[str, float]]


def _one(mu: float, settings: Settings) -> float:
    return 1.0


def _share(mu: float, settings: Settings) -> float:
    return 1.0 - mu


def _undampened(mu: float, settings: Settings) -> float:
    return 1.0 - settings.get("dampening", 0.0)


def _none(mu: float) -> dict[str, float]:
    return {}


_CONVENTIONS = {
    "momentum_accumulation": _Convention("v", "momentum", _one, True, None, _none),
    "momentum_dampened": _Convention("v", "momentum", _undampened, True, None, lambda mu: {"dampening": 0.0}),
    "momentum_ema": _Convention("v", "beta", _share, True, None, _none),
    "momentum_velocity": _Convention("v", "momentum", _one, False, None, _none),
    "nesterov_lookahead": _Convention("v", "momentum", _one, False, False, _none),
    "nesterov_rewritten": _Convention("v", "momentum", _one, False, True, _none),
    "nesterov_accumulation": _Convention("v", "momentum", _one, True, True, _none),
}
# Ma & Yarats 2019, section 4: with ν = 1 it is the average, with ν = β Nesterov's momentum.
_QUASI: dict[bool | None, _Convention] = {
    False: _Convention("m", "beta", _share, True, None, lambda mu: {"nu": 1.0}),
    True: _Convention("m", "beta", _share, True, True, lambda mu: {"nu": mu}),
}


def convert(source: Rule, target: Rule, settings: Settings, p: Any, state: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Settings, parameters and state of ``source`` as ``target`` has them: it continues on the same path.

    Exact but for the rounding of one multiplication per element (of an addition too where p moves).

    Args:
        source, target: two of momentum_accumulation, momentum_dampened, momentum_ema, momentum_velocity, or two of
            nesterov_lookahead, nesterov_rewritten, nesterov_accumulation. quasi_hyperbolic belongs to
            the first with ν = 1 and to the second with ν = β.
        settings: of ``source``; what is missing is at its default.
        p: an array or tensor of any shape and dtype, or a list of them; it is not written to.
        state: slot of ``source`` -> likewise.

    Returns:
        (settings of ``target``, p, state of ``target``), new arrays of the same kinds.

    Raises:
        ValueError: the two rules are not one algorithm; an lr of 0 or a momentum of 1 that would have to be divided by.
        TypeError: a setting that the source does not have.
    """
    for name in settings:
        if name not in source.settings:
            raise TypeError(unknown_setting(name, source.settings, source.name))
    values = {k: check_setting(k, x, source.name) for k, x in {**source.settings, **settings}.items()}
    both = f"{source.name} and {target.name} are not one algorithm"
    a = _convention(source, _QUASI.get(_kind(values)))
    b = _convention(target, _QUASI[a is not None and a.ahead is not None])
    if a is None or b is None:
        raise ValueError(
            f"{both} in two conventions; there are {', '.join(_CONVENTIONS)}, and quasi_hyperbolic if nu is 1 or beta"
        )
    if (a.ahead is None) != (b.ahead is None):
        raise ValueError(f"{both}: one takes Nesterov's look-ahead, the other does not")
    mu, old = values[a.decay], _listed(state.get(a.slot, ()))
    points = _listed(p)
    if [tuple(x.shape) for x in points] != [tuple(v.shape) for v in old]:
        raise ValueError(f"{source.name} keeps its momentum in {a.slot!r}, one of the shape of each parameter")
    gain, new_gain = a.gain(mu, values), b.gain(mu, {})
    if new_gain == 0 and gain != 0:
        raise ValueError(f"{target.name} averages, and with {a.decay}=1 its average stands still, whatever its lr")
    ratio = 1.0 if gain == new_gain else gain / new_gain
    lr = values["lr"] * ratio
    if b.per_lr and not a.per_lr and lr == 0:
        raise ValueError(f"{target.name} keeps steps divided by lr, and {source.name} has lr=0")
    # Multiplied by one number and divided by another, one of them 1: that is rounded once.
    times = -values["lr"] if a.per_lr and not b.per_lr else 1.0
    by = -lr if b.per_lr and not a.per_lr else ratio if a.per_lr and b.per_lr else 1.0
    step = ((b.ahead or 0) - (a.ahead or 0)) * mu * (-values["lr"] if a.per_lr else 1.0)
    moved = [_plus(x, step, v) for x, v in zip(points, old, strict=True)]
    buffers = [_scaled(v, times, by) for v in old]
    made = {**target.settings, **b.fixed(mu), "lr": lr, b.decay: mu}
    return (made, moved, {b.slot: buffers}) if isinstance(p, list | tuple) else (made, moved[0], {b.slot: buffers[0]})


def _kind(values: Settings) -> bool | None:
    """Which of the two quasi-hyperbolic momentum is: the average (False), Nesterov's (True) or neither."""
    nu = values.get("nu")
    return False if nu == 1 else True if nu == values.get("beta") else None


def _convention(rule: Rule, quasi: _Convention | None) -> _Convention | None:
    return quasi if rule.name == "quasi_hyperbolic" else _CONVENTIONS.get(rule.name)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _fresh(x: Any) -> Any:
    return x.detach().clone() if hasattr(x, "detach") else x.copy()


def _scaled(v: Any, times: float, by: float) -> Any:
    v = _fresh(v)  # and changed in place: a 0-d array stays one
    v *= times
    v /= by
    return v


def _plus(x: Any, step: float, v: Any) -> Any:
    x = _fresh(x)
    if step:
        x += step * v
    return x
