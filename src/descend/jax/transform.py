"""A rule or a chain as an ``optax.GradientTransformation``: what it returns is added to the parameters."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..core.rule import Rule
from ..core.settings import all_given, check_setting, unknown_setting
from ..core.trace import admit
from ..engines.jax.engine import evaluate
from ..engines.jax.numbers import Number
from ..rules.names import rule_of
from ..schedules.schedule import Schedule
from .trees import Tree, begin, jobs, loaded, merged, stored


class RuleState(NamedTuple):
    """The state of a rule; arrays only, so it is saved, sharded, donated and mapped as any pytree.

    Attributes:
        count: int32, steps taken.
        slots: by the name a slot has in checkpoints. A slot with a value per element, row, column or side is a pytree
            like the parameters, with None where a leaf has no such state. A slot with one number per tensor (or for
            all) is one array over the tensors in order of the leaves: float64 with x64, else the two float32 halves of
            each number in the last dimension.
    """

    count: jax.Array
    slots: dict[str, Any]


class Transformation(optax.GradientTransformationExtraArgs):
    """The pair ``init, update`` of optax, which remembers its rule and settings."""

    rule: Rule
    settings: dict[str, Any]


def transform(rule: Rule | str, **settings: Any) -> Transformation:
    """A gradient transformation out of a rule or a chain.

    ``update(grads, state, params)`` needs the parameters. Arithmetic and state are float32 for 16-bit parameters and of
    the parameters' type else; updates have the parameters' type. What depends on settings and the step alone is
    computed in float64 and rounded once. Where a gradient is None nothing is stepped.

    Args:
        rule: a rule of the catalogue (or its name), a chain, or one of your own.
        settings: a number, a schedule (of ``descend.schedules``, of optax, or any function of the step, which is a
            traced integer from 0) or a scalar array, which may be traced (``optax.inject_hyperparams``).
    Raises:
        TypeError: an unknown setting (the message lists the valid ones), a modifier alone; in ``init`` and ``update``:
            parameters that are no real numbers. ValueError: a setting that is not admitted; in ``update``: parameters
            that are missing or do not fit the gradients.
    """
    rule = admit(rule_of(rule))
    whole = {**rule.settings, **_checked(rule, settings)}
    all_given(whole, rule.name)

    def init(params: Any) -> RuleState:
        tree = Tree(params, rule)
        numbers = settled(rule, whole, jnp.zeros((), jnp.int32))
        return RuleState(jnp.zeros((), jnp.int32), stored(tree, begin(tree, numbers)))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, RuleState]:
        del extra
        if params is None:
            raise ValueError(f"{rule.name} needs the parameters: update(grads, state, params)")
        tree = Tree(params, rule)
        numbers = settled(rule, whole, state.count)
        steps, new = advance(tree, updates, state, numbers, Number.of(state.count) + 1)
        steps = [None if u is None else u.astype(p.dtype) for p, u in zip(tree.leaves, steps, strict=True)]
        return tree.filled(steps), new

    made = Transformation(init, update)
    made.rule, made.settings = rule, whole
    return made


def advance(
    tree: Tree, grads: Any, state: RuleState, settings: Mapping[str, Any], t: Any
) -> tuple[list[Any], RuleState]:
    """What is added to each leaf, in its working type (None where there is no gradient), and the new state."""
    gradients = tree.like(grads, "gradients")
    old = loaded(tree, state.slots)
    stepped = jobs(tree, gradients, old, settings, t, state.count == 0)
    steps, new = merged(tree, stepped, evaluate([job for job, _ in stepped]), old)
    return steps, RuleState(jnp.asarray(optax.safe_increment(state.count)), stored(tree, new))


def _checked(rule: Rule, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings given: plain numbers as floats, checked; schedules and arrays as they are."""
    made: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in rule.settings:
            raise TypeError(unknown_setting(name, rule.settings, rule.name))
        if isinstance(value, jax.Array):
            if value.shape or not jnp.issubdtype(value.dtype, jnp.number):
                raise ValueError(f"{rule.name}: {name} must be one number; got {value.dtype} {value.shape}")
            made[name] = value
        else:
            made[name] = value if callable(value) else check_setting(name, value, rule.name)
    return made


def settled(rule: Rule, settings: Mapping[str, Any], count: Any) -> dict[str, Any]:
    """The settings of one step: floats where they never change, else Numbers."""
    return {name: _settled(rule, name, value, count) for name, value in settings.items()}


def _settled(rule: Rule, name: str, value: Any, count: Any) -> Any:
    if isinstance(value, Schedule):
        return Number.of(count).through(value)
    if callable(value):
        value = _called(rule, name, value, count)
    return Number.of(value) if isinstance(value, jax.Array | np.ndarray) else float(value)


def _called(rule: Rule, name: str, schedule: Callable[[Any], Any], count: Any) -> Any:
    try:
        return schedule(count)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise TypeError(
            f"{rule.name}: the schedule of {name} cannot be traced; write it with jax.numpy, or step with "
            f"descend.jax.Stepper, which calls schedules outside of the compiled function"
        ) from error
