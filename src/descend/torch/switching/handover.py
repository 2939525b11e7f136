"""The state of every parameter at a switch: which slot comes from where, and its numbers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ...core.init import Slot
from ...core.rule import Rule
from ...rules.state import meaning
from ...rules.state.conversion import convert
from ...rules.state.meaning import Meaning
from ..sharded import parts
from ..step import tensors
from ..step.leaf import Leaf

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Place:
    """A slot of a rule or of a stage of a chain: which stage, the slot there, and the slot of the whole chain."""

    stage: Rule
    nth: int
    own: Slot
    slot: Slot
    meaning: Meaning


@dataclass(frozen=True)
class Move:
    """Where one slot of the next rule comes from: another slot, or else its beginning."""

    to: Place
    source: Place | None = None


def base(rule: Rule) -> Rule:
    """The rule itself of a chain."""
    return next((stage for stage in rule.stages if stage.kind == "rule"), rule)


def places(rule: Rule) -> list[Place]:
    found: list[Place] = []
    seen: Counter[str] = Counter()
    slots = iter(rule.slots)
    for stage in rule.stages or (rule,):
        own = meaning.meanings(stage) if stage.kind == "rule" else {}
        for slot in stage.slots:
            found.append(Place(stage, seen[stage.name], slot, next(slots), own.get(slot.name, Meaning(begins="own"))))
        seen[stage.name] += 1
    return found


class Handover:
    """What one group hands over, for tensors with one kind of rule (matrices, or vectors).

    Args:
        source, target: the rules, as they are for these tensors. a, b: their settings at the step that comes next.
        carry: False if all state begins anew. shipped: whether the shipped point takes the place of the parameters.

    Attributes:
        moves: of each slot of ``target``. anew: why the rule begins anew, or "". left: slots nobody takes over.
    """

    def __init__(self, source: Rule, a: Numbers, target: Rule, b: Numbers, carry: bool, shipped: bool) -> None:
        self.source, self.a, self.target, self.b = source, a, target, b
        self.olds, news, self.shipped = places(source), places(target), shipped
        self.conversion = carry and _one_algorithm(base(source), a, base(target), b)
        self.moves = [Move(to, self._origin(to) if carry else None) for to in news]
        self.anew = self._reason() if carry else "told to (carry=False)"
        if self.anew:  # modifiers that count no steps go on
            kept = [m.source is not None and _goes_on(m.to.stage) for m in self.moves]
            self.moves = [m if keep else Move(m.to) for m, keep in zip(self.moves, kept, strict=True)]
        taken = {id(m.source.slot) for m in self.moves if m.source}
        self.left = [old for old in self.olds if id(old.slot) not in taken]

    @property
    def made_up(self) -> bool:
        """Whether a tensor without state so far gets some."""
        return any(callable(m.to.meaning.begins) and m.to.own.init.shape == "element" for m in self.moves)

    def _origin(self, to: Place) -> Place | None:
        if self.shipped and to.meaning.what.startswith("Schedule-Free"):
            return None
        for old in self.olds:
            mine = meaning.same_rule(old.stage, to.stage) and old.own.name == to.own.name and old.nth == to.nth
            common = to.meaning.what and old.meaning.what == to.meaning.what
            if (mine or common) and not (self.shipped and mine and to.own.init.fill == "p" and to.stage.kind == "rule"):
                return old
        return None

    def _reason(self) -> str:
        rule, own = base(self.target), [m for m in self.moves if m.to.stage.kind == "rule"]
        lost = [m.to for m in own if m.source is None and m.to.meaning.begins == "anew"]
        if lost:
            names = " and ".join(place.slot.saved_as for place in lost)
            return f"{names} cannot be known from {base(self.source).name}" + (" at the shipped point" * self.shipped)
        if not any(m.source for m in own) and not any(callable(m.to.meaning.begins) for m in own):
            return f"{rule.name} keeps nothing that {base(self.source).name} has" if own else ""
        return ""

    def state(self, leaf: Leaf, point: torch.Tensor | None) -> tuple[dict[str, Any], torch.Tensor | None]:
        """The new state of a parameter, and where it must move, if it must.

        Args:
            leaf: the parameter with its state so far. point: where the parameter will stand, if not where it is.

        Raises:
            ValueError: a part of the state is gone, or a conversion would divide by zero.
        """
        tensors.complete(leaf, tensors.wanted(self.source))
        old, t = leaf.state, float(leaf.state.get("step", 0))
        if not (old and any(m.source for m in self.moves)) and not self.made_up:
            return {}, point
        if any(m.source is None and m.to.own.init.fill == "g" for m in self.moves):
            return {}, point  # a copy of the first gradient can only be made when there is one
        t = 0.0 if self.anew else t
        made: dict[str, Any] = {}
        if self.conversion and old:
            point, converted = self._converted(leaf, point)
            made |= converted
        stand = leaf if point is None else replace(leaf, p=point)
        begun = sorted(self.moves, key=lambda m: m.source is None)
        for move in sorted(begun, key=lambda m: callable(m.to.meaning.begins)):
            name = move.to.slot.saved_as
            if name not in made:
                of = old.get(move.source.slot.saved_as) if move.source else None
                made[name] = self._begin(move.to, stand, made, t) if of is None else self._taken(move, of, t)
        return {"step": torch.tensor(t, dtype=torch.float64, device="cpu"), **made}, point

    def placed(self, entries: dict[str, Any], p: torch.Tensor) -> dict[str, Any]:
        """The new state as the optimizer keeps it, of a parameter that may be a DTensor."""
        if not parts.is_part(p):
            return entries
        arrays = {slot.saved_as for slot in self.target.slots if slot.init.shape == "element"}
        return {key: parts.rejoined(value, p) if key in arrays else value for key, value in entries.items()}

    def _taken(self, move: Move, value: Any, t: float) -> Any:
        assert move.source is not None
        if move.to.slot.init.is_number:
            return torch.tensor(float(value), dtype=torch.float64, device="cpu")
        if move.to.stage.kind != "rule":
            return value
        times, by = meaning.factor(move.source.meaning, self.a, move.to.meaning, self.b, t)
        if times == by == 1:
            return value
        scaled = value.clone(memory_format=torch.preserve_format)
        scaled *= times  # one of the two is nearly always 1, so that this is rounded once
        scaled /= by
        return scaled

    def _begin(self, to: Place, leaf: Leaf, made: dict[str, Any], t: float) -> Any:
        how, init = to.meaning.begins, to.slot.init
        if callable(how):
            state = {m.to.own.name: made[m.to.slot.saved_as] for m in self.moves if m.to.slot.saved_as in made}
            value = how(leaf.p.detach(), state, t, self.b)
            return value if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.float64, device="cpu")
        origin = next((m.to.slot.saved_as for m in self.moves if m.to.own.name == how and m.to.stage is to.stage), "")
        if origin in made:
            return made[origin].clone(memory_format=torch.preserve_format)
        if init.is_number:
            start = self.b[init.fill] if isinstance(init.fill, str) else init.fill
            return torch.tensor(float(start), dtype=torch.float64, device="cpu")
        return tensors.state_array(replace(leaf, state={}), to.slot, leaf.p.detach(), dict(self.b))

    def _converted(self, leaf: Leaf, point: torch.Tensor | None) -> tuple[torch.Tensor | None, dict[str, Any]]:
        source, target = base(self.source), base(self.target)
        [move] = [m for m in self.moves if m.to.stage is target and m.source is not None]
        assert move.source is not None
        stands = leaf.p.detach() if point is None else point
        state = {move.source.own.name: leaf.state[move.source.slot.saved_as]}
        _, p, new = convert(source, target, _settings(source, self.a), stands, state)
        moved = target.gradient_point is not None or source.gradient_point is not None
        return (p if moved else point), {move.to.slot.saved_as: new[move.to.own.name]}


def _goes_on(stage: Rule) -> bool:
    """Whether a stage's state means something when steps are counted from 0 again; an average over steps does not."""
    return stage.kind != "rule" and not (stage.uses_t and stage.shipped_point is not None)


def _settings(rule: Rule, numbers: Numbers) -> dict[str, float]:
    return {name: numbers[name] for name in rule.settings}


def _one_algorithm(source: Rule, a: Numbers, target: Rule, b: Numbers) -> bool:
    """Whether ``convert`` takes one to the other, at the settings that the other has."""
    if meaning.same_rule(source, target) or "" in (meaning.name_of(source), meaning.name_of(target)):
        return False
    nothing = {slot.name: np.zeros(()) for slot in source.slots}
    try:
        made, _, _ = convert(source, target, _settings(source, a), np.zeros(()), nothing)
    except ValueError:
        return False
    return all(b[name] == value for name, value in made.items() if name != "lr")
