"""The whole map: every rule on every problem, in processes; as text, as a page, as JSON."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from html import escape
from multiprocessing import get_context
from pathlib import Path

from ...core.jsonable import jsonable
from ...core.rule import Rule
from ...core.shown import Shown
from ...draw import page, terminal
from .problem import PROBLEMS
from .running import RATES, Cell, cells

STYLE = """
.map td, .map th { padding: .15em .3em; border: 0; text-align: center; font-size: .78rem; }
.map th { text-align: left; white-space: nowrap; } .map thead th { height: 9.5em; vertical-align: bottom; }
.map thead span { writing-mode: vertical-rl; transform: rotate(180deg); }
.map td.no { background: var(--ink); color: var(--paper); }
.map td { background: color-mix(in srgb, var(--s0) calc(var(--w) * 13%), var(--paper)); min-width: 2em; }
"""


@dataclass
class Atlas(Shown):
    """The cells by (problem, rule), and what could not be asked: rule -> why."""

    rules: list[str]
    seed: int = 0
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> list[str]:
        """The rules that have every cell, those that solve most first."""
        whole = [r for r in self.rules if all((p, r) in self.cells for p in PROBLEMS)]
        return sorted(whole, key=lambda r: (-self.score(r), self.rules.index(r)))

    def score(self, rule: str) -> int:
        """How many problems it solves."""
        return sum(self.cells[p, rule].solved for p in PROBLEMS if (p, rule) in self.cells)

    def take(self, found: Cell | tuple[str, str]) -> None:
        """Enter a cell, or why a rule has none."""
        if isinstance(found, Cell):
            self.cells[found.problem, found.rule] = found
        else:
            self.refused[found[0]] = found[1]

    def breaks(self, rule: str) -> list[str]:
        """The problems that a rule does not solve at any rate."""
        return [p for p in PROBLEMS if (p, rule) in self.cells and not self.cells[p, rule].solved]

    def to_json(self) -> str:
        found = [{**asdict(c), "solved": c.solved, "width": c.width} for c in self.cells.values()]
        about = [{"name": p.name, "group": p.group, "within": p.within, "shows": p.shows} for p in PROBLEMS.values()]
        return json.dumps(
            jsonable({"seed": self.seed, "rates": RATES, "problems": about, "refused": self.refused, "cells": found}),
            allow_nan=False,
        )

    def __str__(self) -> str:
        lines = [
            (rule, f"{self.score(rule)} of {len(PROBLEMS)}", ", ".join(self.breaks(rule)) or "nothing here")
            for rule in self.asked
        ]
        parts = [terminal.Table(("rule", "solves", "is broken by"), lines, right=("solves",), prose=True)]
        said = [f"{rule}: {why}" for rule, why in self.refused.items()]
        return terminal.text(*parts, *([""] if said else []), *said).rstrip("\n")

    def to_html(self) -> str:
        """The map as a page: a row a problem, a column a rule, no script, no request."""
        names = self.asked
        head = "".join(f'<th scope="col"><span>{escape(r)}</span></th>' for r in names)
        body, group = [], ""
        for p in PROBLEMS.values():
            if p.group != group:
                group = p.group
                body.append(f'<tr><th colspan="{len(names) + 1}"><b>{escape(group)}</b></th></tr>')
            marks = "".join(_mark(self.cells[p.name, r]) for r in names)
            body.append(f'<tr><th scope="row" title="{escape(p.shows)}">{escape(p.name)}</th>{marks}</tr>')
        about = [(p.name, p.group, f"{p.within:g}", p.shows) for p in PROBLEMS.values()]
        grid = f'<table class="map"><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
        sentences = [
            "A number is how many decades of learning rates solve the problem, of six and a half; a dark cell is a "
            "problem that no rate solves.",
            *(f"{rule} was not asked: {why}" for rule, why in self.refused.items()),
        ]
        evidence = [
            page.scroll(grid, "rules on problems"),
            "<h2>The problems</h2>",
            page.table(about, ("problem", "about", "solved within", "what it shows")),
        ]
        method = [
            "A parameter of four by five (ten by twenty where single coordinates decide), 200 steps, the rate falling "
            f"linearly to zero, 13 rates from 1e-4 to 100, all other settings at their defaults, seed {self.seed}.",
            "Solved: what is left at the end is below the part of the start that the table names.",
            "What this does not show: which rule is better on a network; these few numbers are none.",
        ]
        answer = f"What breaks what: {len(names)} rules on {len(PROBLEMS)} problems"
        data = page.download("map.json.gz", self.to_json(), "Every number as JSON")
        return page.page("what breaks what", page.report("map", answer, sentences, evidence, method, data), STYLE)

    def save(self, file: Path) -> None:
        """Write `.html` or `.json`.

        Raises:
            OSError: it cannot be written.
        """
        file.write_text(self.to_html() if file.suffix.lower() == ".html" else self.to_json(), encoding="utf-8")


def _mark(cell: Cell) -> str:
    title = f"{cell.rule} on {cell.problem}: {cell.width:g} decades, least error {cell.best:.2g}"
    if cell.solved:
        return f'<td style="--w:{cell.width:g}" title="{escape(title)}">{cell.width:g}</td>'
    return f'<td class="no" title="{escape(title)}">–</td>'


def drawn(
    names: Sequence[str], seed: int, find: Callable[[str], Rule], processes: int
) -> Iterator[Cell | tuple[str, str]]:
    """All cells as they are found, a rule at a time. `find` must be a module's function: processes import it."""
    titles = list(PROBLEMS)
    if processes == 1:
        yield from cells(names, titles, seed, find)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        waiting = [pool.submit(_row, name, titles, seed, find) for name in names]
        try:
            for done in as_completed(waiting):
                yield from done.result()
        finally:
            for future in waiting:
                future.cancel()


def _row(name: str, titles: list[str], seed: int, find: Callable[[str], Rule]) -> list[Cell | tuple[str, str]]:
    return list(cells([name], titles, seed, find))
