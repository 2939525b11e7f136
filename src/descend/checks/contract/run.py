"""The contract of a rule, as checks that anybody can run: ``check_rule(mine)`` gives a report.

Every check promises one thing. The first three are conditions of all others: what does not run, does not
return what it declares, or branches on data, is not judged further.
"""

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...core.nearest import did_you_mean
from ...core.rule import Rule
from ...engines import FORMER
from ...rules.names import rule_of
from ..traces import Reference
from .report import RED, Outcome, Report, Result, red, skipped
from .runs import Subject, sentence


@dataclass(frozen=True)
class Check:
    name: str
    promise: str
    look: Callable[[Subject], Outcome]
    needed: bool = False  # by all that come after


ORDER = (
    "shapes", "returns", "branches", "inputs", "repeats", "step", "settings", "state", "resumes", "finite", "zeros",
    "nan", "order", "float32", "llvm", "torch", "class", "formula", "descends", "reference", "mutants",
)  # fmt: skip
_REGISTERED: dict[str, Check] = {}


def check(name: str, promise: str, needed: bool = False) -> Callable[[Callable[[Subject], Outcome]], Check]:
    """Register a check under its name, with the promise it stands for."""

    def register(look: Callable[[Subject], Outcome]) -> Check:
        _REGISTERED[name] = Check(name, promise, look, needed)
        return _REGISTERED[name]

    return register


def checks() -> dict[str, Check]:
    """All checks by name, in the order they run."""
    for subject in ("form", "parts", "values", "engines", "text"):
        importlib.import_module(f"{__package__}.{subject}")
    return {name: _REGISTERED[name] for name in ORDER}


def check_rule(
    rule: Rule,
    reference: Reference | None = None,
    *,
    only: Sequence[str] = (),
    quick: bool = False,
    equivalent: Mapping[str, str] | None = None,
    done: Callable[[Result], None] = lambda result: None,
) -> Report:
    """Run the contract on a rule or a chain.

    Args:
        reference: a NumPy transcription: takes ``x`` (list of float64 arrays), ``gradients`` (per step, a list of
            such) and the settings by keyword; yields ``(new x, {state name: list of arrays})`` after each step.
        only: names of checks; default: all.
        quick: leave out compiled engines and mutants.
        equivalent: edits (as the report prints them) that do not change the rule -> the reason.
        done: called with each result.
    Raises:
        TypeError: no rule, or a modifier alone. ValueError: an unknown check (the message lists them).
    """
    rule_of(rule)
    chosen = select(only)
    subject = Subject(rule, reference, dict(equivalent or {}), quick)
    report, refused = Report(rule.name), ""
    for one in chosen:
        begun = time.perf_counter()
        outcome = skipped(f"not looked at before {refused!r} is green") if refused else _looked(one, subject)
        report.results.append(Result(one.name, one.promise, outcome, round(time.perf_counter() - begun, 3)))
        if one.needed and outcome.status == RED:
            refused = refused or one.name
        done(report.results[-1])
    return report


def select(only: Sequence[str]) -> list[Check]:
    """These checks, in their order, or all.

    Raises:
        ValueError: there is none of that name.
    """
    known = checks()
    only = [FORMER.get(name, name) for name in only]
    for name in only:
        if name not in known:
            raise ValueError(f"no check {name!r}.{did_you_mean(name, known)} Checks: {', '.join(known)}")
    return [one for name, one in known.items() if not only or name in only]


def _looked(one: Check, subject: Subject) -> Outcome:
    try:
        return one.look(subject)
    except Exception as error:  # the rule's own, from wherever the check calls it
        return red(f"it stopped with {sentence(error)}{subject.line_of(error)}", "Make the rule run here too.")
