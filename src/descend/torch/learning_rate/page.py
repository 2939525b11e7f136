"""A finding as one static HTML page: no script, no font, no request."""

from __future__ import annotations

import math
from html import escape

from . import words
from .evidence import Found
from .picture import scene
from .words import loss, rate

STYLE = """
:root { --paper: #fff; --ink: #1c1f24; --quiet: #5d6570; --rule: #dfe3e8; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e6e8eb; --quiet: #9aa3ad; --rule: #30363d; } }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 36px 20px 64px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5em; }
h2 { font-size: 1.1rem; margin: 1.8em 0 .3em; }
.why { font-size: 1.08rem; max-width: 68ch; margin: 0 0 1.4em; }
.scroll { overflow-x: auto; } svg { width: 100%; min-width: 640px; max-width: 820px; height: auto; display: block; }
.two { display: flex; flex-wrap: wrap; gap: 0 64px; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .34em 1.4em .34em 0; text-align: left; border-bottom: 1px solid var(--rule); font-weight: 400; }
td { text-align: right; padding-right: 0; } td + td { padding-left: 1.6em; }
.quiet, thead th { color: var(--quiet); font-size: .88rem; } .best th, .best td { font-weight: 600; }
"""


def html(finding: Found) -> str:
    """The page: the sentence, the picture, the numbers."""
    rows = [("geometric median of the first three", finding.median), *finding.suggestions.items()]
    read = "".join(f"<tr><th>{escape(name)}</th><td>{rate(lr)}</td></tr>" for name, lr in rows)
    facts = {
        "band of the repeats": f"{rate(finding.band[0])} to {rate(finding.band[1])}",
        "plateau": f"{rate(finding.plateau[0])} to {rate(finding.plateau[1])}",
        "widest stable": rate(finding.widest_stable),
        "one cycle": f"{rate(finding.one_cycle[0])} to {rate(finding.one_cycle[1])}",
        "diverged at": rate(finding.diverged_at) if finding.diverged_at else "nowhere in the range",
        "gradients taken": str(finding.evaluations),
    }
    told = "".join(f"<tr><th>{escape(name)}</th><td>{value}</td></tr>" for name, value in facts.items())
    groups = ""
    if len(finding.lrs) > 1:
        groups = f'<p class="quiet">Groups, in the ratios they had: {", ".join(map(rate, finding.lrs))}.</p>'
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>learning rate of {escape(finding.rule)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>Train {escape(finding.rule)} at {rate(finding.lr)}</h1>\n"
        f'<p class="why">{escape(words.reason(finding))}</p>\n'
        '<div class="scroll" tabindex="0" role="region" aria-label="The curve">'
        f"{scene(finding).svg(inline=True)}</div>\n{groups}"
        f'<div class="two">\n<section><h2>Read off the curve</h2><table>{read}</table></section>\n'
        f"{_probes(finding)}<section><h2>Further</h2><table>{told}</table></section>\n</div>\n"
        "</main>\n</body>\n</html>\n"
    )


def _probes(finding: Found) -> str:
    if not finding.probes:
        return ""
    rows = "".join(
        f"<tr{' class=best' if probe.lr == finding.lr else ''}><th>{rate(probe.lr)}</th>"
        f"<td>{loss(probe.loss) if math.isfinite(probe.loss) else 'diverged'}</td><td>{probe.steps}</td></tr>"
        for probe in sorted(finding.probes, key=lambda probe: probe.lr)
    )
    head = "<thead><tr><th>rate</th><td>loss</td><td>steps</td></tr></thead>"
    return f"<section><h2>Tried at a constant rate</h2><table>{head}{rows}</table></section>\n"
