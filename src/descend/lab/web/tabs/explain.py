"""A rule from the page: what `descend explain` says of it, and steps by hand with numbers of the reader's."""

from html import escape
from typing import Any

import numpy as np

from .... import rules as catalogue
from ....core.rule import Rule
from ....core.settings import shared
from ....draw.page import Markup, scroll, table
from ....explain import compare, facts, relative, tree
from ....explain.by_hand import MATRIX_GRADIENTS, by_hand, shown
from ....explain.cost import needs_matrix
from ....explain.formula.markup import mathml
from ....explain.formula.read import formulas
from ....rules import names
from ..fields import Fields, Refused
from ..tab import Endpoint, Lab, Tab

STEPS = 10
LARGEST = 1e6  # of a gradient, a parameter or a rate: what is beyond overflows rather than teaches


def known(lab: Lab, fields: Fields) -> Any:
    """Rules and modifiers by family, with their rates, and which of them need a matrix."""
    fields.end()
    return [
        {
            "name": name,
            "family": catalogue.family_of(name).replace("_", " "),
            "lr": None if (lr := rule.settings.get("lr")) is shared else lr,
            "matrix": needs_matrix(rule),
        }
        for name, rule in facts.catalogue().items()
    ]


def about(lab: Lab, fields: Fields) -> Any:
    """Formula, state, settings and relatives of a rule, as HTML."""
    rule = names.find(fields.word("rule", longest=80))
    fields.end()
    return {"name": rule.name, "blocks": "\n".join(_about(rule))}


def _about(rule: Rule) -> list[str]:
    body = [f"<h2>{escape(rule.name)}</h2>", f'<p class="lead">{escape(facts.said(rule))}</p>']
    for part in formulas(rule):
        body += [f"<h3>{escape(part.name)}</h3>"] * bool(rule.stages)
        lines = "\n".join(mathml(part))
        body.append(scroll(lines, f"Formula of {part.name}"))
    text = escape("\n".join(facts.lines(rule)))
    body.append(f"<details><summary>the formula as text</summary>{scroll(f'<pre>{text}</pre>', 'Text')}</details>")
    family = [
        (word, Markup(", ".join(_link(other) for other in others)))
        for word, others in (("from", tree.lineage(rule)[:-1]), ("grew into", tree.children(rule)))
        if others
    ]
    peers = [
        (compare.shown(peer, said["call"] or ""), said["differs"] or "nothing known to differ")
        for peer, said in compare.entry(rule.name).items()
    ]
    for title, rows in (
        ("State", facts.state_lines(rule)),
        ("Settings", facts.setting_lines(rule)),
        ("Where it comes from", facts.origin_lines(rule)),
        ("Family", family),
        ("In other libraries", peers),
    ):
        if rows:
            body += [f"<h3>{title}</h3>", table(rows, label=title)]
    if parent := tree.parent(rule):
        marked = escape("\n".join(relative.difference(parent, rule)))
        body += [f"<h3>Beside {escape(parent.name)}</h3>", scroll(f"<pre>{marked}</pre>", "Difference")]
    return body


def _link(rule: Rule) -> str:
    return f'<a href="#explain?rule={escape(rule.name)}">{escape(rule.name)}</a>'


def steps(lab: Lab, fields: Fields) -> Any:
    """Steps by hand as HTML: each line of the rule with the numbers in it."""
    rule = names.find(fields.word("rule", longest=80))
    lr = fields.number("lr", None, 0.0, LARGEST)
    p = fields.number("p", None, -LARGEST, LARGEST)
    size = fields.number("gradient", None, -LARGEST, LARGEST)
    count = fields.whole("steps", 1, 1, STEPS)
    fields.end()
    if lr is not None:
        if "lr" not in rule.settings:
            raise Refused(f"{rule.name} has no learning rate")
        rule = rule.bind(lr=lr)
    start, gradients = p, [] if size is None else [size]
    if needs_matrix(rule):  # its example, scaled: the entries of a matrix are too many to type
        if p is not None:
            raise Refused(f"{rule.name} steps a matrix, whose start is that of the example")
        gradients = [] if size is None else [size * np.array(g) for g in MATRIX_GRADIENTS]
    try:
        taken = by_hand(rule, count, start, gradients)
        blocks = "\n".join(
            table(
                [
                    ("p", "", shown(step.before["p"])),
                    ("g", "", shown(step.g)),
                    *(("new g" if v.name == "g" else v.symbol, v.text, shown(v.value)) for v in step.values),
                ],
                ("name", "with the numbers in it", "value"),
                (2,),
                f"Step {step.t}",
            )
            for step in taken
        )
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Refused(f"{rule.name} cannot be done by hand with these numbers: {error}") from None
    return {"blocks": blocks, "p": shown(taken[-1].p)}


def baked(lab: Lab) -> dict[str, Any]:
    """Every rule, and one step of it by hand from the page's own numbers."""
    told = known(lab, Fields({}))
    answers: dict[str, Any] = {"explain/known": told}
    for one in told:
        asked: dict[str, Any] = {
            "rule": one["name"],
            **({"gradient": 1.0} if one["matrix"] else {"gradient": 0.5, "p": 1.0}),
        }
        if one["lr"] is not None:
            asked["lr"] = one["lr"]
        answers[f"explain/about {one['name']}"] = about(lab, Fields({"rule": one["name"]}))
        answers[f"explain/steps {one['name']}"] = steps(lab, Fields(asked))
    return answers


TAB = Tab(
    "explain",
    "Explain",
    "A rule as it is written: its formula, what it keeps, where it comes from, and its first steps with your numbers.",
    (
        Endpoint("known", known),
        Endpoint("about", about, ({"rule": "adam"}, {"rule": "clip_norm+adamw"})),
        Endpoint(
            "steps", steps, ({"rule": "adam", "lr": 0.1, "p": 1.0, "gradient": 0.5, "steps": 2}, {"rule": "muon"})
        ),
    ),
    baked=baked,
)
