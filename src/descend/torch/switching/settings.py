"""The settings of every group at a switch: given, kept, converted, taken from the state's past, or the default."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...core.rule import Rule
from ...rules.state import meaning
from ...schedules.schedule import Schedule
from ..optim.group import given as as_given
from ..optim.spec import HINTS, OWN, Spec
from .handover import Handover, base

if TYPE_CHECKING:
    from ..optim.base import RuleOptimizer

_ALWAYS = (*HINTS, *OWN, "maximize")
_LABELS = ("name", "lr_scale", "layer_name")
_SHAPES = ((2, 2), ())


@dataclass
class GroupSettings:
    """What one group has after the switch.

    Attributes:
        values: of all arguments of the new class. why: name -> where the value comes from. dropped: keys left out.
        rule, numbers: of the next class for this group. source, before: the same of the last one.
    """

    values: dict[str, Any]
    why: dict[str, str]
    source: Rule
    before: dict[str, float]
    labels: dict[str, Any] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    rule: Rule = field(init=False)
    numbers: dict[str, float] = field(init=False)


def settle(opt: RuleOptimizer, group: Mapping[str, Any], spec: Spec, given: Mapping[str, Any]) -> GroupSettings:
    """The settings of one group (or of the defaults, which have no parameters).

    Raises:
        ValueError: lr means something else to the next rule and is not given; a value that is not admitted;
            another ``maximize``.
    """
    old = opt.spec.lifted({"params": [], **opt.spec.arguments, **as_given(group)})
    source = opt.spec.rule(old, False)
    before = opt.spec.numbers(old, source, opt.steps)
    made = GroupSettings(dict(spec.arguments), dict.fromkeys(spec.arguments, "default"), source, before)
    for key in old:
        if key not in opt.spec.arguments and key not in ("params", "param_names"):
            if key in _LABELS:
                made.labels[key] = old[key]
            else:
                made.dropped.append(key)

    def put(name: str, value: Any, why: str) -> None:
        if name in made.values and name not in given:
            made.values[name], made.why[name] = value, why

    same_class = spec is opt.spec
    for name in opt.spec.arguments:
        if same_class or name in _ALWAYS or (name == "amsgrad" and name in made.values):
            put(name, old[name], "kept")
    made.values |= given
    made.why |= dict.fromkeys(given, "given")
    if bool(made.values.get("maximize")) != bool(old.get("maximize")):
        raise ValueError(
            "switch() cannot change maximize: the momentum would go on in the old direction; negate the loss"
        )
    if not same_class:
        _past(opt, old, spec, made, given)
        rule = _chosen(spec, made.values, old)
        same = meaning.same_rule(base(source), base(rule))
        inner = {*base(source).settings, *base(rule).settings}
        for name in set(opt.spec.arguments) & set(spec.arguments) - {*_ALWAYS, "lr", "weight_decay"}:
            settings = spec.tuples.get(name, (name,))[: 1 if name == "betas" else None]
            modifier = name in source.settings and name in rule.settings and name not in inner
            epsilon = name == "eps" and meaning.same_epsilon(base(source), base(rule))
            if name in spec.settings and (modifier or epsilon or (same and set(settings) <= set(base(rule).settings))):
                put(name, old[name], "kept")
        _weight_decay(opt, old, spec, made, put)
    made.rule = _chosen(spec, made.values, old)
    spec.check(_filled(spec, made.values, old), "")
    made.numbers = spec.numbers(_filled(spec, made.values, old), made.rule, opt.steps)
    if "lr" in spec.arguments and "lr" not in given:
        _rate(opt, old, spec, made, put)
    return made


def _filled(spec: Spec, values: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    return {**spec.arguments, **values, "params": old["params"]}


def _chosen(spec: Spec, values: Mapping[str, Any], old: Mapping[str, Any]) -> Rule:
    return spec.rule(_filled(spec, values, old), False)


def _raw(spec: Spec, group: Mapping[str, Any], setting: str) -> Any:
    """What a group says of a setting: a number, a schedule, a tensor; None if its class has no such argument."""
    for name, parts in spec.tuples.items():
        if setting in parts and name in spec.arguments and len(spec.arguments[name]) > parts.index(setting):
            return group[name][parts.index(setting)]
    return group.get(setting)


def _past(opt: RuleOptimizer, old: dict[str, Any], spec: Spec, made: GroupSettings, given: Mapping[str, Any]) -> None:
    """Take over how fast the past fades, setting by setting, so that the state means the same."""
    if "momentum" in spec.arguments and "momentum" not in given and not spec.arguments["momentum"]:
        _momentum(opt, old, spec, made)
    rule = _chosen(spec, made.values, old)
    numbers = spec.numbers(_filled(spec, made.values, old), rule, opt.steps)
    shapes = sorted({min(p.dim(), 2) * (1,) for p in old["params"]}, reverse=True) or _SHAPES
    over = [Handover(made.source.of(s), made.before, rule.of(s), numbers, True, False) for s in shapes]
    done: set[str] = set()
    for hand in over:  # what begins anew has no origins, and so no say
        for move in hand.moves:
            if move.source is None or move.to.stage.kind != "rule":
                continue
            new, past = move.to.meaning.decay, move.source.meaning.decay
            value = _raw(opt.spec, old, past) if past else None
            if not new or new in done or value is None:
                continue
            done.add(new)
            _put_setting(spec, made, given, new, value, f"{base(hand.source).name}'s {past}")


def _momentum(opt: RuleOptimizer, old: dict[str, Any], spec: Spec, made: GroupSettings) -> None:
    """A class whose momentum is off at first gets one if there is an average of gradients to go on with."""
    places = meaning.meanings(base(made.source)).values()
    past = next((m.decay for m in places if m.what == meaning.GRADIENT), None)
    value = _raw(opt.spec, old, past) if past else None
    if value is None:
        return
    with_momentum = base(_chosen(spec, {**made.values, "momentum": value}, old))
    if any(m.what == meaning.GRADIENT and m.decay == "momentum" for m in meaning.meanings(with_momentum).values()):
        made.values["momentum"], made.why["momentum"] = value, f"{base(made.source).name}'s {past}"


def _put_setting(spec: Spec, made: GroupSettings, given: Mapping[str, Any], setting: str, value: Any, why: str) -> None:
    for name, parts in spec.tuples.items():
        if setting in parts and name in spec.arguments and name not in given:
            values = list(made.values[name])
            if parts.index(setting) < len(values):
                values[parts.index(setting)] = value
                before = made.why[name]
                made.values[name] = tuple(values)
                short = why.removeprefix(before.rpartition(" ")[0] + " ")  # lion's beta1, beta2
                made.why[name] = why if before == "default" else f"{before}, {short}"
                return
    if setting in spec.arguments and setting not in given:
        made.values[setting], made.why[setting] = value, why


def _weight_decay(opt: RuleOptimizer, old: dict[str, Any], spec: Spec, made: GroupSettings, put: Any) -> None:
    value = old["weight_decay"] if "weight_decay" in opt.spec.arguments else 0.0
    none = not callable(value) and float(value) == 0
    if "weight_decay" not in spec.arguments:
        if not none:
            made.lost.append(f"weight_decay={value!r}: {spec.name} has none; put decay_l2 before the rule in a chain")
        return
    rule = _chosen(spec, {**made.values, "weight_decay": 1.0}, old)
    forms = meaning.decay_form(made.source), meaning.decay_form(rule)
    if none:
        put("weight_decay", 0.0, "kept (none)")
    elif forms[0] == forms[1]:
        put("weight_decay", value, f"kept ({forms[0]})")
    elif made.why["weight_decay"] == "default":
        made.why["weight_decay"] = f"default; {value!r} was {forms[0]}, this is {forms[1]}"


def _keeps_velocity(rule: Rule) -> bool:
    return any(slot.form == "velocity" for slot in meaning.meanings(rule).values())


def _rate(opt: RuleOptimizer, old: dict[str, Any], spec: Spec, made: GroupSettings, put: Any) -> None:
    source, rule = base(made.source), base(made.rule)
    value = old.get("lr") if "lr" in opt.spec.arguments else None
    ratio = meaning.lr_ratio(source, made.before, rule, made.numbers)
    if value is None or ratio is None:
        because = "the momentum is another" if meaning.same_rule(source, rule) else f"it is {source.name}'s"
        raise ValueError(
            f"switch() to {spec.name} needs lr=: the present lr of {made.before.get('lr', 0):g} would mean something "
            f"else to {rule.name} ({because})"
        )
    annealed = [name for name in source.settings if name != "lr" and callable(old.get(name))]
    path = "the same path" + (f" while {annealed[0]} stays as at this step" if annealed else "")
    if callable(value) and _keeps_velocity(source) != _keeps_velocity(rule):
        made.lost.append(
            "A velocity holds the lr of past steps, a mean or a sum does not: paths part where lr changes."
        )
    put("lr", value if ratio == 1 else scaled(value, ratio), "kept" if ratio == 1 else f"lr × {ratio:.6g}, {path}")
    made.numbers = spec.numbers(_filled(spec, made.values, old), made.rule, opt.steps)


def scaled(value: Any, ratio: float) -> Any:
    """A number, tensor or schedule times a number."""
    if callable(value) and not isinstance(value, Schedule):
        return functools.partial(_times, value, ratio)
    return value * ratio


def _times(schedule: Any, ratio: float, step: Any) -> Any:
    return schedule(step) * ratio
