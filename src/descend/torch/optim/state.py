"""The ``state`` of an optimizer: torch's dictionaries, which also notice when somebody writes to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from ...core.untraced import untraced


def _noticing(base: type, name: str) -> Callable[..., Any]:
    """``base.name``, which marks the state as changed first."""
    original = getattr(base, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.mark()
        return original(self, *args, **kwargs)

    method.__name__ = name
    return method


@untraced
class State(defaultdict):
    """``state[p][name]``. ``changed`` is set by every write, so that no plan works on old pointers.

    ``exposed``: somebody besides the optimizer may hold its tensors, and move them in place.
    """

    def __init__(self, content: Any = ()) -> None:
        super().__init__(None)
        self.changed = True
        self.exposed = False
        self.update(content)

    def mark(self) -> None:
        self.changed = True

    def __missing__(self, key: Any) -> Any:
        self[key] = {}
        return self[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.changed = True
        super().__setitem__(key, _Slots(self, value) if isinstance(value, dict) else value)

    __delitem__ = _noticing(dict, "__delitem__")
    pop = _noticing(dict, "pop")
    popitem = _noticing(dict, "popitem")
    clear = _noticing(dict, "clear")

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def keep(self, p: Any, values: dict[str, Any]) -> None:
        """The optimizer's own writing: into the dictionary that is there, which others may hold."""
        if p in self:
            dict.update(self[p], values)
        else:
            self[p] = values

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __reduce__(self) -> Any:
        return State, ({key: dict(value) if isinstance(value, dict) else value for key, value in self.items()},)


@untraced
class _Slots(dict):
    """The state of one parameter."""

    __slots__ = ("_state",)

    def __init__(self, state: State, content: dict[str, Any]) -> None:
        super().__init__(content)
        self._state = state

    def mark(self) -> None:
        self._state.changed = True

    __setitem__ = _noticing(dict, "__setitem__")
    __delitem__ = _noticing(dict, "__delitem__")
    pop = _noticing(dict, "pop")
    popitem = _noticing(dict, "popitem")
    clear = _noticing(dict, "clear")
    update = _noticing(dict, "update")
    setdefault = _noticing(dict, "setdefault")
    __ior__ = _noticing(dict, "__ior__")

    def __reduce__(self) -> Any:
        return dict, (dict(self),)
