"""``descend list --compare``: which other libraries have a rule, and under what name."""

from __future__ import annotations

import ast
import functools
import json
import textwrap
from importlib.resources import files
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from .. import rules
from ..draw.terminal import ROOM

WIDTH = 120  # the page grows no wider than this
LEFT = 29  # columns for the name of a rule
DIFFERS = "≠ "
SPELLED = {"heavyball": "HeavyBall"}  # where the name of a library is not that of its package


@functools.cache
def data() -> dict[str, Any]:
    """``versions`` of the libraries, which of them are ``compared`` in the tests, and their names for ``rules``."""
    return json.loads(files("descend.explain").joinpath("peers.json").read_text(encoding="utf-8"))


def names() -> list[str]:
    """The rules and modifiers of the catalogue; what the data leaves out, no other library has."""
    return [*rules.all(), *rules.modifiers()]


def entry(name: str) -> dict[str, dict[str, str | None]]:
    """Library -> ``call``, how it is called there, and ``differs``, what it computes otherwise (or None).

    A call is Python: a dotted name inside the package, and the arguments that make it this rule. A name among
    these arguments is a setting of the rule here; settings of the same name are passed on without a word.
    """
    return {
        peer: {"call": said, "differs": None} if isinstance(said, str) else said
        for peer, said in data()["rules"].get(name, {}).items()
    }


def as_rows() -> list[dict[str, Any]]:
    """Everything in plain types, ready for JSON."""
    kinds = {name: rule.kind for name, rule in {**rules.all(), **rules.modifiers()}.items()}
    return [{"name": name, "kind": kinds[name], "peers": entry(name)} for name in kinds]


def shown(peer: str, call: str) -> str:
    """A call as one word; without its arguments where all they do is to translate names of settings."""
    node = ast.parse(call, mode="eval").body
    if isinstance(node, ast.Call) and not node.args and all(_names_in(k.value) for k in node.keywords):
        node = node.func
    return f"{SPELLED.get(peer, peer)}.{ast.unparse(node).replace(' ', '')}"


def _names_in(value: ast.expr) -> bool:
    return any(isinstance(part, ast.Name) for part in ast.walk(value))


def words(name: str) -> list[str]:
    """The libraries that have a rule: one word each, marked where the numbers differ."""
    return [DIFFERS * bool(said["differs"]) + shown(peer, said["call"] or "") for peer, said in entry(name).items()]


def print_compare(to: Console) -> None:
    """Rules by family, and beside each, or below it, where else it is found."""
    below = to.width < LEFT + ROOM + 16
    left = 6 if below else LEFT
    for family in rules.FAMILIES:
        members = [name for name in names() if rules.family_of(name) == family]
        to.print(Text(family, style="bold"))
        for name in members:
            lines = _filled(words(name) or ["–"], to.width - left)
            first = Text(f"  {name}", style="cyan")
            if not below:
                first.append(f"{' ' * (left - 2 - cell_len(name))}{lines.pop(0)}", style="default")
            to.print(first, no_wrap=True, overflow="ignore", crop=False)
            for line in lines:
                to.print(Text(" " * left + line))
        to.print()
    compared = ", ".join(f"{peer} {data()['versions'][peer]}" for peer in data()["compared"])
    named = ", ".join(
        f"{SPELLED.get(peer, peer)} {version}"
        for peer, version in data()["versions"].items()
        if peer not in data()["compared"]
    )
    for sentence in (
        f"Checked number by number, 100 steps: {compared}.",
        f"By name only: {named}.",
        f"{DIFFERS.strip()}: computes something else; `descend list --compare --json` says what.",
    ):
        for line in textwrap.wrap(sentence, to.width):
            to.print(Text(line, style="dim"))


def _filled(parts: list[str], width: int) -> list[str]:
    """Words on as few lines as fit, none broken that fits on a line alone."""
    lines = [""]
    for part in parts:
        joined = f"{lines[-1]}  {part}" if lines[-1] else part
        if lines[-1] and cell_len(joined) > width:
            lines.append(part)
        else:
            lines[-1] = joined
    return [piece for line in lines for piece in _broken(line, width)]


def _broken(line: str, width: int) -> list[str]:
    """A word that fits on no line, broken behind a comma or a parenthesis."""
    if cell_len(line) <= width:
        return [line]
    at = max((i + 1 for i, sign in enumerate(line[:width]) if sign in ",(."), default=width)
    return [line[:at], *_broken("  " + line[at:], width)]
