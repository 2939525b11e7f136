"""Blocks of Markdown, as the generated pages have them."""

from __future__ import annotations

from descend.core.rule import Rule
from descend.draw.terminal import wrapped
from descend.explain.by_hand import Step, given, shown
from descend.explain.formula.print import text
from descend.explain.formula.read import formulas

WIDTH = 100  # characters of a line of formula or arithmetic


def fence(language: str, lines: list[str]) -> str:
    """A block of lines, the long ones broken."""
    broken = [piece for line in lines for piece in wrapped(line, WIDTH)]
    return "\n".join([f"```{language}", *broken, "```"])


def table(head: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    """A table, if it has a row."""
    if not rows:
        return []
    lines = [head, ("---",) * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines)]


def formula(rule: Rule) -> str:
    """The lines of a rule as a formula."""
    return fence("text", [line for part in formulas(rule) for line in text(part)])


def steps(rule: Rule, taken: list[Step]) -> list[str]:
    """What the first steps compute, number by number: a sentence, and the lines."""
    lines = []
    for step in taken:
        lines += [f"step {step.t}, g = {shown(step.g)}"] * (len(taken) > 1)
        lines += [f"{value.symbol} ← {value.text} = {shown(value.value)}" for value in step.values]
    count = "One step" if len(taken) == 1 else f"{len(taken)} steps"
    return [f"{count} by hand, from {given(rule, len(taken))}:", fence("text", lines)]
