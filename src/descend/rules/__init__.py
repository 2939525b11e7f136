"""Layer 1: the rules, one file per family, simplest first. A newcomer starts in ``momentum.py``."""

from ..core.rule import Rule
from . import adam as _adam
from . import adaptive as _adaptive
from . import modifiers as _modifiers
from . import momentum as _momentum
from . import sign as _sign
from .adam import adam, adam_eps_inside, adam_uncorrected, adamw
from .adaptive import (
    adagrad,
    adagrad_eps_inside,
    rmsprop,
    rmsprop_centered,
    rmsprop_centered_momentum,
    rmsprop_momentum,
)
from .modifiers import clip_norm, clip_value, decay_l2, negate
from .momentum import (
    gradient_descent,
    momentum_accumulation,
    momentum_dampened,
    momentum_ema,
    momentum_velocity,
    nesterov_accumulation,
    nesterov_lookahead,
    nesterov_rewritten,
)
from .sign import lion

FAMILIES = {
    "momentum": _momentum,
    "adaptive": _adaptive,
    "adam": _adam,
    "sign": _sign,
    "modifiers": _modifiers,
}


def _members(family: object) -> dict[str, Rule]:
    return {name: value for name, value in vars(family).items() if isinstance(value, Rule)}


def all() -> dict[str, Rule]:  # noqa: A001 - reads rules.all()
    """Every update rule of the catalogue by name, in the order of the families."""
    return {n: r for family in FAMILIES.values() for n, r in _members(family).items() if r.kind == "rule"}


def modifiers() -> dict[str, Rule]:
    """Every modifier (a stage of a chain that is no rule itself) by name."""
    return {n: r for family in FAMILIES.values() for n, r in _members(family).items() if r.kind != "rule"}


def family_of(name: str) -> str:
    """The family a rule of the catalogue stands in."""
    return next(label for label, family in FAMILIES.items() if name in _members(family))


def __getattr__(name: str) -> Rule:
    import difflib

    known = {**all(), **modifiers()}
    near = difflib.get_close_matches(name, known, 1)
    raise AttributeError(f"no rule {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))

