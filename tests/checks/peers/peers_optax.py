"""A program: what optax computes. It runs in a process of its own, for JAX starts threads and x64 is global.

    python peers_optax.py FILE < [[name, call, settings], ...]

FILE.npz holds, for each job and tensor, ``job/tensor``: the parameters after each step.
"""

import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
from peers import CURVATURE, arguments, trace_of, whole

from descend.checks.traces import Tensors


def constant_curvature(value: float) -> optax.GradientTransformationExtraArgs:
    """In place of Sophia's estimate of the Hessian: the same number everywhere."""
    return optax.GradientTransformationExtraArgs(
        lambda params: (),
        lambda updates, state, params=None, **_: (jax.tree.map(lambda p: jnp.full_like(p, value), params), state),
    )


def transformation(name: str, call: str, settings: dict[str, Any]) -> optax.GradientTransformation:
    if call.startswith("chain("):
        return eval(call, vars(optax), dict(settings))
    more = {}
    if name == "sophia":  # b2 = 0: the average is the last estimate
        more = {"hessian_diagonal_fn": constant_curvature(CURVATURE), "update_interval": 1, "b2": 0.0}
    own = {key: value for key, value in settings.items() if whole(name).kind == "rule"}
    before = whole(name).stages
    if before:
        own.pop("lr", None)
    function, given = arguments("optax", call, name, own)
    made = function(**given, **more)
    return optax.chain(made, optax.sgd(settings["lr"])) if before else made


def run(made: optax.GradientTransformation, start: Tensors, grads: list[Tensors]) -> list[np.ndarray]:
    """For each tensor its values after each step, stacked."""

    def step(carried: Any, g: Any) -> Any:
        p, state = carried
        updates, state = made.update(g, state, p)
        p = optax.apply_updates(p, updates)
        return (p, state), p

    p = [jnp.asarray(x) for x in start]
    stacked = [jnp.asarray(np.stack([g[i] for g in grads])) for i in range(len(p))]
    _, path = jax.jit(lambda p, g: jax.lax.scan(step, (p, made.init(p)), g))(p, stacked)
    return [np.asarray(x) for x in path]


def averaged(call: str, settings: dict[str, Any], start: Tensors, grads: list[Tensors]) -> list[np.ndarray]:
    """``incremental_update`` of an average of the path of gradient descent."""
    function, given = arguments("optax", call, "ema", {"decay": settings["decay"]})
    average, path = [jnp.asarray(x) for x in start], []
    descent = run(optax.sgd(settings["lr"]), start, grads)
    for t in range(len(grads)):
        average = function([p[t] for p in descent], average, **given)
        path.append(average)
    return [np.stack([step[i] for step in path]) for i in range(len(start))]


def looking_ahead(call: str, settings: dict[str, Any], start: Tensors, grads: list[Tensors]) -> list[np.ndarray]:
    """The fast parameters of gradient descent that looks ahead."""
    function, given = arguments("optax", call, "lookahead", {key: settings[key] for key in ("k", "alpha")})
    made = function(optax.sgd(settings["lr"]), **given)
    pair = optax.LookaheadParams.init_synced([jnp.asarray(x) for x in start])
    state, path, update = made.init(pair), [], jax.jit(made.update)
    for g in grads:
        updates, state = update([jnp.asarray(x) for x in g], state, pair)
        pair = optax.apply_updates(pair, updates)
        path.append(pair.fast)
    return [np.stack([step[i] for step in path]) for i in range(len(start))]


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_disable_most_optimizations", True)  # compiling is most of the time: 19 s become 14
    # optax raises the step to a power in float32, whatever the parameters are; its own argument for that
    # is out of reach behind adafactor().
    sharp = optax.scale_by_factored_rms
    sharp.__defaults__ = (*sharp.__defaults__[:-1], lambda i, exponent: 1.0 - (i + 1.0) ** -exponent)
    arrays = {}
    for job, (name, call, settings) in enumerate(json.load(sys.stdin)):
        other = {"ema": averaged, "lookahead": looking_ahead}.get(name)
        trace = trace_of(name)
        paths = other(call, settings, *trace) if other else run(transformation(name, call, settings), *trace)
        for i, path in enumerate(paths):
            arrays[f"{job}/{i}"] = path
    np.savez(sys.argv[1], **arrays)


if __name__ == "__main__":
    main()
