"""The frame of every page: one file, no font, no request; light or dark, from 360 px on; readable without scripts."""

import base64
import gzip
import hashlib
import re
from collections.abc import Container, Sequence
from html import escape

from . import palette

BASE = f"""
{palette.variables(":root")}
{palette.CHART}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 {palette.FONT}; }}
main {{ max-width: 1000px; margin: 0 auto; padding: 40px 20px 80px; }}
h1 {{ font-size: 1.8rem; line-height: 1.2; margin: 0 0 .7em; letter-spacing: -.01em; }}
h2 {{ font-size: 1.2rem; margin: 2.2em 0 .5em; }} h3 {{ font-size: 1rem; margin: 1.4em 0 .2em; }}
p {{ margin: .5em 0; max-width: 70ch; }} li {{ margin: .4em 0; max-width: 75ch; }} ul {{ padding-left: 1.2em; }}
a {{ color: var(--s0); }} .lead {{ font-size: 1.1rem; }}
.eyebrow {{ color: var(--quiet); font-size: .85rem; letter-spacing: .06em; margin: 0; }}
.quiet {{ color: var(--quiet); font-size: .88rem; }}
code, pre {{ font: .85rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }}
pre {{ background: var(--wash); padding: 12px 14px; overflow-x: auto; border-radius: 4px; }}
.scroll pre {{ overflow-x: visible; width: max-content; min-width: 100%; margin: 0; }}
.scroll {{ overflow-x: auto; margin: .6em 0 1.2em; }} .two {{ display: flex; flex-wrap: wrap; gap: 0 56px; }}
table {{ border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; font-weight: 600; padding: .3em 0; white-space: nowrap; }}
th, td {{ padding: .36em 1em .36em 0; text-align: left; border-bottom: 1px solid var(--rule); vertical-align: top;
  white-space: nowrap; }}
th {{ font-weight: 400; }} .words {{ white-space: normal; min-width: 12em; }}
thead th {{ color: var(--quiet); vertical-align: bottom; white-space: normal; }}
.right {{ text-align: right; }} mtd.left {{ text-align: left; }} .first th {{ font-weight: 600; }}
figure {{ margin: .6em 0; }} .chart {{ display: block; }}
.swatch {{ display: inline-block; max-width: none; vertical-align: middle; margin-right: .5em; }}
summary {{ cursor: pointer; padding: .45em 0; border-bottom: 1px solid var(--rule); }}
details[open] {{ padding-bottom: 1em; }} .narrow {{ display: none; }}
@media (max-width: 760px) {{
  .wide {{ display: none; }} .narrow {{ display: block; }}
  main {{ padding: 24px 14px 60px; }} h1 {{ font-size: 1.5rem; }}
}}
@media print {{ details {{ break-inside: avoid; }} }}
"""


PROSE = re.compile("[a-z]{2,} [a-z]{2,}.{12}|.{41}")  # a cell that may break into lines


class Markup(str):
    """Text that is HTML already. Template engines know it by its method."""

    def __html__(self) -> str:
        return str(self)


def html(cell: str) -> str:
    return cell if isinstance(cell, Markup) else escape(cell)


def page(title: str, body: str, style: str = "", images: bool = False, script: str = "") -> str:
    """A whole page. `images`: whether it shows pictures that lie beside it. `script`: the only one that runs in it."""
    allowed = "default-src 'none'; style-src 'unsafe-inline'" + "; img-src 'self' file:" * images
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        allowed += f"; script-src 'sha256-{digest}'"
        script = f"<script>{script}</script>\n"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{allowed}">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{BASE}{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n{script}</body>\n</html>\n"
    )


def report(
    command: str, answer: str, sentences: Sequence[str], evidence: Sequence[str], method: Sequence[str], data: str
) -> str:
    """The body of a page about a result: the answer, what it rests on, how it was found and what it does not show.

    Args:
        command: what made it. answer: the headline. sentences: below it, the first in larger letters; all as text.
        evidence: pictures and tables, as HTML. method: how, and the limits, one point each, as HTML.
        data: the link to the raw numbers, of `download`.
    """
    said = "".join(f"<p{' class=lead' * (k == 0)}>{escape(text)}</p>\n" for k, text in enumerate(sentences))
    points = "".join(f"<li>{point}</li>\n" for point in method)
    return (
        f'<header>\n<p class="eyebrow">{escape(command)}</p>\n<h1>{escape(answer)}</h1>\n{said}</header>\n'
        + "\n".join(evidence)
        + f'\n<section id="method">\n<h2>Method and limits</h2>\n<ul>\n{points}</ul>\n<p>{data}</p>\n</section>'
    )


def table(
    rows: Sequence[Sequence[str]],
    head: Sequence[str] = (),
    right: Container[int] = (),
    caption: str = "",
    label: str = "",
    first: Container[int] = (),
    name: int = 0,
) -> Markup:
    """Rows of text or `Markup`.

    Args:
        right: columns of numbers. first: rows to stand out. name: the column that says what a row is about.
        caption: above it. label: what screen readers call it, where there is no caption; else its columns are its name.
    """

    def cell(i: int, content: str, tag: str, scope: str = "") -> str:
        prose = PROSE.search(content) and not isinstance(content, Markup)
        kind = " class=right" if i in right else " class=words" if prose else ""
        return f"<{tag}{scope}{kind}>{html(content)}</{tag}>"

    def row(k: int, cells: Sequence[str]) -> str:
        made = [cell(i, x, *("th", ' scope="row"') if i == name else ("td",)) for i, x in enumerate(cells)]
        return f"<tr{' class=first' if k in first else ''}>{''.join(made)}</tr>"

    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    named = "".join(cell(i, x, "th", ' scope="col"') for i, x in enumerate(head))
    above += f"<thead><tr>{named}</tr></thead>" if head else ""
    body = "\n".join(row(k, cells) for k, cells in enumerate(rows))
    return scroll(f"<table>{above}<tbody>{body}</tbody></table>", caption or label or "Table of " + ", ".join(head))


def scroll(inside: str, label: str) -> Markup:
    """What is wider than a telephone slides under the finger, and by the keyboard."""
    return Markup(f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">{inside}</div>')


def both(wide: str, narrow: str) -> Markup:
    """The same picture for a wide and for a narrow window: the style shows one of them."""
    return Markup(f'<figure class="wide">{wide}</figure><figure class="narrow">{narrow}</figure>')


def download(name: str, text: str, said: str) -> Markup:
    """A link to the raw data, which the page carries with it."""
    data = base64.b64encode(gzip.compress(text.encode("utf-8"), mtime=0)).decode("ascii")
    return Markup(
        f'<a download="{escape(name)}" href="data:application/gzip;base64,{data}">{escape(said)} ({escape(name)})</a>'
    )
