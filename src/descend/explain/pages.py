"""The pages of ``descend list`` and ``descend explain`` in the terminal."""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from .. import rules
from ..core.rule import Rule
from ..core.symbols import MEANING
from ..draw.terminal import Column, Table, wrapped
from . import advice, facts, relative, tree
from .by_hand import Step, by_hand, given, shown
from .cost import SIDE
from .formula.print import text
from .formula.read import formulas

EXPLAIN_WIDTH, LIST_WIDTH = 100, 140  # a page grows no wider than this


# descend list


def print_list(to: Console) -> None:
    """Every rule and modifier, by family; columns go where the terminal is narrow."""
    known = facts.catalogue()
    columns = (
        Column("rule"),
        Column("year", gives_way=1),
        Column("state", gives_way=4),
        Column("held", right=True, gives_way=2),
        Column("moved", right=True, gives_way=2),
        Column("engines", gives_way=5),
        Column("idea", gives_way=3),
    )
    body: list[list[str]] = []
    for family in rules.FAMILIES:
        members = [rule for name, rule in known.items() if rules.family_of(name) == family]
        body += [[family]] * bool(members) + [_row(rule) for rule in members]
    table = Table(columns, body, prose=True, style="cyan")
    to.print(table)
    to.print()
    bytes_shown = (
        "held, moved: bytes per parameter in float32, kept as state and read or written in a step; "
        f"where state counts rows and columns, of a {SIDE}×{SIDE} matrix. "
    )
    kept = table.fit(to.width)[0]
    for said in (table.hidden(to.width), bytes_shown * (3 in kept) + "More: descend explain NAME"):
        for line in textwrap.wrap(said, to.width):
            to.print(Text(line, style="dim"))


def _row(rule: Rule) -> list[str]:
    price = facts.cost(rule)
    return [
        f"  {rule.name}",
        str(facts.year(rule) or ""),
        ", ".join(facts.symbol(slot.name) for slot in rule.slots),
        str(price.held),
        "–" if price.moved is None else str(price.moved),
        " ".join(facts.engines(price)),
        facts.idea(rule),
    ]


# descend explain


def print_page(to: Console, rule: Rule, steps: int) -> None:
    """Everything about one rule, modifier or chain."""
    known = rule.name in facts.catalogue()
    place = f"{rules.family_of(rule.name)} family" if known else "chain"
    when = facts.year(rule)
    where = f"{place}{f', {when}' if when else ''}"
    between = "  " if cell_len(f"{rule.name}  {where}") <= to.width else "\n"
    to.print(Text.assemble((rule.name, "bold cyan"), between, (where, "dim")))
    if not rule.stages:
        for line in textwrap.wrap(facts.said(rule), to.width):
            to.print(line)
    _formulas(to, rule)
    _names(to, rule)
    _advice(to, rule)
    _heading(to, "Cost" if rule.kind == "rule" else "Cost, on top of the rule's own")
    _table(to, facts.cost_lines(rule))
    if origin := facts.origin_lines(rule):
        _heading(to, "Where it comes from")
        _table(to, origin)
    if kin := tree.family_lines(rule):
        _heading(to, "Family")
        _table(to, kin)
    _relative(to, rule)
    _by_hand(to, rule, steps)


def _heading(to: Console, title: str) -> None:
    to.print()
    to.print(Text(title, style="bold"))


def _table(to: Console, rows: Sequence[Sequence[str]]) -> None:
    to.print(Table([""] * len(rows[0]), rows, prose=True, indent=2, style="cyan"))


def _formulas(to: Console, rule: Rule) -> None:
    for part in formulas(rule):
        to.print()
        if rule.stages:
            to.print(Text(part.name, style="bold"))
        for line in text(part):
            _line(to, f"  {line}")


def _line(to: Console, line: str, style: str = "") -> None:
    for piece in wrapped(line, to.width):
        for part in Text(piece, style=style).wrap(to, to.width, overflow="fold"):
            part.rstrip()
            to.print(part)


def _names(to: Console, rule: Rule) -> None:
    used = set().union(*(facts.names_in(part) for part in formulas(rule)))
    for title, rows in (("State", facts.state_lines(rule)), ("Settings", facts.setting_lines(rule))):
        if rows:
            _heading(to, title)
            _table(to, rows)
    explained = [f"{name}: {MEANING[name]}" for name in ("p", "q", "g", "t", "shipped") if name in used]
    if any(name.endswith("_hat") for name in used):
        explained.append("with a hat: corrected for the start at zero")
    if any("ₐₗₗ" in line for line in facts.lines(rule)):
        explained.append("ₐₗₗ: over all parameters, not over one tensor")
    explained += facts.words(rule)
    if rule.vectors is not None:
        explained.append(f"tensors with fewer than two dimensions take {rule.vectors.name} instead")
    to.print()
    for line in textwrap.wrap("; ".join(explained), to.width - 2):
        to.print(Text(f"  {line}", style="dim"))


def _advice(to: Console, rule: Rule) -> None:
    for title, rows in advice.sections(rule):
        _heading(to, title)
        if rule.stages:
            _table(to, rows)
        else:
            for line in textwrap.wrap(rows[0][0], to.width - 2):
                to.print(f"  {line}")


def _relative(to: Console, rule: Rule) -> None:
    parent = tree.parent(rule)
    if parent is None:
        return
    _heading(to, f"Beside {parent.name}")
    for line in relative.difference(parent, rule):
        _line(to, f"  {line}", {"+": "green", "-": "red"}.get(line[0], "dim"))


def _by_hand(to: Console, rule: Rule, count: int) -> None:
    said = f"By hand: {given(rule, count)}"
    _heading(to, said if cell_len(said) <= to.width else said.replace(", g", ",\n  g").replace("; q", ";\n  q"))
    try:
        steps = by_hand(rule, count)
    except TypeError as error:
        to.print(f"  {error}.")
        return
    for value in steps[0].values:
        _line(to, f"  {value.symbol} ← {value.text} = {shown(value.value)}")
    if count > 1:
        _steps(to, steps)


def _steps(to: Console, steps: list[Step]) -> None:
    """One column per step, as many side by side as fit."""
    cells = [[str(s.t), shown(s.g), *(shown(v.value) for v in s.values)] for s in steps]
    labels = ["t", "g", *("new g" if v.name == "g" else v.symbol for v in steps[0].values)]
    first, each = max(map(cell_len, labels)), max(cell_len(cell) for column in cells for cell in column) + 3
    fit = (to.width - 2 - first) // each
    if fit == 0:  # matrices in a narrow terminal: line by line
        for column in cells:
            to.print()
            for label, cell in zip(labels, column, strict=True):
                _line(to, f"  {label} = {cell}")
        return
    for start in range(0, len(cells), fit):
        to.print()
        shown_now = cells[start : start + fit]
        for label, *row in zip(labels, *shown_now, strict=True):
            numbers = "".join(f"{cell:>{each - cell_len(cell) + len(cell)}}" for cell in row)
            to.print(Text.assemble("  ", (label, "cyan"), " " * (first - cell_len(label)), numbers))
