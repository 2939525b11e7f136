"""The table of parameter groups: what went where, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.padding import Padding

from . import tables

Held = tuple[str, str, tuple[str, ...]]  # name, why it does not decay, why its rate differs
WIDE = 80


def show_groups(
    groups: Sequence[Mapping[str, Any]], held: Sequence[Sequence[Held]], frozen: Mapping[str, str], show: bool | str
) -> None:
    """Print the groups and what is frozen: a row each, or with ``show="all"`` a row for each parameter.

    Args:
        held: of each group, its parameters. frozen: name -> why it is in no group.
    """
    rows = []
    for i, (group, inside) in enumerate(zip(groups, held, strict=True)):
        elements = {name: p.numel() for name, p in group["params"]}
        for some in [[one] for one in inside] if show == "all" else [inside]:
            names = [name for name, _, _ in some]
            count = sum(elements[name] for name in names)
            numbers = [str(i), _rate(group.get("lr")), _rate(group.get("weight_decay")), str(len(names)), f"{count:,}"]
            rows.append(([*numbers], _why(some), _which(names)))
    for why in dict.fromkeys(frozen.values()):
        names = [name for name in frozen if frozen[name] == why]
        rows.append((["–", "", "", str(len(names)), ""], why, _which(names)))
    names = ("group", "lr", "decay", "tensors", "numbers")
    if tables.width() >= WIDE:
        lines = [[*numbers, f"{why}\n{which}" if why else which] for numbers, why, which in rows]
        tables.show(tables.table((*names, "what and why"), lines, right=names))
        return
    for numbers, why, which in rows:
        shown = [f"{name} {value}" for name, value in zip(names, numbers, strict=True) if value]
        tables.show("  ".join(shown), *[Padding(line, (0, 0, 0, 2)) for line in (why, which) if line])


def _rate(value: Any) -> str:
    """A number, short; a schedule by its name; nothing where the class decides."""
    if value is None:
        return ""
    return f"{float(value):.3g}" if hasattr(value, "__float__") else "schedule"


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
