"""A finding as one page: the sentence, the picture, the numbers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html import escape
from typing import Any

from ...draw.page import both, download, page, table
from ...draw.svg import svg
from . import words
from .evidence import Found
from .picture import chart, stretches
from .words import loss, rate


def html(finding: Found, data: dict[str, Any]) -> str:
    """The page; `data` is carried inside for download."""
    return page(f"learning rate of {finding.rule}", body(finding, data))


def body(finding: Found, data: dict[str, Any]) -> str:
    """The same without the page around it."""
    rows = {"geometric median of the first three": finding.median, **finding.suggestions}
    facts = {name: f"{rate(low)} to {rate(high)}" for name, (low, high) in stretches(finding).items()}
    facts |= {
        "widest stable": rate(finding.widest_stable),
        "diverged at": rate(finding.diverged_at) if finding.diverged_at else "nowhere in the range",
        "gradients taken": str(finding.evaluations),
    }
    sections = [("Read off the curve", table([(name, rate(lr)) for name, lr in rows.items()], right=(1,)))]
    if finding.probes:
        probes = sorted(finding.probes, key=lambda probe: probe.lr)
        tried = [(rate(p.lr), loss(p.loss) if math.isfinite(p.loss) else "diverged", str(p.steps)) for p in probes]
        best = [k for k, probe in enumerate(probes) if probe.lr == finding.lr]
        sections.append(("Tried at a constant rate", table(tried, ("rate", "loss", "steps"), (1, 2), first=best)))
    sections.append(("Further", table(list(facts.items()), right=(1,))))
    drawn = replace(chart(finding), head="")  # the page says it
    parts = [
        f"<h1>Train {escape(finding.rule)} at {rate(finding.lr)}</h1>",
        f'<p class="lead">{escape(words.reason(finding))}</p>',
        both(svg(drawn, 860, 360, "curve"), svg(drawn, 340, 300, "curve-narrow")),
    ]
    if len(finding.lrs) > 1:
        parts.append(f'<p class="quiet">Groups, in the ratios they had: {", ".join(map(rate, finding.lrs))}.</p>')
    parts.append('<div class="two">')
    parts += [f"<section><h2>{title}</h2>{found}</section>" for title, found in sections]
    raw = json.dumps(data, ensure_ascii=False, allow_nan=False)
    parts.append(f'</div><p class="quiet">{download("range-test.json.gz", raw, "Every number as JSON")}</p>')
    return "\n".join(parts)
