"""Pytrees: the leaves a rule steps, in groups, and its state as pytrees of the same structure."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..core.init import Init, Slot
from ..core.rule import Rule
from ..engines.jax.engine import Job, Stepped, working
from ..engines.jax.numbers import Number

Values = dict[str, Any]


def _is_none(x: Any) -> bool:
    return x is None


class Tree:
    """The leaves of a pytree of parameters, None included, and the rule that steps each.

    Attributes:
        leaves: arrays and None. place: of each array among the arrays, by its index in ``leaves``.
        groups: rules in use, with the indices of the leaves each steps.
    Raises:
        TypeError: a leaf is no array of real numbers.
    """

    def __init__(self, params: Any, rule: Rule) -> None:
        paths, self.structure = jax.tree_util.tree_flatten_with_path(params, is_leaf=_is_none)
        self.leaves: list[Any] = []
        for path, leaf in paths:
            if leaf is not None and not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
                where = jax.tree_util.keystr(path) or "params"
                raise TypeError(f"{rule.name} steps real floating-point arrays; {where} is {jnp.result_type(leaf)}")
            self.leaves.append(leaf if leaf is None or hasattr(leaf, "dtype") else jnp.asarray(leaf))
        self.rule = rule
        present = [i for i, p in enumerate(self.leaves) if p is not None]
        self.place = {i: k for k, i in enumerate(present)}
        vectors = [i for i in present if rule.vectors is not None and self.leaves[i].ndim < 2]
        matrices = [i for i in present if i not in vectors]
        self.groups = [(rule.of(self.leaves[members[0]].shape), members) for members in (matrices, vectors) if members]

    def like(self, tree: Any, what: str, same_shape: bool = True) -> list[Any]:
        """The leaves of a tree of the same structure, None included.

        Raises:
            ValueError: it has another structure, or a leaf has another shape.
        """
        leaves, structure = jax.tree.flatten(tree, is_leaf=_is_none)
        if structure != self.structure:
            raise ValueError(f"{what} and parameters differ in structure: {structure} and {self.structure}")
        for a, p in zip(leaves, self.leaves, strict=True):
            if same_shape and a is not None and p is not None and jnp.shape(a) != p.shape:
                raise ValueError(f"{what} and parameters differ in shape: {jnp.shape(a)} and {p.shape}")
        return leaves

    def filled(self, leaves: Sequence[Any]) -> Any:
        return jax.tree.unflatten(self.structure, leaves)

    def slots(self) -> dict[str, Slot]:
        """All slots by their name in checkpoints, of the rule and its rule for vectors."""
        rules = [self.rule] if self.rule.vectors is None else [self.rule.vectors, self.rule]
        return {slot.saved_as: slot for rule in rules for slot in rule.slots}


def begin(tree: Tree, settings: Mapping[str, Any]) -> Values:
    """State before the first step, by checkpoint name: a list over the leaves, or a Number."""
    made: Values = {name: [None] * len(tree.leaves) for name in tree.slots()}
    for name, slot in tree.slots().items():
        fill = slot.init.first(settings)
        if slot.init.is_number:
            made[name] = Number.of(fill)
            if slot.init.shape == "tensor":
                made[name] = made[name].per_tensor(len(tree.place))
    for rule, members in tree.groups:
        for slot in rule.slots:
            fill = slot.init.first(settings)
            for i in members if not slot.init.is_number else []:
                made[slot.saved_as][i] = _array(slot.init, tree.leaves[i], fill)
    return made


def _array(init: Init, p: jax.Array, fill: Any) -> jax.Array:
    dtype = working(p.dtype)
    if fill == "p":
        return jnp.array(p, dtype)  # a copy: a donated parameter must not share its memory with the state
    value = 0.0 if fill == "g" else fill.to(dtype) if isinstance(fill, Number) else fill
    shape = init.shape_for(p.shape)
    if init.is_square:
        return value * jnp.eye(shape[0], dtype=dtype)
    return jnp.full(shape, value, dtype)


def stored(tree: Tree, values: Values) -> dict[str, Any]:
    """State as pytrees of arrays."""
    return {name: v.stored() if isinstance(v, Number) else tree.filled(v) for name, v in values.items()}


def loaded(tree: Tree, slots: Mapping[str, Any]) -> Values:
    """What ``stored`` made, back as lists and Numbers.

    Raises:
        ValueError: state of another rule, or of other parameters.
    """
    if set(slots) != set(tree.slots()):
        raise ValueError(
            f"this state has the slots {', '.join(sorted(slots)) or 'of a rule without state'}; "
            f"{tree.rule.name} has {', '.join(sorted(tree.slots())) or 'none'}"
        )
    return {
        name: Number.loaded(slots[name]) if slot.init.is_number else tree.like(slots[name], f"state {name}", False)
        for name, slot in tree.slots().items()
    }


def jobs(
    tree: Tree, grads: Sequence[Any], values: Values, settings: Mapping[str, Any], t: Any, first: Any
) -> list[tuple[Job, list[int]]]:
    """What ``evaluate`` steps, and for each job its leaves. ``first``: whether this is the first step."""
    made: list[tuple[Job, list[int]]] = []
    for rule, everyone in tree.groups:
        members = [i for i in everyone if grads[i] is not None]
        if not members:
            continue
        state: dict[str, Any] = {}
        for slot in rule.slots:
            value = values[slot.saved_as]
            if slot.init.shape == "tensor":
                state[slot.name] = value.take([tree.place[i] for i in members])
            elif slot.init.shape == "all":
                state[slot.name] = value
            elif slot.init.fill == "g":
                state[slot.name] = [jnp.where(first, grads[i], value[i]) for i in members]
            else:
                state[slot.name] = [value[i] for i in members]
        known = {name: settings.get(name, default) for name, default in rule.settings.items()}
        params = [tree.leaves[i] for i in members]
        made.append((Job(rule, params, [grads[i] for i in members], state, known, t), members))
    return made


def merged(
    tree: Tree, stepped: Sequence[tuple[Job, list[int]]], results: Sequence[Stepped], old: Values
) -> tuple[list[Any], Values]:
    """The steps, None where a leaf was not stepped, and the new state, there that of ``old``."""
    new: Values = {name: list(v) if isinstance(v, list) else v for name, v in old.items()}
    steps: list[Any] = [None] * len(tree.leaves)
    for (job, members), result in zip(stepped, results, strict=True):
        for i, step in zip(members, result.step, strict=True):
            steps[i] = step
        for slot in job.rule.slots:
            value, name = result.state[slot.name], slot.saved_as
            if slot.init.shape == "all":
                new[name] = value
            elif slot.init.shape == "tensor":
                new[name] = new[name].put([tree.place[i] for i in members], value)
            else:
                for i, array in zip(members, value, strict=True):
                    new[name][i] = array
    return steps, new
