"""Traces stepped by JAX, for the tests here."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from descend.checks.traces import FED, STEPS, Tensors, gradients, oracle, shapes_for
from descend.core.rule import Rule

UNOPTIMISED = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def trace_of(rule: Rule, steps: int = STEPS, holes: bool = True) -> tuple[Tensors, list[Tensors]]:
    return gradients(shapes_for(rule), steps, holes=holes and rule.name != "soap")


def fed(rule: Rule, state: Any) -> Any:
    """The state with what the oracle is given besides gradients: Sophia's curvature."""
    if rule.name not in FED:
        return state
    slot, value, _ = FED[rule.name]
    name = next(s.saved_as for s in rule.slots if s.name == slot)
    return state._replace(slots={**state.slots, name: [jnp.full_like(x, value) for x in state.slots[name]]})


def scanned(tx: Any, rule: Rule, dtype: Any, trace: tuple[Tensors, list[Tensors]]) -> tuple[Tensors, Any]:
    """Parameters and state at the end of a trace, in one ``lax.scan`` under jit."""
    start, grads = trace

    def step(carried: Any, g: Any) -> Any:
        p, state = carried
        updates, state = tx.update(g, state, p)
        return (optax.apply_updates(p, updates), state), None

    p = [jnp.asarray(x, dtype) for x in start]
    stacked = [jnp.asarray(np.stack([g[i] for g in grads]), dtype) for i in range(len(p))]
    begun = fed(rule, tx.init(p))
    # compiling is most of the time, and an eighth less without what LLVM optimises, which no rule is about
    whole = jax.jit(lambda carried, g: jax.lax.scan(step, carried, g), compiler_options=UNOPTIMISED)
    (p, state), _ = whole((p, begun), stacked)
    return [np.asarray(x, np.float64) for x in p], state


def by_oracle(rule: Rule, trace: tuple[Tensors, list[Tensors]], **settings: float) -> dict[str, Any]:
    *_, last = oracle(rule, *trace, {**rule.settings, **settings})
    return last


def apart(ours: Tensors, theirs: Tensors) -> float:
    """The largest difference, relative to the largest magnitude of a tensor or to 1 where that is smaller."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        gap = np.abs(a - b).max(initial=0.0) / max(1.0, np.abs(b).max(initial=0.0))
        worst = max(worst, float(gap) if np.isfinite(gap) else np.inf)
    return worst
