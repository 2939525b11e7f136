"""What a switch will do, as a page to read before it is done."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...core.shown import Shown
from ...draw import terminal

WIDE = 70


@dataclass
class SwitchPlan(Shown):
    """What ``switch(..., plan=True)`` returns; ``str()`` of it is the page, ``.text(width)`` for another width.

    Attributes:
        source, target: names of the classes. rules: of the rules, before and after, where they differ by group all.
        state: (slot, what happens, from where and why, tensors) of each slot of the next rule.
        left: (slot of the last rule, tensors) that nobody takes over.
        settings: (setting, value, where from), with the groups in front where they differ.
        notes: sentences about the step count, points and schedulers.
    """

    source: str
    target: str
    rules: tuple[str, str]
    state: list[tuple[str, str, str, int]] = field(default_factory=list)
    left: list[tuple[str, int]] = field(default_factory=list)
    settings: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def _parts(self, width: int) -> Iterable[Any]:
        yield f"{self.source} ({self.rules[0]}) → {self.target} ({self.rules[1]})"
        rows = [(name, action, str(count), why) for name, action, why, count in self.state]
        rows += [(name, "left", str(count), f"{self.target} has no use for it") for name, count in self.left]
        if rows:
            yield ""
            if width >= WIDE:
                yield terminal.Table(("state", "", "tensors", "how"), rows, right=("tensors",), prose=True)
            else:
                yield from (f"{name} {action} ({count}){why and f': {why}'}" for name, action, count, why in rows)
        yield ""
        if width >= WIDE:
            yield terminal.Table(("setting", "value", "from"), self.settings, prose=True)
        else:
            yield from (f"{name} = {value} ({why})" for name, value, why in self.settings)
        if self.notes:
            yield ""
            yield from self.notes

    def text(self, width: int = 100) -> str:
        """The page as plain text, in lines of at most ``width`` characters."""
        return terminal.text(*self._parts(width), width=width)

    def show(self) -> None:
        """Print it as wide as the terminal is."""
        terminal.show(*self._parts(terminal.console().width))

    def __str__(self) -> str:
        return self.text()
