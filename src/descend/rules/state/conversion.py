"""Momentum in another convention: the same path, other numbers in the buffer, and often another lr.

Every convention keeps a multiple of one thing, the displacement u, the step that the momentum alone would make:
u ← μ·u − η·g. So a conversion is a factor for the buffer, an lr that gives the same η, and for
``nesterov_lookahead``, which stores the point before the look-ahead, a move of p by μ·u.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...core.rule import Rule
from ...core.settings import check_setting, unknown_setting

Settings = Mapping[str, float]


@dataclass(frozen=True)
class Convention:
    """How one rule writes the common quantities.

    Attributes:
        decay: the name of its μ. slot: of its buffer.
        averages: whether a gradient enters with the share 1 - μ.
        per_lr: whether the buffer is u / -lr (else it is u).
        ahead: whether p is the look-ahead point (Nesterov); None where no look-ahead is taken.
    """

    decay: str = "momentum"
    slot: str = "v"
    averages: bool = False
    per_lr: bool = True
    ahead: bool | None = None

    def gain(self, settings: Settings) -> float:
        """η / lr, the share at which a gradient enters the sum."""
        return 1.0 - settings.get(self.decay, 0.0) if self.averages else 1.0 - settings.get("dampening", 0.0)


CONVENTIONS = {
    "momentum_accumulation": Convention(),
    "momentum_dampened": Convention(),
    "momentum_ema": Convention("beta", averages=True),
    "momentum_velocity": Convention(per_lr=False),
    "nesterov_lookahead": Convention(per_lr=False, ahead=False),
    "nesterov_rewritten": Convention(per_lr=False, ahead=True),
    "nesterov_accumulation": Convention(ahead=True),
}
# Ma & Yarats 2019, section 4: with ν = 1 it is the average, with ν = β Nesterov's momentum.
QUASI = Convention("beta", "m", averages=True)
_QUASI: dict[bool | None, Convention] = {False: QUASI, True: replace(QUASI, ahead=True)}


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
            f"{both} in two conventions; there are {', '.join(CONVENTIONS)}, and quasi_hyperbolic if nu is 1 or beta"
        )
    if (a.ahead is None) != (b.ahead is None):
        raise ValueError(f"{both}: one takes Nesterov's look-ahead, the other does not")
    mu, old = values[a.decay], _listed(state.get(a.slot, ()))
    points = _listed(p)
    if [tuple(x.shape) for x in points] != [tuple(v.shape) for v in old]:
        raise ValueError(f"{source.name} keeps its momentum in {a.slot!r}, one of the shape of each parameter")
    gain, new_gain = a.gain(values), b.gain({b.decay: mu})
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
    own = {"dampening": 0.0, "nu": mu if b.ahead else 1.0}
    own = {name: value for name, value in own.items() if name in target.settings}
    made = {**target.settings, **own, "lr": lr, b.decay: mu}
    return (made, moved, {b.slot: buffers}) if isinstance(p, list | tuple) else (made, moved[0], {b.slot: buffers[0]})


def _kind(values: Settings) -> bool | None:
    """Which of the two quasi-hyperbolic momentum is: the average (False), Nesterov's (True) or neither."""
    nu = values.get("nu")
    return False if nu == 1 else True if nu == values.get("beta") else None


def _convention(rule: Rule, quasi: Convention | None) -> Convention | None:
    return quasi if rule.name == "quasi_hyperbolic" else CONVENTIONS.get(rule.name)


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
