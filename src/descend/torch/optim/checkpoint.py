"""Checkpoints in torch's form: validated as a whole, then copied in."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ...schedules.plateau import Plateau
from ...schedules.schedule import Schedule
from ..step import tensors
from ..step.owner import Owner
from . import points
from .group import given

BESIDE = ("schedule_step", "schedule_taken", "plateaus", "untrained", "point")


def plain(group: dict[str, Any], step: int = 0) -> dict[str, Any]:
    """A group of plain numbers, as ``torch.load(weights_only=True)`` wants it: a schedule is saved as what it says now.

    The schedule itself is the program's. With the step it goes on where it was, also when it was made longer.
    """

    def number(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(number, value))
        if callable(value):
            now: Any = value(step)
            return float(now)
        return value.item() if isinstance(value, np.generic | np.ndarray) and value.size == 1 else value

    return {name: number(value) for name, value in group.items()}


def beside(optimizer: Owner, group: Mapping[str, Any]) -> dict[str, Any]:
    """What a saved group holds beside its settings: keys that torch's classes carry along and do not read.

    ``schedule_step``: the steps taken, which no state says of rules that keep none, or if parameters joined in later.
    ``schedule_taken``: the most one of the parameters has taken, by which steps that torch's class adds are known.
    ``plateaus``: what those in its schedules have seen. ``untrained``: places of parameters whose state has not begun.
    """
    taken = [int(entry["step"]) for entry in optimizer._state.values() if isinstance(entry, dict) and "step" in entry]
    seen = {name: [p.state_dict() for p in plateaus(value)] for name, value in group.items()}
    untrained = [k for k, p in enumerate(group["params"]) if p in optimizer._dry]
    found = {"schedule_step": optimizer.steps, "schedule_taken": max(taken, default=0)}
    found |= {"plateaus": {name: states for name, states in seen.items() if states}} if any(seen.values()) else {}
    # also where there are none: torch.distributed.checkpoint loads the keys that a fresh optimizer has, and no others
    return found | {"untrained": untrained}


def plateaus(setting: Any) -> list[Plateau]:
    """The plateaus inside a setting, left to right."""
    parts = setting if isinstance(setting, tuple) else (setting,)
    return [plateau for part in parts if isinstance(part, Schedule) for plateau in part.plateaus()]


def scheduled(value: Any) -> bool:
    """Whether a setting is a schedule, or has one inside."""
    return callable(value) or (isinstance(value, tuple) and any(map(callable, value)))


def of_right_form(saved: Any) -> dict[str, Any]:
    """A shallow copy of a state dict.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not isinstance(saved, dict):
        raise TypeError(f"a state dict is a dict with 'state' and 'param_groups'; got {type(saved).__name__}")
    for key, kind in (("state", dict), ("param_groups", list)):
        if not isinstance(saved.get(key), kind):
            raise ValueError(f"a state dict has a {kind.__name__} under {key!r}; this one has {list(saved)}")
    for i, group in enumerate(saved["param_groups"]):
        if not isinstance(group, dict) or "params" not in group:
            raise ValueError(f"group {i} of the state dict must be a dict with 'params'; got {group!r:.60}")
    return dict(saved)


