"""``chain(clip_norm(1.0), adamw, cautious, ema(0.999))``: several stages become ONE rule.

The result is a rule like any other, so the tracer sees one function and an engine makes one kernel.
Stages run in order: modifiers of the gradient, then exactly one rule, then modifiers of the step.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from .init import Init, Slot
from .rule import Rule
from .settings import shared


def chain(*stages: Rule) -> Rule:
    """Compose modifiers and one rule into one rule.

    A setting keeps its name; where two stages have one of the same name, the later stage's is
    called ``<stage>_<setting>`` (so is a state slot), unless it is declared ``shared``.

    Raises:
        TypeError: not exactly one rule, a gradient modifier behind it or a step modifier before it,
            or a shared setting that the rule does not have.
    """
    if len(stages) == 1 and isinstance(stages[0], Rule) and stages[0].kind == "rule":
        return stages[0]
    for stage in stages:
        if not isinstance(stage, Rule):
            raise TypeError(f"chain takes rules and modifiers; got {stage!r}")
    kinds = [stage.kind for stage in stages]
    names = " → ".join(stage.name for stage in stages)
    if kinds.count("rule") != 1:
        raise TypeError(f"chain needs exactly one rule; {names or 'nothing'} has {kinds.count('rule')}")
    position = kinds.index("rule")
    if "after" in kinds[:position] or "before" in kinds[position:]:
        raise TypeError(f"chain: gradient modifiers stand before the rule, step modifiers behind it: {names}")
    stages = tuple(inner for stage in stages for inner in (stage.stages or (stage,)))
    return _compose(stages)


def _compose(stages: tuple[Rule, ...]) -> Rule:
    base = next(stage for stage in stages if stage.kind == "rule")
    settings: dict[str, Any] = {}
    slots: list[Slot] = []
    plan: list[tuple[Rule, dict[str, str]]] = []  # a stage, and its settings' names in the chain
    taken = set(base.settings)  # the rule keeps its names, wherever it stands
    for stage in stages:
        names: dict[str, str] = {}
        for name, default in stage.settings.items():
            if default is shared and name not in base.settings:
                raise TypeError(f"{stage.name} shares the setting {name}, which {base.name} does not have")
            own = stage is base or default is shared or name not in taken
            names[name] = name if own else f"{stage.name}_{name}"
            taken.add(names[name])
            if default is not shared:
                settings[names[name]] = default
        slots += [_renamed(slot, stage, names, slots) for slot in stage.slots]
        plan.append((stage, names))

    def chained(p: Any, g: Any, *state: Any, t: Any, **settings: Any) -> tuple[Any, ...]:
        q, new_state, first = p, [], 0
        for stage, names in plan:
            own = {name: settings[outer] for name, outer in names.items()}
            arrays = (p, q, g) if stage.kind == "after" else (p, g)
            point, *rest = stage.apply(*arrays, *state[first : first + len(stage.slots)], t=t, **own)
            first += len(stage.slots)
            new_state += rest
            if stage.kind == "before":
                g = point
            else:
                q = point
        return (q, *new_state)

    chained.__doc__ = f"Chain: {' → '.join(stage.name for stage in stages)}."
    name = "+".join(stage.name for stage in stages)
    vectors = None
    if any(stage.vectors for stage in stages):
        vectors = _compose(tuple(stage.vectors or stage for stage in stages))
    made = Rule(chained, name, tuple(slots), settings, "rule", True, vectors=vectors, stages=stages)
    points = {name: _point(name, stages) for name in ("gradient_point", "shipped_point")}
    return replace(made, **points)


def _point(name: str, stages: tuple[Rule, ...]) -> Any:
    """The last stage's point of that name, as a function of the chain's whole state."""
    for i, stage in reversed(list(enumerate(stages))):
        if getattr(stage, name) is not None:
            first = sum(len(earlier.slots) for earlier in stages[:i])
            return _of_stage(getattr(stage, name), first, len(stage.slots))
    return None


def _of_stage(point: Any, first: int, count: int) -> Any:
    """A point of the rule as a function of the chain's whole state."""
    if point is None:
        return None

    @functools.wraps(point)
    def of_chain(p: Any, *state: Any, **settings: Any) -> Any:
        return point(p, *state[first : first + count], **settings)

    return of_chain


def _renamed(slot: Slot, stage: Rule, names: dict[str, str], earlier: list[Slot]) -> Slot:
    """``slot`` under a name, and a checkpoint name, that no earlier slot has."""
    init: Init = slot.init
    if isinstance(init.fill, str):
        init = replace(init, fill=names.get(init.fill, init.fill))
    prefix = f"{stage.name}_"
    name = prefix + slot.name if slot.name in {s.name for s in earlier} else slot.name
    saved = prefix + slot.saved_as if slot.saved_as in {s.saved_as for s in earlier} else slot.saved_as
    return Slot(name, init(saved))
