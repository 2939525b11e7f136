"""A parameter group with schedules: every setting reads as a number, and the schedules stand beside the numbers.

Trainers, loggers and checkpoints read ``group["lr"]`` as a float, so it is one: what the next step will use. A group
without schedules is a plain dictionary, for Dynamo knows no other where compiled code reads ``param_groups``.
"""

import sys
import warnings
import weakref
from collections.abc import Mapping
from typing import Any

from ...schedules.schedule import Schedule
from ..step.owner import Owner

Places = dict[int, Any]
"""By place in the tuple of a setting such as ``betas``; a setting that is no tuple has place 0."""

_SCHEDULERS = "torch.optim.lr_scheduler"


class Group(dict):
    """One group of an optimizer of ``descend.torch`` that has followed a schedule.

    A schedule that is assigned to a setting is followed from then on; a number ends it. The very number that was read
    is no new setting when it is put back: checkpoint code sets a rate of 0 for a moment, and restores what it found.
    What a scheduler of torch writes over a schedule is not taken, and a warning says so.

    Attributes:
        schedules: setting -> place -> the schedule followed there.
        origin: the plain dictionary that stood here before a schedule came, which others may hold: both say the same.
    """

    def __init__(self, content: Mapping[str, Any], owner: Owner | None = None, step: int | None = None) -> None:
        super().__init__()
        self.origin: dict[str, Any] | None = None
        self._mirrored: dict[str, Any] = {}
        self.schedules: dict[str, Places] = {}
        self._known: dict[str, Places] = {}  # those that a number has ended, too
        self._shown: dict[str, Places] = {}  # the numbers last written for them
        self._loaded: dict[str, Places] = {}  # numbers of a checkpoint that somebody else has loaded
        self._step = -1  # that they were written for
        self._warned = False
        self._owner: weakref.ref[Owner] | None = None
        self._belong(owner)
        for name, value in given(content).items():
            self._put(name, value, owner.steps if step is None and owner is not None else step or 0)

    def _belong(self, owner: Owner | None) -> None:
        self._owner = None if owner is None else weakref.ref(owner)

    def _optimizer(self) -> Owner | None:
        return None if self._owner is None else self._owner()

    def given(self) -> dict[str, Any]:
        """A plain dictionary with the schedules where they were given."""
        made = dict(self)
        for name, places in self.schedules.items():
            value = self[name]
            made[name] = _with(value, places)
        return made

    def follow(self, step: int) -> None:
        """Write what the schedules say of a step, from 0.

        Raises:
            Exception: what a schedule raises; TypeError, ValueError: a value not admitted. Nothing is written then.
        """
        owner = self._optimizer()
        if owner is None:
            return
        if self.origin is not None:
            self.update({k: v for k, v in self.origin.items() if v is not self._mirrored.get(k)})
        if step != self._step or not all(map(_fixed, self.schedules.values())):
            self._write(owner, step)
        if self.origin is not None:
            self.origin.update(self)
            self._mirrored = dict(self)

    def _write(self, owner: Owner, step: int) -> None:
        now = {name: owner.spec.at(name, places, step) for name, places in self.schedules.items()}
        for name, numbers in now.items():
            self._shown[name].update(numbers)
            super().__setitem__(name, _with(self[name], numbers))
        self._step = step

    # ---------------------------------------------------------------- writing

    def __setitem__(self, name: str, value: Any) -> None:
        owner = self._optimizer()
        self._put(name, value, 0 if owner is None else owner.steps)

    def _put(self, name: str, value: Any, step: int) -> None:
        owner = self._optimizer()
        if owner is not None and name in owner.spec.settings and value is not self.get(name):
            value = self._taken(owner, name, value, step)
        super().__setitem__(name, value)

    def _taken(self, owner: Owner, name: str, value: Any, step: int) -> Any:
        """The numbers to keep under a name; schedules among the given values go beside them."""
        parts = dict(enumerate(value)) if isinstance(value, tuple | list) else {0: value}
        before, known, shown = (held.get(name, {}) for held in (self.schedules, self._known, self._shown))
        loaded = self._loaded.get(name, {})
        fresh = {i: part for i, part in parts.items() if callable(part)}
        again = {i: known[i] for i, part in parts.items() if i in known and (part is shown[i] or part is loaded.get(i))}
        now = {**again, **fresh}
        if not now and not before:
            return value
        if not set(before) <= set(now):
            if _written_by_load():
                self._loaded[name] = parts
                return self[name]
            if _written_by_scheduler():
                self.warn(name, NOT_TAKEN)
                return self[name]
            if f"initial_{name}" in self and value != 0:  # which is only held for a moment, by checkpoint code
                self.warn(name, ENDED)
        numbers = {**{i: shown[i] for i in again}, **owner.spec.at(name, fresh, step)}
        self._known[name], self._shown[name] = {**known, **fresh}, {**shown, **numbers}
        self.schedules[name] = now
        if not now:
            del self.schedules[name]
        elif again.keys() - before.keys():
            self._step = -1  # what is followed again was written for an earlier step
        owner._said_anew()
        return _with(value, numbers)

    def warn(self, name: str, words: str) -> None:
        """Of two that set one rate, once."""
        if not self._warned:
            self._warned = True
            warnings.warn(words.format(name=name), stacklevel=6)

    def forget(self, name: str) -> None:
        """Follow no schedule there, and know of none; the number stays."""
        for held in (self.schedules, self._known, self._shown, self._loaded):
            held.pop(name, None)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.forget(name)

    def pop(self, name: str, *default: Any) -> Any:
        found = super().pop(name, *default)
        self.forget(name)
        return found

    def popitem(self) -> tuple[str, Any]:
        name, value = super().popitem()
        self.forget(name)
        return name, value

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    # ---------------------------------------------------------------- copies

    def __reduce__(self) -> Any:
        return _again, (dict(self), self.schedules, self._step)