@dataclass
class Fitted:
    """What a checkpoint holds, as the optimizer keeps it.

    Attributes:
        groups, state, steps: of the optimizer. dry: parameters whose state has not begun.
        point, apart: which point the parameters held that were saved, if not the trained one, and that one.
        seen: what plateaus had seen. messages: what was not taken over.
    """

    groups: list[dict[str, Any]] = field(default_factory=list)
    state: dict[Any, Any] = field(default_factory=dict)
    steps: int = 0
    dry: set[torch.Tensor] = field(default_factory=set)
    point: str = ""
    apart: dict[torch.Tensor, torch.Tensor] = field(default_factory=dict)
    seen: list[tuple[Plateau, dict[str, Any]]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def recall(self) -> None:
        """Give the plateaus what they had seen, and say what was not taken over."""
        for plateau, its in self.seen:
            vars(plateau).update(its)
        for message in self.messages:
            warnings.warn(message, stacklevel=3)


def fitted(optimizer: Owner, saved: dict[str, Any]) -> Fitted:
    """The content of ``saved``, as this optimizer keeps it; nothing is changed.

    Raises:
        ValueError: it does not fit; the message names group, parameter, expected and got.
    """
    spec, current = optimizer.spec, optimizer.param_groups
    groups, entries_of = deepcopy(saved["param_groups"]), saved["state"]
    if len(groups) != len(current):
        raise ValueError(
            f"loaded state dict has a different number of parameter groups: expected {len(current)}, got {len(groups)}"
        )
    found, claimed = Fitted(), set()
    state = found.state
    for i, (group, now) in enumerate(zip(groups, current, strict=True)):
        keys = _matched(group, now, i)
        if len(set(keys) - claimed) != len(keys):
            raise ValueError(f"loaded state dict, group {i}: a parameter of {keys!r:.60} stands there twice")
        kept = {k: spec.newer.get(k, v) for k, v in now.items() if k not in group}
        group = {**kept, **group, **spec.fixed, "params": now["params"]}
        schedules = {k: v for k, v in given(now).items() if k in spec.arguments and scheduled(v)}
        group |= schedules
        ours = {name: group.pop(name, None) for name in BESIDE}
        if ours["schedule_step"] is not None:
            _recall(found, schedules, ours["plateaus"] or {}, i)
        if "param_names" in now:
            group["param_names"] = now["param_names"]
        known = {k: v for k, v in group.items() if k in spec.arguments or k == "weight_decay"}
        lifted = {k: v for k, v in spec.lifted({**spec.arguments, **group}).items() if k in {*spec.arguments, *known}}
        spec.check(lifted, f" (parameter group {i} of the loaded state dict)")
        rule = spec.rule({**spec.arguments, **known}, False)
        found.groups.append(group)
        untrained = {keys[k] for k in ours["untrained"] or () if k < len(keys)}
        for k, (key, p) in enumerate(zip(keys, now["params"], strict=True)):
            claimed.add(key)
            name = (
                f"{now['param_names'][k]!r} (parameter {k} of group {i})"
                if "param_names" in now
                else f"parameter {k} of group {i}"
            )
            entry = entries_of.get(key, {})
            if not isinstance(entry, dict):
                raise ValueError(f"loaded state dict, {name}: expected a dict of its state, got {type(entry).__name__}")
            entries = {n: v for n, v in entry.items() if v is not None and n != points.KEY}
            if ours["point"] and entries and getattr(rule.of(tuple(p.shape)), points.which(ours["point"])):
                found.point, found.apart[p] = ours["point"], points.read(entry.get(points.KEY), p, name)
            if entries:
                state[p] = _entries(optimizer, rule.of(tuple(p.shape)), entries, p, name)
                found.dry |= {p} if key in untrained and not state[p].get("step") else set()
    others = {key: value for key, value in entries_of.items() if key not in claimed}
    _refuse_foreign(optimizer, others, claimed)
    state |= others
    found.steps = _steps(saved)
    if found.steps > max((group.get("schedule_step") or 0 for group in saved["param_groups"]), default=0):
        found.point, found.apart = "", {}  # torch's class has gone on since, from where the parameters were
    return found


def _recall(found: Fitted, now: dict[str, Any], saved: dict[str, Any], i: int) -> None:
    """Find what the plateaus in the schedules of a group have seen."""
    for name, setting in now.items():
        mine, states = plateaus(setting), saved.get(name, [])
        if len(mine) != len(states):
            if mine:
                found.messages.append(
                    f"loaded state dict, group {i}: {name} has {len(mine)} plateaus now, and had {len(states)} when "
                    "it was saved: what they had seen is not taken over"
                )
            continue
        read = [one for plateau, its in zip(mine, states, strict=True) for one in plateau.read_state(its)]
        if any(plateau is other and its != had for plateau, its in read for other, had in found.seen):
            found.messages.append(
                f"loaded state dict, group {i}: the plateau of {name} is shared now, and was several that had seen "
                "different things when it was saved: the first one's are taken over"
            )
            continue
        found.seen += read


def _refuse_foreign(optimizer: Owner, others: dict[Any, Any], claimed: set[Any]) -> None:
    """Refuse state of parameters that there are not; what a program itself keeps beside them is carried, as torch's."""
    foreign = [
        k for k, v in others.items() if not isinstance(k, str) or (isinstance(v, dict) and k not in optimizer._state)
    ]
    if not foreign:
        return
    shown = ", ".join(map(repr, foreign[:5])) + (", ..." if len(foreign) > 5 else "")
    hint = ""
    if any(isinstance(key, str) and key.isdecimal() and int(key) in claimed for key in foreign):
        hint = '. JSON turns numbers into texts: {int(key): entry for key, entry in saved["state"].items()}'
    elif any(isinstance(key, str) for key in foreign) and any(isinstance(key, int) for key in claimed):
        hint = '. Names must stand under "params" of the groups, too'
    raise ValueError(
        f"loaded state dict: the state of {shown} fits no parameter; its groups have {_spoken(claimed)}{hint}"
    )


def _spoken(keys: set[Any]) -> str:
    if not keys or any(not isinstance(key, int) for key in keys):
        return f"{len(keys)} parameters by other names"
    return f"parameters {min(keys)} to {max(keys)}" if len(keys) > 1 else f"parameter {min(keys)} alone"


def _matched(group: dict[str, Any], now: dict[str, Any], i: int) -> list[Any]:
    """The saved keys of the parameters of ``now``, in its order."""
    keys = group["params"]
    if len(keys) != len(now["params"]):
        raise ValueError(
            "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
            f"group {i}, expected {len(now['params'])} parameters, got {len(keys)}"
        )
    old, new = group.get("param_names"), now.get("param_names")
    if not old or not new or list(old) == list(new):
        return keys
    if len(set(old)) != len(old) or set(old) != set(new):
        missing, extra = sorted(set(new) - set(old)), sorted(set(old) - set(new))
        raise ValueError(f"loaded state dict, group {i}: missing parameters {missing}, unexpected {extra}")
    place = dict(zip(old, keys, strict=True))
    return [place[name] for name in new]


def _entries(optimizer: Owner, rule: Any, entries: dict[str, Any], p: torch.Tensor, what: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for slot in rule.slots:
        where = f"loaded state dict, {what}, {slot.saved_as!r}"
        if slot.saved_as not in entries:
            raise ValueError(f"{where} is missing; the state has {', '.join(sorted(map(str, entries)))}")
        if not slot.init.is_number:
            made[slot.saved_as] = tensors.saved_array(entries[slot.saved_as], slot, p, where)
    step = entries.get("step", optimizer.spec.missing_step)
    if step is None and rule.uses_t:
        raise ValueError(f"loaded state dict, {what}: 'step' is missing")
    if step is not None and (rule.slots or rule.uses_t):
        made["step"] = torch.tensor(_step(step, what), dtype=torch.float64, device="cpu")
    for name, value in entries.items():  # what the rule does not use is kept, and saved again
        if name not in made:
            made[name] = value.detach().clone() if isinstance(value, torch.Tensor) else deepcopy(value)
    return made


def _step(step: Any, what: str) -> float:
    try:
        count = float("nan") if isinstance(step, str) else float(step)
    except (TypeError, ValueError, RuntimeError):
        count = float("nan")
    if not (count >= 0 and count == int(count)):
        raise ValueError(f"loaded state dict, {what}: 'step' must be one number, 0 or more, got {step!r}")
    return count


def _steps(saved: dict[str, Any]) -> int:
    """The steps a checkpoint was taken after: where schedules go on. Without any, the most a parameter has taken."""
    entries = [entry for entry in saved["state"].values() if isinstance(entry, dict)]
    taken = max((int(_step(entry["step"], "state")) for entry in entries if entry.get("step") is not None), default=0)
    groups = [group for group in saved["param_groups"] if group.get("schedule_step") is not None]
    if not groups:
        return taken
    said, then = (max(int(group.get(name, 0)) for group in groups) for name in ("schedule_step", "schedule_taken"))
    return said + max(0, taken - then) if any("schedule_taken" in group for group in groups) else said
