"""``@rule``: the signature of a function becomes its state, its settings and its name.

    @rule
    def lion(p, g, m=zeros, *, t, lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0): ...

positional with an initialiser = a state slot; keyword-only with a number = a setting with its
default; ``t`` = the step, counted from 1. The function returns the new ``p`` and the new value of
each slot, in the order of the signature.
"""

from __future__ import annotations

import inspect
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Init:
    """How a state slot begins, how large it is, and its name in checkpoints.

    ``fill`` is a number, the name of a setting, ``"p"`` (a copy of the parameters) or ``"g"`` (a copy
    of the first gradient). ``shape`` is ``"element"`` (like the parameters), ``"tensor"`` or ``"all"`` (one
    number per tensor, or for all parameters), ``"row"`` or ``"column"`` (what a reduction over them
    leaves), ``"left"`` or ``"right"`` (a square matrix that multiplies from there, ``fill`` times the
    identity). ``zeros("exp_avg")`` is ``zeros``, saved as ``exp_avg``.
    """

    fill: float | str = 0.0
    shape: str = "element"
    saved_as: str | None = None

    def __call__(self, saved_as: str) -> Init:
        return replace(self, saved_as=saved_as)

    @property
    def is_number(self) -> bool:
        return self.shape in ("tensor", "all")

    def shape_for(self, p: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the state of a parameter of shape ``p``."""
        if self.is_number:
            return ()
        first, rest = (p[0], math.prod(p[1:])) if p else (1, 1)
        shapes = {"element": p, "row": (*p[:-1], 1), "column": (*p[:-2], 1, *p[-1:])}
        return (shapes | {"left": (first, first), "right": (rest, rest)})[self.shape]


# Any: a type checker must not take the default of a slot for the type of its value.
zeros: Any = Init(0.0)
ones: Any = Init(1.0)
start: Any = Init("p")
first_gradient: Any = Init("g")
number: Any = Init(0.0, shape="tensor")
common: Any = Init(0.0, shape="all")


def full(fill: float | str, shape: str = "element") -> Any:
    """A slot that begins at a number, or at the value of the setting of that name."""
    return Init(fill, shape)


class _Shared:
    def __repr__(self) -> str:
        return "shared"


shared: Any = _Shared()
"""Default of a modifier's setting that it takes over from the rule it is chained with."""


@dataclass(frozen=True)
class Slot:
    name: str
    init: Init

    @property
    def saved_as(self) -> str:
        """The name of this state in checkpoints: torch's where torch has it."""
        return self.init.saved_as or self.name


# A setting is checked by its name, because a name means the same in every rule.
_HALF_OPEN = ("beta", "beta1", "beta2", "beta3", "rho", "decay")
_ANY_SIGN = ("dampening", "lr_power", "alpha_offset", "gamma", "nu")


def check_setting(name: str, value: Any, of: str = "rule") -> float:
    """``value`` as a number if the setting ``name`` admits it.

    Raises:
        TypeError: it is no real number. ValueError: it is NaN, infinite or outside its interval.
    """
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"{of}: {name} must be a number or a schedule, got {value!r}")
    x = float(value)
    if math.isnan(x) or (math.isinf(x) and name not in ("step_max", "max_norm", "clip_norm")):
        raise ValueError(f"{of}: {name} must be finite, got {x}")
    if name.removeprefix("ema_") in _HALF_OPEN and not 0 <= x < 1:
        raise ValueError(f"{of}: {name} must be in [0, 1), got {x}")
    if name not in _ANY_SIGN and x < 0:
        raise ValueError(f"{of}: {name} must not be negative, got {x}")
    return x


def unknown_setting(name: str, valid: Any, of: str) -> str:
    """One sentence that names the unknown setting, the nearest valid one, and all of them."""
    import difflib  # 10 ms to import, needed for a mistake only

    near = difflib.get_close_matches(name, list(valid), 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{of} has no setting {name!r}.{hint} It has: {', '.join(valid)}."


@dataclass(frozen=True, eq=False)
class Rule:
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

    def apply(self, *arrays: Any, t: Any, **settings: Any) -> tuple[Any, ...]:
        """Run the rule's function; always a tuple of the new ``p`` (or ``g``) and the new state.

        Raises:
            TypeError: the function returned more or fewer values than its signature has.
        """
        returned = self.fn(*arrays, t=t, **settings) if self.uses_t else self.fn(*arrays, **settings)
        values = returned if isinstance(returned, tuple) else (returned,)
        if len(values) != 1 + len(self.slots):
            first = {"rule": "p", "before": "g", "after": "q"}[self.kind]
            expected = ", ".join([first, *(slot.name for slot in self.slots)])
            raise TypeError(f"{self.name} must return ({expected}); it returned {len(values)} values")
        return values

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

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.settings.items())
        return f"<rule {self.name}({settings})>"


def _parse(fn: Callable[..., Any], kind: str) -> Rule:
    leading = {"rule": ["p", "g"], "before": ["p", "g"], "after": ["p", "q", "g"]}[kind]
    parameters = list(inspect.signature(fn).parameters.values())
    name = fn.__name__
    positional = [x for x in parameters if x.kind is x.POSITIONAL_OR_KEYWORD]
    if [x.name for x in positional[: len(leading)]] != leading:
        raise TypeError(f"{kind} {name} must begin with ({', '.join(leading)}, ...)")
    if any(x.kind in (x.VAR_POSITIONAL, x.VAR_KEYWORD, x.POSITIONAL_ONLY) for x in parameters):
        raise TypeError(f"{kind} {name}: the signature is the declaration; it takes no * or ** arguments")
    slots, settings, uses_t = [], {}, False
    for x in positional[len(leading) :]:
        if not isinstance(x.default, Init):
            raise TypeError(
                f"{kind} {name}: {x.name} needs an initialiser to be state ({x.name}=zeros), "
                f"or must stand behind the * to be a setting"
            )
        slots.append(Slot(x.name, x.default))
    for x in parameters:
        if x.kind is not x.KEYWORD_ONLY:
            continue
        if x.name == "t":
            uses_t = True
        elif x.default is shared:
            settings[x.name] = shared
        elif x.default is x.empty:
            raise TypeError(f"{kind} {name}: the setting {x.name} needs a default")
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


def before(fn: Callable[..., Any]) -> Rule:
    """A modifier of the gradient: ``(p, g, *state, *, ...) -> (g, *state)``; used with ``chain``."""
    return _parse(fn, "before")


def after(fn: Callable[..., Any]) -> Rule:
    """A modifier of the step from ``p`` to ``q``: ``(p, q, g, *state, *, ...) -> (q, *state)``."""
    return _parse(fn, "after")
