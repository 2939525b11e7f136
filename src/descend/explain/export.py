"""The same facts for other programs: plain types for JSON, and a page of HTML with MathML."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from .. import rules
from ..core.rule import Rule
from ..core.settings import shared
from ..draw.page import download, page, scroll, table
from . import advice, facts, relative, tree
from .by_hand import by_hand, given, shown
from .formula.markup import latex, mathml
from .formula.read import formulas

STYLE = """
math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "DejaVu Math TeX Gyre", math; }
math[display=block] { width: fit-content; margin: .5rem 0 .5rem 1rem; font-size: 1.1rem; }
"""


def as_dict(rule: Rule, steps: int = 1) -> dict[str, Any]:
    """All facts in plain types, ready for JSON."""
    parts, price, parent = formulas(rule), facts.cost(rule), tree.parent(rule)
    return {
        "name": rule.name,
        "kind": rule.kind,
        "family": rules.family_of(rule.name) if rule.name in facts.catalogue() else None,
        "idea": facts.idea(rule),
        "paper": facts.paper(rule),
        "year": facts.year(rule),
        "dialect": rule.dialect,
        "formula": {
            "text": facts.lines(rule),
            "latex": [latex(part) for part in parts],
            "mathml": [line for part in parts for line in mathml(part)],
        },
        "state": [
            {
                "name": slot.name,
                "symbol": facts.symbol(slot.name),
                "saved_as": slot.saved_as,
                "per": slot.init.shape,
                "starts_at": slot.init.fill,
                "meaning": facts.holds(rule, slot),
            }
            for slot in rule.slots
        ],
        "settings": [
            {
                "name": name,
                "symbol": facts.symbol(name),
                "default": None if value is shared else value,
                "meaning": facts.meanings(rule)[name],
            }
            for name, value in rule.settings.items()
        ],
        "bytes_per_parameter": {"held": price.held, "moved": price.moved},
        "arrays": {"read": price.reads, "written": price.writes, "passes": price.passes},
        "engines": facts.engines(price),
        "relative": parent and {"name": parent.name, "difference": relative.difference(parent, rule)},
        "family_tree": {
            "from": [other.name for other in tree.lineage(rule)[:-1]],
            "grew_into": [other.name for other in tree.children(rule)],
        },
        "advice": {title: [" ".join(row) for row in rows] for title, rows in advice.sections(rule)},
        "by_hand": _steps(rule, steps),
        "source": facts.source(rule),
    }


def _steps(rule: Rule, steps: int) -> list[dict[str, Any]] | None:
    try:
        taken = by_hand(rule, steps)
    except TypeError:  # it needs more than a single number
        return None
    return [
        {
            "t": step.t,
            "g": step.g,
            "before": step.before,
            "values": [
                {"stage": v.stage, "name": v.name, "symbol": v.symbol, "text": v.text, "value": v.value}
                for v in step.values
            ],
            "p": step.p,
        }
        for step in taken
    ]


def html(rule: Rule, steps: int = 1) -> str:
    """One page that needs nothing else: browsers draw MathML themselves."""
    known = as_dict(rule, steps)
    body = [f"<h1>{escape(rule.name)}</h1>", f'<p class="lead">{escape(facts.said(rule))}</p>']
    for part in formulas(rule):
        body += [f"<h2>{escape(part.name)}</h2>"] * bool(rule.stages)
        body.append(scroll("\n".join(mathml(part)), "Formula"))
    sections: list[tuple[str, Sequence[Sequence[str]]]] = [
        ("State", facts.state_lines(rule)),
        ("Settings", facts.setting_lines(rule)),
        *advice.sections(rule),
        ("Cost", facts.cost_lines(rule)),
        ("Where it comes from", facts.origin_lines(rule)),
        ("Family", tree.family_lines(rule)),
    ]
    body += [f"<h2>{title}</h2>{table(rows, label=title)}" for title, rows in sections if rows]
    if known["relative"]:
        marked = "\n".join(known["relative"]["difference"])
        body += [f"<h2>Beside {known['relative']['name']}</h2>", f"<pre>{escape(marked)}</pre>"]
    if taken := known["by_hand"]:
        labels = ["t", "g", *("new g" if v["name"] == "g" else v["symbol"] for v in taken[0]["values"])]
        columns = [[str(s["t"]), shown(s["g"]), *(shown(v["value"]) for v in s["values"])] for s in taken]
        rows = list(zip(labels, *columns, strict=True))
        body += [
            f"<h2>By hand: {given(rule, steps)}</h2>",
            table(rows, right=range(1, 1 + len(taken)), label="By hand"),
        ]
    body += ["<h2>Source</h2>", f"<pre>{escape(known['source'])}</pre>"]
    raw = json.dumps(known, ensure_ascii=False, default=str)
    body.append(f'<p class="quiet">{download(f"{rule.name}.json.gz", raw, "The same as JSON")}</p>')
    return page(rule.name, "\n".join(body), STYLE)
