"""Rules on a surface: what is asked for is checked, then every path is walked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.nearest import did_you_mean
from ...core.rule import Rule
from ...rules.names import rule_of
from .catalogue import SURFACES
from .paths import tuned, walk
from .results import Paths
from .rolling import FINE, Ball, discretised, rolled
from .surface import Point, Surface
from .yours import own

MOST = 100_000  # steps
MOST_STATES = 200


def surface_of(function: Surface | str | Callable[[Any, Any], Any]) -> Surface:
    """The surface itself, that of the name, or that of f(x, y) as `own` makes it.

    Raises:
        ValueError: there is none; the message has the nearest.
    """
    if isinstance(function, Surface):
        return function
    if callable(function):
        return own(function)
    if function not in SURFACES:
        raise ValueError(f"no surface {function!r}.{did_you_mean(function, SURFACES)} There are {', '.join(SURFACES)}.")
    return SURFACES[function]


def run(
    function: Surface | str | Callable[[Any, Any], Any],
    rules: Sequence[Rule | str] | None = None,
    start: Point | None = None,
    *,
    lr: float | str | Mapping[str, float] | None = None,
    steps: int | None = None,
    seed: int = 0,
    noise: float = 0.0,
    engine: str = "auto",
    arrows: int = 0,
    states: int = 0,
) -> Paths:
    """The paths of rules on a surface.

    Args:
        function: a `Surface`, the name of one in `SURFACES`, or f(x, y) (`own` says more of it).
        rules: rules, chains or names; default: those of the surface's story.
        start: (x, y); default: the surface's.
        lr: one rate for all; "tuned": for each rule the best of a grid of 19; or rule -> rate (others: their default).
            Default: the rate of the surface's story. A rule without a rate is left as it is.
        steps: default: the surface's.
        seed: of samples and noise, which are the same for all rules.
        noise: standard deviation of what is added to each part of the gradient.
        arrows: of how many steps jump and correction are drawn, of `nesterov_lookahead` and `momentum_velocity`.
        states: at how many points of each path its state is drawn: the average m, the spread √v, the step.
        engine: of `descend.optimizer.Optimizer`; "numpy" is the oracle.
    Raises:
        ValueError, TypeError: an argument that is not admitted, before anything is run.
    """
    surface = surface_of(function)
    chosen = [rule_of(rule) for rule in (surface.rules if rules is None else rules)]
    start = surface.start if start is None else start
    steps = surface.steps if steps is None else steps
    if not chosen:
        raise ValueError("rules must name at least one")
    if len(start) != 2 or not np.isfinite(np.asarray(start, np.float64)).all():
        raise ValueError(f"start must be two finite numbers (x, y), got {start!r}")
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 < steps <= MOST:
        raise ValueError(f"steps must be a whole number from 1 to {MOST}, got {steps!r}")
    if isinstance(states, bool) or not isinstance(states, int) or not 0 <= states <= MOST_STATES:
        raise ValueError(f"states must be a whole number from 0 to {MOST_STATES}, got {states!r}")
    if not noise >= 0:
        raise ValueError(f"noise must be a number from 0 on, got {noise!r}")
    if isinstance(lr, str) and lr != "tuned":
        raise ValueError(f'lr must be a number, "tuned" or rule -> number, got {lr!r}')
    if isinstance(lr, Mapping) and (unknown := set(lr) - {rule.name for rule in chosen}):
        raise ValueError(f"lr names {', '.join(sorted(unknown))}, which does not run")
    how: dict[str, Any] = {"steps": steps, "seed": seed, "noise": noise, "engine": engine}
    rate = surface.lr if lr is None else lr
    start = (float(start[0]), float(start[1]))
    paths = []
    for rule in chosen:
        if rate == "tuned":
            paths.append(tuned(rule, surface, start, **how))
        else:
            own = rate.get(rule.name) if isinstance(rate, Mapping) else rate
            paths.append(walk(rule, surface, start, own, **how))  # pyright: ignore[reportArgumentType]
    return Paths(surface, start, steps, seed, noise, rate == "tuned", paths, arrows, states=states)


def roll(
    function: Surface | str | Callable[[Any, Any], Any],
    start: Point | None = None,
    *,
    mass: float = 1.0,
    friction: float = 0.5,
    dt: float = 0.2,
    steps: int | None = None,
) -> Paths:
    """A ball with friction on a surface, and the same law in steps of `dt`, which is momentum.

    Args:
        mass, friction: of the ball; heights are energies. dt: the time of one step of the rule.
        function, start, steps: as of `run`.
    Raises:
        ValueError: an argument that is not admitted; a momentum below 0, where `dt` is too long for this friction.
    """
    surface = surface_of(function)
    for name, value, least in (("mass", mass, "above 0"), ("friction", friction, "from 0 on"), ("dt", dt, "above 0")):
        if not (np.isfinite(value) and (value > 0 or (value == 0 and least == "from 0 on"))):
            raise ValueError(f"{name} must be a number {least}, got {value!r}")
    momentum, lr = discretised(mass, friction, dt)
    if momentum < 0:
        raise ValueError(
            f"dt must be at most mass/friction = {mass / friction:g}, got {dt:g}: it gives momentum below 0"
        )
    rule = rule_of("momentum_velocity").bind(momentum=momentum)
    found = run(surface, [rule], start, lr=lr, steps=steps)
    with np.errstate(all="ignore"):
        curve = rolled(surface, found.start, mass, friction, dt, found[0].steps)
        gap = float(np.hypot(*(curve[::FINE] - found[0].points).T).max())
    return replace(found, ball=Ball(mass, friction, dt, curve, gap))
