"""Every pair of momentum rules that are one algorithm in two conventions, and paths to compare them on."""

import itertools
from typing import Any

import numpy as np
import pytest

from descend import rules
from descend.core.rule import Rule

QHM = rules.quasi_hyperbolic
CLASSIC = (rules.momentum_accumulation, rules.momentum_dampened, rules.momentum_ema, rules.momentum_velocity)
NESTEROV = (rules.nesterov_lookahead, rules.nesterov_rewritten, rules.nesterov_accumulation)
LR, BETA = 0.013, 0.85


def settings_of(rule: Rule, family: str, lr: float = LR, momentum: float = BETA) -> dict[str, float]:
    """Settings with this momentum; quasi-hyperbolic ones are of the family by their nu."""
    known = {"lr": lr, "momentum": momentum, "beta": momentum, "dampening": 0.0}
    known["nu"] = 1.0 if family == "classic" else momentum
    return {name: known[name] for name in rule.settings}


FAMILIES = {"classic": (*CLASSIC, QHM), "nesterov": (*NESTEROV, QHM)}
PAIRS = [(f, a, b) for f, members in FAMILIES.items() for a, b in itertools.product(members, repeat=2)]
IDS = [f"{f}-{a.name}-{b.name}" for f, a, b in PAIRS]
pairs = pytest.mark.parametrize(("family", "source", "target"), PAIRS, ids=IDS)


def slope(x: Any, k: int = 0) -> Any:
    """The gradient of a bowl that is no quadratic, another one for every tensor."""
    return (1.0 + 0.3 * k) * x + 0.1 * x * x * x - 0.5


def at(rule: Rule, settings: dict[str, float], p: Any, v: Any) -> Any:
    """Where the rule wants its gradient."""
    return rule.gradient_point(p, v, momentum=settings["momentum"]) if rule.gradient_point else p


def walk(
    rule: Rule, settings: dict[str, float], p: Any, v: Any, steps: range, k: int = 0
) -> tuple[list[Any], Any, Any]:
    """The points at which gradients are taken, the last p and the last state."""
    points = []
    for t in steps:
        points.append(at(rule, settings, p, v))
        p, v = rule.apply(p, slope(points[-1], k), v, t=t, **settings)
    # arithmetic turns NumPy's 0-d arrays into scalars
    return points, *(np.asarray(x) if isinstance(x, np.generic) else x for x in (p, v))


def begin(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).normal(size=shape))


def slot(rule: Rule) -> str:
    return rule.slots[0].name


def far(a: Any, b: Any) -> float:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return float(np.abs(a - b).max(initial=0) / max(1e-300, np.abs(b).max(initial=0)))


def velocity(settings: dict[str, float], rule: Rule, v: np.ndarray) -> np.ndarray:
    """State in the units of p, with the sign of a velocity."""
    return v if slot_unit(rule) == "velocity" else -settings["lr"] * v


def slot_unit(rule: Rule) -> str:
    return rule.slots[0].saved_as
