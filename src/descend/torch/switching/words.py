"""The words of a plan: what happens to the state and the settings, gathered over groups and tensors."""

from collections import Counter, defaultdict
from typing import Any, Protocol

from ...rules.state import meaning
from .handover import Handover, Move, base
from .plan import SwitchPlan


class Switch(Protocol):
    """A switch that is worked out, as ``rule`` makes it."""

    opt: Any
    cls: Any
    groups: Any
    options: Any
    at: Any

    def successor(self) -> Any: ...


def page(switch: Switch) -> SwitchPlan:
    """The plan of a switch; it raises what the switch itself would."""
    _, moved = switch.successor()
    before = dict.fromkeys(base(group.settings.source).name for group in switch.groups)
    after = dict.fromkeys(base(group.settings.rule).name for group in switch.groups)
    plan = SwitchPlan(switch.opt.spec.name, switch.cls.spec.name, (", ".join(before), ", ".join(after)))
    _state(switch, plan)
    _settings(switch, plan)
    plan.notes += _notes(switch, bool(moved))
    return plan


def _state(switch: Switch, plan: SwitchPlan) -> None:
    counted: Counter[tuple[str, str, str]] = Counter()
    left: Counter[str] = Counter()
    anew: Counter[str] = Counter()
    fresh = 0
    for group in switch.groups:
        for p in group.params:
            hand: Handover = group.hand(p)
            if not switch.opt._state.get(p) and not hand.made_up:
                fresh += 1
                continue
            for move in hand.moves:
                counted[(move.to.slot.saved_as, *_words(hand, move))] += 1
            for old in hand.left:
                if not (hand.anew and any(m.to.slot.saved_as == old.slot.saved_as for m in hand.moves)):
                    left[old.slot.saved_as] += 1
            if hand.anew:
                anew[f"{base(hand.target).name} begins anew, from step 0: {hand.anew}."] += 1
    plan.state += [(*key, count) for key, count in counted.items()]
    plan.left += list(left.items())
    plan.notes += [f"{sentence} ({count} tensors)" for sentence, count in anew.items()]
    if fresh:
        plan.notes.append(f"{fresh} tensors have no state yet and begin when they have a gradient.")


def _settings(switch: Switch, plan: SwitchPlan) -> None:
    every = [group.settings for group in switch.groups]
    for name in switch.cls.spec.arguments:
        found: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, one in enumerate(every):
            value, why = one.values[name], one.why[name]
            if why == "given" or (value is not None and value is not False):
                found[(f"{value:.6g}" if isinstance(value, float) else repr(value), why)].append(i)
        for (value, why), groups in found.items():
            some = f" of group {', '.join(map(str, groups))}" if len(groups) < len(every) else ""
            plan.settings.append((name + some, value, why))
    for name, value in switch.options.items():
        if value != {"engine": "auto", "nonfinite": "propagate", "telemetry": ""}[name]:
            plan.settings.append((name, repr(value), "kept" if value == switch.opt._options[name] else "given"))


def _notes(switch: Switch, moved: bool) -> list[str]:
    opt, hands = switch.opt, [hand for group in switch.groups for hand in map(group.hand, group.params)]
    notes = [f"Schedules go on at step {opt.steps}."]
    if any(hand.source.shipped_point for hand in hands):
        kept = any(hand.target.shipped_point for hand in hands)
        if switch.at == "shipped":
            notes.append("Parameters move to the shipped point.")
        elif not kept:
            notes.append('The average, the shipped point, is left behind; at="shipped" goes on from it.')
    elif moved:
        notes.append("Parameters move between the look-ahead point and the point before it.")
    dropped = dict.fromkeys(key for group in switch.groups for key in group.settings.dropped)
    if dropped:
        notes.append(f"Dropped from the groups: {', '.join(dropped)}.")
    if "initial_lr" in dropped:
        notes.append("A scheduler of torch is attached to the old optimizer; attach a new one to the new optimizer.")
    return notes + list(dict.fromkeys(line for group in switch.groups for line in group.settings.lost))


_FORMS = {"mean": "mean", "first": "mean from its first value", "sum": "sum", "velocity": "velocity"}


def _words(hand: Handover, move: Move) -> tuple[str, str]:
    """What happens to a slot, in a word, and where it comes from."""
    if move.source is None:
        return _beginning(hand, move)
    a, b, names = move.source.meaning, move.to.meaning, (move.source.slot.saved_as, move.to.slot.saved_as)
    old = [f"from {names[0]}"] if names[0] != names[1] else []
    if move.to.stage.kind != "rule" or meaning.factor(a, hand.a, b, hand.b, 2.0) == (1.0, 1.0):
        return "carried", ", ".join(old)
    decay, new = hand.a.get(a.decay), hand.b.get(b.decay)
    if a.form != b.form:
        old.append(f"a {_FORMS[a.form]} becomes a {_FORMS[b.form]}")
    if decay is not None and new is not None and decay != new:
        old.append(f"the mean stays, {b.decay} {decay:g} → {new:g}")
    return "converted", ", ".join(old)


def _beginning(hand: Handover, move: Move) -> tuple[str, str]:
    how, fill = move.to.meaning.begins, move.to.own.init.fill
    if callable(how) and (not hand.anew or move.to.own.init.shape == "element"):
        return "computed", (how.__doc__ or "").partition("\n")[0].partition(" (")[0]
    like = next((m.to.slot.saved_as for m in hand.moves if m.to.own.name == how), None)
    if like and not hand.anew:
        return "begins", f"as {like}"
    if isinstance(fill, str):
        return "begins", {"p": "at the parameters", "g": "at the first gradient"}.get(fill, f"at {fill}")
    return "begins", f"at {fill:g}"
