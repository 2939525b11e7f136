"""Transformations of ``descend.jax`` against optax's: one jitted step with donated buffers, in turns.

``python -m descend.bench.jax`` prints the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .. import jax as ours
from .. import rules
from .timing import interleaved, median, ratio, spread

# the rule, and optax's call for it, at the rule's own settings
PEERS: dict[str, Callable[[], optax.GradientTransformation]] = {
    "adamw": lambda: optax.adamw(1e-3, weight_decay=1e-2),
    "lion": lambda: optax.lion(1e-4, weight_decay=0.0),
    "adagrad": lambda: optax.adagrad(1e-2, initial_accumulator_value=0.0, eps=1e-10),
    "rmsprop": lambda: optax.rmsprop(1e-2, decay=0.99),
}


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


def _transformed(tx: Any, size: int, g: jax.Array) -> Callable[[], None]:
    def step(p: jax.Array, state: Any, g: jax.Array) -> tuple[Any, Any]:
        updates, state = tx.update(g, state, p)
        return optax.apply_updates(p, updates), state

    compiled = jax.jit(step, donate_argnums=(0, 1))
    p = jnp.ones(size)
    carried = [p, tx.init(p)]

    def call() -> None:
        carried[:] = jax.block_until_ready(compiled(*carried, g))

    return call


def _stepped(name: str, size: int, g: jax.Array) -> Callable[[], None]:
    stepper, p = ours.Stepper(rules.all()[name]), jnp.ones(size)
    carried: list[Any] = [p, stepper.init(p)]

    def call() -> None:
        carried[:] = jax.block_until_ready(stepper.step(carried[0], g, carried[1]))

    return call


def measure(size: int = 20_000_000, rounds: int = 9) -> Iterator[Line]:
    """Every rule of ``PEERS`` on one float32 array of ``size`` elements."""
    g = jax.random.normal(jax.random.key(0), (size,))
    for name, peer in PEERS.items():
        contestants = {
            "descend": _transformed(getattr(ours, name)(), size, g),
            "stepper": _stepped(name, size, g),
            "optax": _transformed(peer(), size, g),
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


def main() -> None:
    print(
        f"{'rule':10} {'descend ms':>10} {'stepper ms':>10} {'optax ms':>9} {'± %':>5} {'x optax':>8} {'stepper x':>9}"
    )
    for line in measure():
        times = f"{line.descend:10.1f} {line.stepper:10.1f} {line.optax:9.1f} {100 * line.spread:5.1f}"
        print(f"{line.rule:10} {times} {line.speedup:8.2f} {line.stepper_speedup:9.2f}")


if __name__ == "__main__":
    main()
