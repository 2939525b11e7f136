"""``@schedule``: a formula of the step becomes a function that makes schedules.

The formula's first parameter is the step ``k``; the others are annotated with what they may be (``checks.py``).
From this signature follow the checks, equality, repr and JSON. A parameter called ``steps`` is the length, unless
``length`` says otherwise; without either the schedule never ends.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np

from .checks import CHECKS, tidy
from .schedule import KINDS, VERSION, Schedule
from .words import fitting, is_jax, minimum

if TYPE_CHECKING:
    from .plateau import Plateau

P = ParamSpec("P")


def schedule(
    length: Callable[..., float] | None = None,
    check: Callable[..., None] | None = None,
    show: Callable[[Formula], str] | None = None,
    holds: bool = False,
) -> Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Schedule]]:
    """Register a formula.

    Args:
        length: steps until it holds, from its arguments.
        check: raises ValueError for arguments that do not fit together.
        show: another repr than ``name(arguments)``.
        holds: the formula itself takes steps beyond its length; else it sees none.
    """

    def register(formula: Callable[Concatenate[Any, P], Any]) -> Callable[P, Schedule]:
        definition = Definition(formula, length, check, show, holds)

        def make(*args: P.args, **kwargs: P.kwargs) -> Schedule:
            return definition.make(args, kwargs)

        functools.update_wrapper(make, formula)
        make.__signature__ = definition.signature  # type: ignore[attr-defined]
        KINDS[definition.name] = make
        return make

    return register


class Definition:
    """A formula and what its signature says."""

    def __init__(self, formula: Callable[..., Any], length: Any, check: Any, show: Any, holds: bool) -> None:
        self.name, self.holds = formula.__name__, holds
        self.formula = _by_position(formula)
        self.parameters = list(inspect.signature(formula).parameters.values())[1:]
        self.signature = inspect.Signature(self.parameters)
        names = [p.name for p in self.parameters]
        steps = names.index("steps") if "steps" in names else None
        self.length = length or (lambda *arguments: math.inf if steps is None else arguments[steps])
        self.check = check
        self.show = show or call

    def make(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Schedule:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = []
        for p in self.parameters:
            kind, _, optional = p.annotation.partition(" | ")
            value = bound.arguments[p.name]
            arguments.append(None if optional and value is None else CHECKS[kind](self.name, p.name, value))
        if self.check:
            self.check(*arguments)
        return Formula(self, tuple(arguments))


class Formula(Schedule):
    """A schedule that is a formula with its arguments."""

    __slots__ = ("arguments", "definition", "kind", "length")
    definition: Definition
    kind: str
    arguments: tuple[Any, ...]

    def __init__(self, definition: Definition, arguments: tuple[Any, ...]) -> None:
        put = functools.partial(object.__setattr__, self)
        put("definition", definition)
        put("kind", definition.name)
        put("arguments", arguments)
        put("length", tidy(definition.length(*arguments)))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a schedule is frozen: make another {self.kind}(...)")

    def at(self, k: Any) -> Any:
        if not self.definition.holds and self.length != math.inf:
            if isinstance(k, np.ndarray) and k.min() >= self.length:
                return np.full_like(k, self.at(float(self.length)))  # one value, computed once
            k = minimum(k, self.length)
        if is_jax(k):
            return self.definition.formula(k, *(fitting(k, x) for x in self.arguments))
        return self.definition.formula(k, *self.arguments)

    def parts(self) -> tuple[Schedule, ...]:
        return self.arguments[0] if self.kind == "then" else (self,)

    def plateaus(self) -> Iterator[Plateau]:
        for argument in self.arguments:
            for inner in argument if isinstance(argument, tuple) else (argument,):
                if isinstance(inner, Schedule):
                    yield from inner.plateaus()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Formula):
            return NotImplemented
        return self.kind == other.kind and self.arguments == other.arguments

    def __hash__(self) -> int:
        return hash((self.kind, self.arguments))

    def named(self) -> dict[str, Any]:
        """The arguments by name."""
        return {p.name: x for p, x in zip(self.definition.parameters, self.arguments, strict=True)}

    def __reduce__(self) -> Any:
        return _remade, (self.kind, self.named())

    def __repr__(self) -> str:
        return self.definition.show(self)

    def to_dict(self) -> dict[str, Any]:
        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(x) for x in value]
            return value.to_dict() if isinstance(value, Schedule) else value

        return {"kind": self.kind, **{name: plain(value) for name, value in self.named().items()}}


def _by_position(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The formula, its keyword-only parameters taken by position."""
    named = inspect.getfullargspec(formula).kwonlyargs
    if not named:
        return formula
    return lambda k, *arguments: formula(k, **dict(zip(named, arguments, strict=True)))


def call(made: Formula) -> str:
    """``name(required, optional=...)`` without what is the default."""
    shown = []
    for p, value in zip(made.definition.parameters, made.arguments, strict=True):
        if p.default is p.empty:
            shown.append(repr(value))
        elif value != p.default:
            shown.append(f"{p.name}={value!r}")
    return f"{made.kind}({', '.join(shown)})"


def _remade(kind: str, arguments: dict[str, Any]) -> Schedule:
    return KINDS[kind](**arguments)


def from_json(text: str) -> Schedule:
    """The schedule that ``schedule.to_json()`` wrote.

    Raises:
        ValueError: no such JSON, a version of the future, an unknown kind or argument (by name).
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(content, dict) or set(content) != {"version", "schedule"}:
        raise ValueError(f"the JSON of a schedule has 'version' and 'schedule'; got {text!r:.80}")
    if content["version"] != VERSION:
        raise ValueError(f"the JSON of this schedule has version {content['version']!r}; known is {VERSION}")
    made = _from_plain(content["schedule"])
    if not isinstance(made, Schedule):
        raise ValueError(f"{made!r} is no schedule")
    return made


def _from_plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_from_plain, value))
    if not isinstance(value, dict):
        return value
    arguments = {name: _from_plain(inner) for name, inner in value.items()}
    kind = arguments.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"unknown kind of schedule: {kind!r}; known are {', '.join(sorted(KINDS))}")
    try:
        return KINDS[kind](**arguments)
    except TypeError as error:
        raise ValueError(f"the JSON of a {kind}: {error}") from None
