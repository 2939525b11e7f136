"""How sharp a valley a rule bears: above it, on a quadratic, its steps grow.

For gradient descent it is 2/lr; momentum bears more, Nesterov's less (Cohen et al. 2021, section 2 and appendix B). A
rule that divides by the root of averaged squares is momentum in scaled coordinates: it bears 2(1+β₁)/((1−β₁)·lr), 38/lr
at β₁ = 0.9, and what counts is the Hessian scaled likewise, P^(-1/2)·H·P^(-1/2) (Cohen et al. 2022, section 2).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Settings = Mapping[str, float]


class Edge(NamedTuple):
    """`formula` in words, `limit` of the settings; `scale` of (settings, v, t): the diagonal of P, if it has one."""

    formula: str
    limit: Callable[[Settings], float]
    scale: Callable[[Settings, Any, float], Any] | None = None


def _momentum(name: str) -> Callable[[Settings], float]:
    return lambda s: 2 * (1 + s[name]) / s["lr"]


def _averaged(name: str) -> Callable[[Settings], float]:
    return lambda s: 2 * (1 + s[name]) / ((1 - s[name]) * s["lr"])


def _adam(s: Settings, v: Any, t: float) -> Any:
    return (1 - s["beta1"] ** t) * (np.sqrt(v / (1 - s["beta2"] ** t)) + s["eps"])


_NESTEROV = Edge("2(1+μ)/((1+2μ)·lr)", lambda s: 2 * (1 + s["momentum"]) / ((1 + 2 * s["momentum"]) * s["lr"]))
_HEAVY = Edge("2(1+μ)/lr", _momentum("momentum"))
_ADAM = Edge("2(1+β₁)/((1−β₁)·lr)", _averaged("beta1"), _adam)
EDGES: dict[str, Edge] = {
    "gradient_descent": Edge("2/lr", lambda s: 2 / s["lr"]),
    "momentum_accumulation": _HEAVY,
    "momentum_velocity": _HEAVY,
    "momentum_dampened": Edge("2(1+μ)/((1−d)·lr)", lambda s: _HEAVY.limit(s) / (1 - s["dampening"])),
    "momentum_ema": Edge("2(1+β)/((1−β)·lr)", _averaged("beta")),
    "nesterov_accumulation": _NESTEROV,
    "nesterov_lookahead": _NESTEROV,
    "nesterov_rewritten": _NESTEROV,
    "rmsprop": Edge("2/lr", lambda s: 2 / s["lr"], lambda s, v, t: np.sqrt(v) + s["eps"]),
    "adam": _ADAM,
    "adamw": _ADAM,
}
"""Of each rule for which it is known. Weight decay is left out: what it adds is as small as itself."""
