"""``descend list --compare``: which other libraries have a rule, and under what name."""

import ast
import functools
import json
import textwrap
from importlib.resources import files
from typing import Any

from rich.console import Console
from rich.text import Text

from .. import rules
from ..draw.terminal import Table

WIDTH = 120  # the page grows no wider than this
DIFFERS, KEPT = "≠ ", "≠\N{NO-BREAK SPACE}"  # the second where a line may break
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
    body: list[list[str]] = []
    for family in rules.FAMILIES:
        members = [name for name in names() if rules.family_of(name) == family]
        body += [[family], *([f"  {name}", "  ".join(words(name)).replace(DIFFERS, KEPT) or "–"] for name in members)]
    to.print(Table(("", ""), body, prose=True, style="cyan"))
    to.print()
    compared, known = data()["compared"], data()["versions"].items()
    checked, named = ([f"{SPELLED.get(p, p)} {v}" for p, v in known if (p in compared) == so] for so in (True, False))
    for sentence in (
        f"Checked number by number, 100 steps: {', '.join(checked)}.",
        f"By name only: {', '.join(named)}.",
        f"{DIFFERS.strip()}: computes something else; `descend list --compare --json` says what.",
    ):
        for line in textwrap.wrap(sentence, to.width):
            to.print(Text(line, style="dim"))
