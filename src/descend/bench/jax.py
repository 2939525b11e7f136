"""Transformations of ``descend.jax`` against optax's: one jitted step with donated buffers, in turns.

``python -m descend.bench.jax`` prints the table.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .. import jax as ours
from .. import rules
from .peers import OPTAX, transformed
from .timing import interleaved, median, ratio, spread

RULES = ("adamw", "lion", "adagrad", "rmsprop")


@dataclass
class Line:
    """Milliseconds per step, medians over the rounds; ``speedup``s are medians of the ratio within a round."""

    rule: str
    descend: float
    stepper: float
    optax: float
    spread: float
    speedup: float
    stepper_speedup: float


def _stepped(name: str, size: int, g: jax.Array) -> Callable[[], None]:
    stepper, p = ours.Stepper(rules.all()[name]), jnp.ones(size)
    carried: list[Any] = [p, stepper.init(p)]

    def call() -> None:
        carried[:] = jax.block_until_ready(stepper.step(carried[0], g, carried[1]))

    return call


def measure(size: int = 20_000_000, rounds: int = 9) -> Iterator[Line]:
    """Every one of ``RULES`` on one float32 array of ``size`` elements."""
    g = jax.random.normal(jax.random.key(0), (size,))
    for name in RULES:
        contestants = {
            "descend": transformed(getattr(ours, name)(), jnp.ones(size), g),
            "stepper": _stepped(name, size, g),
            "optax": transformed(OPTAX[name](optax), jnp.ones(size), g),
        }
        times = interleaved(contestants, rounds)
        yield Line(
            name,
            1e3 * median(times["descend"]),
            1e3 * median(times["stepper"]),
            1e3 * median(times["optax"]),
            spread(times["descend"]),
            ratio(times, "descend", "optax"),
            ratio(times, "stepper", "optax"),
        )
