"""A finding as one page: the sentence, the picture, the numbers."""

import json
import math
from dataclasses import replace
from html import escape
from typing import Any

from ...draw.page import both, download, page, report, table
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
    sections: dict[str, dict[str, Any]] = {
        "Read off the curve": {"rows": [(name, rate(lr)) for name, lr in rows.items()], "right": (1,)}
    }
    if finding.probes:
        probes = sorted(finding.probes, key=lambda probe: probe.lr)
        tried = [(rate(p.lr), loss(p.loss) if math.isfinite(p.loss) else "diverged", str(p.steps)) for p in probes]
        best = [k for k, probe in enumerate(probes) if probe.lr == finding.lr]
        head = ("rate", "loss", "steps")
        sections["Tried at a constant rate"] = {"rows": tried, "head": head, "right": (1, 2), "first": best}
    sections["Further"] = {"rows": list(facts.items()), "right": (1,)}
    drawn = replace(chart(finding), head="")  # the page says it
    evidence = [both(svg(drawn, 860, 360, "curve"), svg(drawn, 340, 300, "curve-narrow"))]
    evidence += [
        '<div class="two">',
        *(f"<section><h2>{title}</h2>{table(label=title, **of)}</section>" for title, of in sections.items()),
    ]
    sentences = [words.reason(finding)]
    if len(finding.lrs) > 1:
        sentences.append(f"Groups, in the ratios they had: {', '.join(map(rate, finding.lrs))}.")
    raw = download("range-test.json.gz", json.dumps(data, ensure_ascii=False, allow_nan=False), "Every number as JSON")
    answer = f"Train {finding.rule} at {rate(finding.lr)}"
    return report("range test", answer, sentences, [*evidence, "</div>"], _method(finding), raw)


def _method(finding: Found) -> list[str]:
    """How it was found, and what it does not show."""
    low, high = map(rate, finding.range)
    points = [
        f"{len(finding.curves)} sweep{'s' * (len(finding.curves) != 1)}: the rate rises from {low} to {high} while the "
        "model trains (Smith 2017), until the loss is four times its best or not finite. Rules of thumb read it.",
    ]
    if finding.probes:
        points.append(
            f"{len(finding.probes)} probes: short trainings at constant rates, all on the same batches. Taken is the "
            "smallest rate that does nearly as well as the best, as short trainings like larger rates than long ones."
        )
    points.append(f"{finding.evaluations} gradients in {finding.seconds:.1f} s. The model is as it was before.")
    points += [f"A doubt: {escape(doubt.partition(': ')[2])}." for doubt in words.doubts(finding)]
    points.append(
        "What this does not show: the best rate of a long training, or of one with another schedule or batch size."
    )
    return points
