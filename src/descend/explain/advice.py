"""When to reach for a rule, and how it is known to fail: two lines each, read from ``advice.txt``."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ..core.rule import Rule


@dataclass(frozen=True)
class Advice:
    reach: str
    fails: str


@cache
def table() -> dict[str, Advice]:
    """Advice by the name of the rule or modifier.

    Raises:
        ValueError: an entry of the file is not a name, a line that starts with ``+``, and one with ``-``.
    """
    found: dict[str, Advice] = {}
    text = files("descend.explain").joinpath("advice.txt").read_text(encoding="utf-8")
    for entry in text.split("\n\n"):
        lines = [line for line in entry.splitlines() if line and not line.startswith("#")]
        if not lines:
            continue
        if [line[:2] for line in lines[1:]] != ["+ ", "- "] or lines[0] in found:
            raise ValueError(f"advice.txt: {lines[0]!r} needs one line with +, one with -, and one entry")
        found[lines[0]] = Advice(lines[1][2:], lines[2][2:])
    return found


REACH, FAILS = "When to reach for it", "Known failure modes"


def sections(rule: Rule) -> list[tuple[str, list[list[str]]]]:
    """Titles with their lines; in a chain each line begins with its stage. Nothing for a rule of your own."""
    known = [(stage.name, table()[stage.name]) for stage in rule.stages or (rule,) if stage.name in table()]
    lines = {REACH: [[n, a.reach] for n, a in known], FAILS: [[n, a.fails] for n, a in known]}
    return [(title, rows if rule.stages else [row[1:] for row in rows]) for title, rows in lines.items() if rows]
