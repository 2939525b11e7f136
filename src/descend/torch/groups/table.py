"""The table of parameter groups: what went where, and why."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from rich.console import RenderableType
from rich.padding import Padding

from ...core.settings import is_number
from ...core.shown import Shown
from ...draw import terminal

Why = Mapping[str, tuple[str, tuple[str, ...]]]  # name -> why it does not decay, why its rate differs
Held = tuple[str, str, tuple[str, ...]]  # the same with the name
WIDE = 80


class Groups(list[dict[str, Any]], Shown):
    """The groups; ``print`` of them is the table of what went where, and why.

    Args:
        why: name of a parameter -> why it does not decay, why its rate differs. frozen: name -> why it is in no group.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], why: Why, frozen: Mapping[str, str]) -> None:
        super().__init__(groups)
        self._why, self._frozen = why, frozen

    def show(self, each: bool = False) -> None:
        """Print the table; ``each``: with a row for each parameter."""
        terminal.show(*_parts(self, self._why, self._frozen, each, terminal.console().width))

    def __str__(self) -> str:
        return terminal.text(*_parts(self, self._why, self._frozen, False, 100))


def _members(group: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Name and tensor of each parameter, also after an optimizer has put the names aside."""
    params = group.get("params", ())
    if not isinstance(params, list | tuple):  # a generator is left to whom it is meant for
        params = [params] if isinstance(params, torch.Tensor) else []
    names = group.get("param_names") or [""] * len(params)
    return [p if isinstance(p, tuple) else (name, p) for name, p in zip(names, params, strict=False)]


def _parts(
    groups: Sequence[Mapping[str, Any]], why: Why, frozen: Mapping[str, str], each: bool, width: int
) -> Iterator[RenderableType]:
    """A row for each group, or each parameter, and for what is frozen."""
    rows = []
    for i, group in enumerate(groups):
        members = _members(group)
        for part in [[one] for one in members] if each else [members]:
            some = [(name, *why.get(name, ("", ()))) for name, _ in part]
            names = [name for name, _ in part]
            count = sum(p.numel() for _, p in part)
            numbers = [str(i), _rate(group.get("lr")), _rate(group.get("weight_decay")), str(len(names)), f"{count:,}"]
            rows.append(([*numbers], _why(some), _which(names)))
    for reason in dict.fromkeys(frozen.values()):
        names = [name for name in frozen if frozen[name] == reason]
        rows.append((["–", "", "", str(len(names)), ""], reason, _which(names)))
    names = ("group", "lr", "decay", "tensors", "numbers")
    if width >= WIDE:
        lines = [[*numbers, f"{reason}\n{which}" if reason else which] for numbers, reason, which in rows]
        yield terminal.Table((*names, "what and why"), lines, right=names, prose=True)
        return
    for numbers, reason, which in rows:
        shown = [f"{name} {value}" for name, value in zip(names, numbers, strict=True) if value]
        yield "  ".join(shown)
        yield from (Padding(line, (0, 0, 0, 2)) for line in (reason, which) if line)


def _rate(value: Any) -> str:
    """A number, short; a schedule by its name; nothing where the class decides."""
    if value is None:
        return ""
    return f"{float(value):.3g}" if is_number(value) else "schedule"


def _why(held: Sequence[Held]) -> str:
    spared = Counter(reason for _, reason, _ in held if reason)
    parts = []
    if spared:
        each = ", ".join(f"{n} {reason}" if len(held) > 1 else reason for reason, n in spared.items())
        parts.append(f"no decay: {each}")
    parts += dict.fromkeys("; ".join(why) for _, _, why in held if why)
    return " · ".join(parts)


def _which(names: Sequence[str]) -> str:
    """The first and the last name, what they have in common once: ``layer.0: attention.bias … output.bias``."""
    if not names:
        return ""
    first, last = names[0].split("."), names[-1].split(".")
    if len(names) == 1:
        return names[0]
    same = 0
    while same < min(len(first), len(last)) - 1 and first[same] == last[same]:
        same += 1
    shown = (
        f"{'.'.join(first[same:])} … {'.'.join(last[same:])}"
        if len(names) > 2
        else (f"{'.'.join(first[same:])}, {'.'.join(last[same:])}")
    )
    return f"{'.'.join(first[:same])}: {shown}" if same else shown