def _again(content: dict[str, Any], schedules: dict[str, Places], step: int) -> Group:
    """A copied or pickled group; what it belongs to is for its optimizer to say."""
    made = Group(content)
    made.schedules, made._step = schedules, step
    made._known = {name: dict(places) for name, places in schedules.items()}
    for name, places in schedules.items():
        value = made[name]
        made._shown[name] = {i: value[i] if isinstance(value, tuple | list) else value for i in places}
    return made


def given(group: Mapping[str, Any]) -> Mapping[str, Any]:
    """A group as it was given: with schedules in the place of numbers; of torch's optimizers, the group itself."""
    return group.given() if isinstance(group, Group) else group


def of(content: Mapping[str, Any], owner: Owner, step: int | None = None) -> dict[str, Any]:
    """A group of an optimizer, which is at ``step``: a copy of the content, or a group of a pickle itself."""
    if isinstance(content, Group) and content._owner is None:
        content._belong(owner)
        return content
    return Group(content, owner, step) if _scheduled(given(content), owner) else dict(content)


def taken_up(group: dict[str, Any], owner: Owner) -> dict[str, Any]:
    """The group itself, or what stands for it now that it holds a schedule."""
    if isinstance(group, Group) or not _scheduled(group, owner):
        return group
    made = Group(group, owner)
    made.origin, made._mirrored = group, dict(group)
    return made


def _scheduled(group: Mapping[str, Any], owner: Owner) -> bool:
    values = map(group.get, owner.spec.settings)
    return any(callable(v) or (isinstance(v, tuple | list) and any(map(callable, v))) for v in values)


def _with(value: Any, places: Places) -> Any:
    if isinstance(value, tuple | list):
        return tuple(places.get(i, part) for i, part in enumerate(value))
    return places.get(0, value)


def _fixed(places: Places) -> bool:
    """Whether the values depend on the step alone: a plateau's, or those of a function, may change in between."""
    return all(isinstance(s, Schedule) and next(s.plateaus(), None) is None for s in places.values())


def _written_by_scheduler() -> bool:
    """Whether one of torch's schedulers is assigning: all of them do so in their own module."""
    return sys._getframe(4).f_globals.get("__name__") == _SCHEDULERS


def _written_by_load() -> bool:
    """Whether ZeroRedundancyOptimizer loads a checkpoint: the schedules are the program's, as where we load one."""
    frame = sys._getframe(4)
    return frame.f_code.co_name == "_sync_param_groups" and frame.f_back.f_code.co_name == "load_state_dict"  # type: ignore[union-attr]


NOT_TAKEN = (
    "a scheduler of torch is attached, and {name} is a schedule already: the schedule is followed, and what the "
    "scheduler writes is not taken. Trainers attach one of their own; to follow that one give {name} a number"
)
ENDED = (
    "{name} was a schedule, and a scheduler has written a number over it: the schedule has ended. Give {name} a "
    "number, or detach the scheduler"
)
