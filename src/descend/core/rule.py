"""``@rule``: the signature of a function becomes its state, its settings and its name.

    @rule
    def lion(p, g, m=zeros, *, t, lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0): ...

positional with an initialiser = a state slot; keyword-only with a number = a setting with its
default; ``t`` = the step, counted from 1. The function returns the new ``p`` and the new value of
each slot, in the order of the signature.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pickle
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from .init import Init, Slot
from .refusal import miscounted
from .settings import check_setting, shared, unknown_setting
from .shown import Shown
from .value import Misreturned

LEADING = {"rule": ("p", "g"), "before": ("p", "g"), "after": ("p", "q", "g")}


@dataclass(frozen=True, eq=False)
class Rule(Shown):
    """An update rule: ``rule(p, g, *state, t=..., **settings)`` returns the new ``p`` and state.

    Attributes:
        gradient_point: where the gradient must be taken, if not at ``p``.
        shipped_point: what to evaluate and ship, if not ``p``: a function of ``p``, state and settings.
        vectors: the rule that takes its place for tensors with fewer than two dimensions.

    Called on arrays it is plain arithmetic on whatever it is given; engines, front ends,
    checkpoints and the documentation are derived from its signature and its text. A modifier
    called on numbers (``clip_norm(1.0)``) is the same modifier with these settings.
    """

    fn: Callable[..., Any]
    name: str
    slots: tuple[Slot, ...]
    settings: dict[str, Any]
    kind: str = "rule"  # "rule", or a modifier: "before" (of the gradient) or "after" (of the step)
    uses_t: bool = True
    gradient_point: Callable[..., Any] | None = None
    shipped_point: Callable[..., Any] | None = None
    vectors: Rule | None = None
    stages: tuple[Rule, ...] = field(default=(), repr=False)

    def __call__(self, *arrays: Any, **settings: Any) -> Any:
        if self.kind != "rule" and all(isinstance(x, int | float) for x in arrays):
            return self.bind(**dict(zip(self.settings, arrays, strict=False)), **settings)
        if not self.uses_t:
            settings.pop("t", None)
        return self.fn(*arrays, **settings)

    @property
    def leading(self) -> tuple[str, ...]:
        """The arrays that its function takes before the state."""
        return LEADING[self.kind]

    @property
    def results(self) -> tuple[str, ...]:
        """What its function returns, in order."""
        return ({"rule": "p", "before": "g", "after": "q"}[self.kind], *(slot.name for slot in self.slots))

    @property
    def declared(self) -> Declared:
        """What a tracer sees of it: all but the values of its settings."""
        return Declared(self.fn, self.name, self.kind, self.slots, tuple(self.settings), self.uses_t, self)

    def apply(self, *arrays: Any, t: Any, **settings: Any) -> tuple[Any, ...]:
        """Run the rule's function; always a tuple of the new ``p`` (or ``g``) and the new state.

        Values that stand for arrays repeat what the function did when it was first traced.

        Raises:
            Misreturned: the function returned more or fewer values than its signature has.
        """
        repeated = None if self.stages else getattr(arrays[0], "repeated", None)
        if repeated is not None:
            return repeated(self, arrays, t, settings)
        return self.returned(self.fn(*arrays, t=t, **settings) if self.uses_t else self.fn(*arrays, **settings))

    def returned(self, values: Any) -> tuple[Any, ...]:
        """What its function returned, as a tuple.

        Raises:
            Misreturned: more or fewer values than its signature has.
        """
        given = values if isinstance(values, tuple) else () if values is None else (values,)
        if len(given) == len(self.results) and not any(isinstance(value, tuple | list) for value in given):
            return given
        raise Misreturned(miscounted(self.kind, self.name, self.fn, self.results, values))

    def of(self, shape: tuple[int, ...]) -> Rule:
        """The rule for a tensor of this shape: itself, or its rule for vectors, with the settings of this one."""
        if self.vectors is None or len(shape) > 1:
            return self
        own = {name: value for name, value in self.settings.items() if name in self.vectors.settings}
        return replace(self.vectors, settings={**self.vectors.settings, **own})

    def bind(self, **settings: Any) -> Rule:
        """The same rule with other defaults.

        Raises:
            TypeError: a setting it does not have (the message lists those it has).
            ValueError: a value the setting does not admit.
        """
        for name, value in settings.items():
            if name not in self.settings:
                raise TypeError(unknown_setting(name, self.settings, self.name))
            if not callable(value) and value is not shared:
                check_setting(name, value, self.name)
        return replace(self, settings={**self.settings, **settings})

    def renamed(self, **names: str) -> Rule:
        """The same rule with some settings under other names (own name = new name)."""

        def fn(*arrays: Any, **settings: Any) -> Any:
            return self.fn(*arrays, **{own: settings.pop(new) for own, new in names.items()}, **settings)

        fn.__doc__ = self.fn.__doc__
        settings = {names.get(name, name): value for name, value in self.settings.items()}
        return replace(self, fn=fn, settings=settings)

    @property
    def doc(self) -> str:
        """The docstring, unindented: first line name, idea, authors, year, equation."""
        return inspect.cleandoc(self.fn.__doc__ or "")

    @property
    def title(self) -> str:
        return self.doc.partition("\n")[0]

    @property
    def dialect(self) -> str | None:
        """What differs from the paper or from torch, where the rule says so."""
        for paragraph in self.doc.split("\n\n")[1:]:
            if paragraph.startswith("Dialect:"):
                return " ".join(paragraph.removeprefix("Dialect:").split())
        return None

    @property
    def source(self) -> str:
        """The text of the rule as it stands in its file."""
        return textwrap.dedent(inspect.getsource(self.fn))

    def __deepcopy__(self, memo: dict[int, Any]) -> Rule:
        return self  # it never changes

    def __reduce__(self) -> Any:
        """By name: a rule that stands in a module, or a chain of such.

        Raises:
            PicklingError: it stands in none, as one made inside a function.
        """
        if self.stages:
            return _chained, (self.stages, self.settings)
        found = getattr(sys.modules.get(self.fn.__module__), self.fn.__name__, None)
        if not isinstance(found, Rule) or found.fn is not self.fn:
            raise pickle.PicklingError(
                f"the rule {self.name} is not at the top level of a module, where it could be found"
            )
        return _named, (self.fn.__module__, self.fn.__name__, self.settings)

    def _text(self) -> str:
        try:
            return "\n".join(stage.source for stage in self.stages or (self,)).rstrip()
        except (OSError, TypeError):
            return repr(self)

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.settings.items())
        return f"<rule {self.name}({settings})>"


@dataclass(frozen=True)
class Declared:
    """A rule without the values of its settings: what it does is the same for all of them."""

    fn: Callable[..., Any]
    name: str
    kind: str
    slots: tuple[Slot, ...]
    settings: tuple[str, ...]
    uses_t: bool
    rule: Rule = field(compare=False, repr=False)


def _named(module: str, name: str, settings: dict[str, Any]) -> Rule:
    found = getattr(importlib.import_module(module), name)
    return found if found.settings == settings else replace(found, settings=settings)


def _chained(stages: tuple[Rule, ...], settings: dict[str, Any]) -> Rule:
    return replace(chain(*stages), settings=settings)


def _parse(fn: Callable[..., Any], kind: str) -> Rule:
    leading = list(LEADING[kind])
    parameters = list(inspect.signature(fn).parameters.values())
    name = fn.__name__
    positional = [x for x in parameters if x.kind is x.POSITIONAL_OR_KEYWORD]
    if [x.name for x in positional[: len(leading)]] != leading:
        given = ", ".join(x.name for x in parameters)
        raise TypeError(f"{kind} {name} must begin with ({', '.join(leading)}, ...); it has ({given})")
    if any(x.kind in (x.VAR_POSITIONAL, x.VAR_KEYWORD, x.POSITIONAL_ONLY) for x in parameters):
        raise TypeError(f"{kind} {name}: the signature is the declaration; it takes no * or ** arguments")
    slots, settings, uses_t = [], {}, False
    for x in positional[len(leading) :]:
        if not isinstance(x.default, Init):
            shown = "t, the step, stands behind the *, without a default: (..., *, t)" if x.name == "t" else ""
            raise TypeError(
                f"{kind} {name}: {x.name} needs an initialiser to be state ({x.name}=zeros, from descend import zeros)"
                f", or must stand behind the * to be a setting (*, {x.name}=0.1). {shown}".rstrip()
            )
        slots.append(Slot(x.name, x.default))
        if [slot.saved_as for slot in slots].count(slots[-1].saved_as) > 1:
            raise TypeError(f"{kind} {name}: two slots would be saved as {slots[-1].saved_as!r}")
    for x in parameters:
        if x.kind is not x.KEYWORD_ONLY:
            continue
        if x.name == "t" and x.default is not x.empty:
            raise TypeError(f"{kind} {name}: t is the step, given by the optimizer; write t and not t={x.default!r}")
        if x.name == "t":
            uses_t = True
        elif x.default is shared:
            settings[x.name] = shared
        elif x.default is x.empty:
            raise TypeError(f"{kind} {name}: the setting {x.name} needs a default")
        elif isinstance(x.default, tuple | list | bool | str | None):
            way = "what is chosen once makes another rule next door"
            if isinstance(x.default, tuple | list):
                each = (f"{x.name.rstrip('s')}{i}={v!r}" for i, v in enumerate(x.default, 1))
                way = f"write each by itself: {', '.join(each)}"
            raise TypeError(f"{kind} {name}: a setting is one number, and {x.name} is {x.default!r}; {way}")
        else:
            check_setting(x.name, x.default, name)
            settings[x.name] = x.default
    return Rule(fn, name, tuple(slots), settings, kind, uses_t)


def rule(fn: Callable[..., Any] | None = None, **points: Any) -> Any:
    """A function ``(p, g, *state, *, t, **settings) -> (p, *state)`` becomes an update rule.

    Args:
        gradient_point: ``(p, *state, *, ...)``, naming the settings it needs: where the gradient must be
            taken. shipped_point: likewise, the point to evaluate and ship. vectors: another rule, for
            tensors with fewer than two dimensions.
    Raises:
        TypeError: the signature declares something that is neither state nor setting.
    """
    if fn is None:
        return lambda fn: replace(_parse(fn, "rule"), **points)
    return _parse(fn, "rule")


def before(fn: Callable[..., Any] | None = None, **points: Any) -> Any:
    """A modifier of the gradient: ``(p, g, *state, *, ...) -> (g, *state)``; used with ``chain``."""
    return _parse(fn, "before") if fn is not None else lambda fn: replace(_parse(fn, "before"), **points)


def after(fn: Callable[..., Any] | None = None, **points: Any) -> Any:
    """A modifier of the step from ``p`` to ``q``: ``(p, q, g, *state, *, ...) -> (q, *state)``."""
    return _parse(fn, "after") if fn is not None else lambda fn: replace(_parse(fn, "after"), **points)


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
