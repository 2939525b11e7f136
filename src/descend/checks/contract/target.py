"""Which rules ``descend check TARGET`` means: those of a file, one of them, or one of the catalogue."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ... import rules
from ...core import script
from ...core.nearest import did_you_mean
from ...core.rule import Rule, chain
from ..references import REFERENCES
from ..traces import STANDS_FOR, Reference


class BadTarget(ValueError):
    """The target cannot be checked; the message says why and what to do."""


@dataclass(frozen=True)
class Found:
    """A rule to be checked, its reference if there is one, and its edits that change nothing."""

    rule: Rule
    reference: Reference | None = None
    equivalent: dict[str, str] = field(default_factory=dict)


def find(target: str) -> list[Found]:
    """The rules that ``path.py``, ``path.py:name`` or a catalogue name (or chain ``a+b``) stands for.

    Raises:
        BadTarget: no such file or name, no rule in it, or a file that does not run.
    """
    path, colon, name = target.rpartition(":") if ".py:" in target else (target, "", "")
    if not path or (not path.endswith(".py") and not Path(path).exists()):
        return [_of_catalogue(target)]
    try:
        module = script.run(Path(path))
    except script.BadScript as error:
        raise BadTarget(str(error)) from None
    found = _rules_in(module)
    if colon and name not in found:
        known = f"It has: {', '.join(found)}." if found else "It has no rule at all."
        raise BadTarget(f"{path} has no rule {name!r}. {known}{did_you_mean(name, found)}")
    if not found:
        raise BadTarget(
            f"{path} has no rule: put @rule (from descend import rule) above a function, or use chain(...)."
        )
    return [_with_reference(module, n, rule) for n, rule in found.items() if not colon or n == name]


def _of_catalogue(name: str) -> Found:
    try:
        rule = rules.get(name)
    except rules.UnknownRule as error:
        raise BadTarget(f"no file, and {error}") from None
    except TypeError as error:
        raise BadTarget(str(error)) from None
    return Found(_complete(rule), REFERENCES.get(STANDS_FOR.get(rule.name, rule.name)) if not rule.stages else None)


def _complete(rule: Rule) -> Rule:
    """A modifier is checked in a chain with the simplest rule."""
    if rule.kind == "rule":
        return rule
    try:
        stages = (rule, rules.gradient_descent) if rule.kind == "before" else (rules.gradient_descent, rule)
        return chain(*stages)
    except TypeError as error:
        raise BadTarget(f"{rule.name} is a modifier; check a chain that holds it. ({error})") from None


def _rules_in(module: ModuleType) -> dict[str, Rule]:
    """The rules a module makes, each under its first name; those it imports are another file's."""
    found: dict[str, Rule] = {}
    for name, value in vars(module).items():
        if isinstance(value, Rule) and not _imported(value, module) and value not in found.values():
            found[name] = value
    return {name: rule for name, rule in found.items() if not _part(rule, found)} or found


def _part(rule: Rule, found: dict[str, Rule]) -> bool:
    """Whether it is a modifier that a chain of the same file holds: the chain is checked."""
    return rule.kind != "rule" and any(rule in other.stages for other in found.values())


def _imported(rule: Rule, module: ModuleType) -> bool:
    home = rule.fn.__module__
    return home != module.__name__ and getattr(sys.modules.get(home), rule.name, None) is rule


def _with_reference(module: ModuleType, name: str, rule: Rule) -> Found:
    names = (name, rule.name.replace("+", "_"))

    def beside(ending: str) -> Any:
        return next((vars(module)[f"{n}_{ending}"] for n in names if f"{n}_{ending}" in vars(module)), None)

    whole = _complete(rule)
    return Found(whole, beside("reference") if whole is rule else None, beside("equivalent") or {})
