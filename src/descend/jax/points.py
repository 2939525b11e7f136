"""Points: some rules train one point and ship another, or want the gradient elsewhere than the parameters are."""

from typing import Any

import jax

from ..core.settings import taken_by
from ..engines.jax.engine import Job, group_of, lifted
from ..engines.jax.leaves import Leaves
from .transform import RuleState, Transformation, settled
from .trees import Tree, jobs, loaded


def shipped(tx: Transformation, state: Any, params: Any) -> Any:
    """What to evaluate and save: the average, of rules that average; else the parameters themselves.

    Args:
        tx: what ``transform`` returned. state: its state, or a pytree that holds it, as ``optax.chain`` makes.
        params: the parameters that the state belongs to.
    Returns:
        A pytree like ``params``, of the same types.
    Raises:
        ValueError: ``state`` holds no state of a rule, or several.
    """
    return _point(tx, state, params, "shipped_point")


def gradient_point(tx: Transformation, state: Any, params: Any) -> Any:
    """Where the gradient must be taken: the parameters, or a look-ahead rule's point beyond them. See ``shipped``."""
    return _point(tx, state, params, "gradient_point")


def _point(tx: Transformation, state: Any, params: Any, which: str) -> Any:
    found = [s for s in jax.tree.leaves(state, is_leaf=_is_state) if _is_state(s)]
    if len(found) != 1:
        raise ValueError(
            f"{tx.rule.name}: the state holds {len(found)} states of a rule; give the one of {tx.rule.name}"
        )
    own: RuleState = found[0]
    tree = Tree(params, tx.rule)
    numbers = settled(tx.rule, tx.settings, own.count)
    points = list(tree.leaves)
    for job, members in jobs(tree, tree.leaves, loaded(tree, own.slots), numbers, own.count, False):
        for i, point in zip(members, _of_job(job, which), strict=True):
            points[i] = point
    return tree.filled(points)


def _is_state(x: Any) -> bool:
    return isinstance(x, RuleState)


def _of_job(job: Job, which: str) -> list[Any]:
    point = getattr(job.rule, which)
    if point is None:
        return list(job.p)
    p, _, *slots = lifted(job, group_of(job.p))
    made: Leaves = point(p, *slots, **taken_by(point, job.settings))
    return [x.astype(p.dtype) for x, p in zip(made.items, job.p, strict=True)]
