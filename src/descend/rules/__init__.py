"""Layer 1: the rules, one file per family, simplest first. A newcomer starts in ``momentum.py``."""

import sys as _sys
from collections.abc import Iterator as _Iterator
from functools import cache as _cache
from types import ModuleType as _ModuleType

from ..core.rule import Rule
from . import adam as _adam
from . import adam_successors as _adam_successors
from . import adaptive as _adaptive
from . import averaging as _averaging
from . import factored as _factored
from . import matrix as _matrix
from . import modifiers as _modifiers
from . import momentum as _momentum
from . import online as _online
from . import psgd as _psgd
from . import sign as _sign
from . import trust as _trust
from . import tuned as _tuned
from .adam import (
    adam,
    adam_eps_inside,
    adam_epsilon_hat,
    adam_uncorrected,
    adamax,
    adamw,
    amsgrad,
    amsgradw,
    nadam,
    nadamw,
    radam,
    radamw,
)
from .adam_successors import adabelief, adahessian, adan, ademamix, adopt, grams, laprop, mars, sophia, yogi
from .adaptive import (
    adadelta,
    adagrad,
    adagrad_eps_inside,
    rmsprop,
    rmsprop_centered,
    rmsprop_centered_momentum,
    rmsprop_momentum,
)
from .averaging import asgd, schedule_free_adamw, schedule_free_radam, schedule_free_sgd
from .factored import adafactor, adafactor_vector, came, came_vector
from .matrix import muon, muon_polar_express, normuon, shampoo, soap
from .modifiers import (
    adaptive_clip,
    adaptive_clip_vector,
    cautious,
    cautious_bounded,
    cautious_weight_decay,
    centralize,
    clip_norm,
    clip_tensor,
    clip_value,
    decay_l2,
    ema,
    keep,
    lookahead,
    negate,
    swa,
    unscale,
)
from .momentum import (
    gradient_descent,
    momentum_accumulation,
    momentum_dampened,
    momentum_ema,
    momentum_velocity,
    nesterov_accumulation,
    nesterov_lookahead,
    nesterov_rewritten,
    quasi_hyperbolic,
)
from .names import UnknownRule, find
from .online import ftrl
from .psgd import psgd_kron
from .sign import lion, rprop, rprop_simple, sign_sgd, signum, tiger
from .trust import lamb, lars, novograd
from .tuned import dadapt_adam, dadapt_sgd, dog, dowg, prodigy, prodigy_tensor

FAMILIES = {
    "momentum": _momentum,
    "sign": _sign,
    "adaptive": _adaptive,
    "adam": _adam,
    "adam_successors": _adam_successors,
    "trust": _trust,
    "factored": _factored,
    "matrix": _matrix,
    "psgd": _psgd,
    "online": _online,
    "averaging": _averaging,
    "tuned": _tuned,
    "modifiers": _modifiers,
}


@_cache
def _members(family: object) -> dict[str, Rule]:
    return {name: value for name, value in vars(family).items() if isinstance(value, Rule)}


def all() -> dict[str, Rule]:
    """Every update rule of the catalogue by name, in the order of the families."""
    return {n: r for family in FAMILIES.values() for n, r in _members(family).items() if r.kind == "rule"}


def modifiers() -> dict[str, Rule]:
    """Every modifier (a stage of a chain that is no rule itself) by name."""
    return {n: r for family in FAMILIES.values() for n, r in _members(family).items() if r.kind != "rule"}


def family_of(name: str) -> str:
    """The family a rule of the catalogue stands in."""
    return next(label for label, family in FAMILIES.items() if name in _members(family))


def get(name: str) -> Rule:
    """The rule, modifier or chain ``a+b`` of that name, however it is spelled; ``rules["AdamW"]`` is the same.

    Raises:
        UnknownRule (a KeyError and a ValueError): there is none, or it may mean several; the message has the nearest.
    """
    return find(name)


class _Catalogue(_ModuleType):
    """This module, which can be asked for a rule by its name: ``rules["adam"]``."""

    def __getitem__(self, name: str) -> Rule:
        return find(name)

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and isinstance(find(name), Rule)
        except (UnknownRule, TypeError):
            return False

    def __iter__(self) -> _Iterator[str]:
        return iter({**all(), **modifiers()})


# What a family's file is called may be a word for a rule (momentum), and this is where one looks for rules.
for _name in [file.__name__.rpartition(".")[2] for file in FAMILIES.values()]:
    if isinstance(globals()[_name], _ModuleType):
        del globals()[_name]
_sys.modules[__name__].__class__ = _Catalogue

__all__ = ["FAMILIES", "UnknownRule", "family_of", "get", *all(), *modifiers()]  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return [*__all__, "all", "modifiers"]


def __getattr__(name: str) -> Rule:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return find(name)
    except UnknownRule as error:
        raise AttributeError(str(error)) from None
