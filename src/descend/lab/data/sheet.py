"""The contact sheet: every picture of a set on one page, to mark what is wrong for `descend data drop`."""

import hashlib
import shlex
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote, urlsplit

from ...core.nearest import listed
from ...draw.files import write
from ...draw.page import page, table
from .manifest import HOME, Rejected, Row
from .result import Collected

FILE = "contact.html"
CONFLICTS = 200  # that are shown
STYLE = """
.sheet { list-style: none; margin: .4em 0 0; padding: 0; display: grid; gap: 8px;
  grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); }
.sheet li { margin: 0; max-width: none; content-visibility: auto; contain-intrinsic-size: 104px; }
.sheet label { display: block; position: relative; aspect-ratio: 1; background: var(--wash); border-radius: 4px;
  overflow: hidden; cursor: pointer; }
.sheet img { width: 100%; height: 100%; object-fit: contain; display: block; }
.sheet input { position: absolute; inset: 6px auto auto 6px; width: 20px; height: 20px; margin: 0;
  accent-color: #b3261e; }
.sheet label:has(:focus-visible) { outline: 4px solid var(--s0); outline-offset: -4px; }
.sheet label:has(:checked) { box-shadow: inset 0 0 0 4px #b3261e; }
.sheet label:has(:checked) img { opacity: .35; }
.sheet label:has(:checked)::after { content: "✗"; position: absolute; inset: 0; display: grid; place-items: center;
  font-size: 56px; color: var(--ink); pointer-events: none; }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.tools { position: sticky; top: 0; z-index: 2; background: var(--paper); border-bottom: 1px solid var(--rule);
  padding: 10px 0; display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; }
.tools button { font: inherit; font-size: .9rem; padding: .35em .9em; min-height: 36px; color: var(--ink);
  background: var(--wash); border: 1px solid var(--quiet); border-radius: 4px; cursor: pointer; }
.tools button:disabled { opacity: .5; cursor: default; } .tools output { font-weight: 600; min-width: 6.5em; }
.tools label { display: flex; gap: .4em; align-items: center; font-size: .9rem; }
body:not(.alive) .tools, body:not(.alive) .marks { display: none; }
body.only .sheet li:not(:has(:checked)) { display: none; }
textarea { width: 100%; height: 8em; font: .85rem/1.5 ui-monospace, Menlo, Consolas, monospace; color: var(--ink);
  background: var(--wash); border: 1px solid var(--quiet); }
section { scroll-margin-top: 70px; } section > h2 { margin-bottom: .3em; }
.pairs { display: flex; flex-wrap: wrap; gap: 12px; } .pairs figure { width: 150px; margin: 0; }
.pairs img { width: 150px; height: 110px; object-fit: contain; background: var(--wash); }
.pairs figcaption { font-size: .82rem; overflow-wrap: anywhere; }
#large { border: 0; padding: 12px; background: var(--paper); color: var(--ink); max-width: 95vw; max-height: 95vh; }
#large::backdrop { background: rgb(0 0 0 / .7); } #large img { max-width: 100%; max-height: 78vh; display: block; }
#large p { font-size: .85rem; overflow-wrap: anywhere; }
@media (max-width: 760px) { .sheet { grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); } }
"""
HOW = (
    "<p>Mark what is wrong, then save the marks and drop those pictures. A click marks, a double click enlarges; by "
    "keyboard the arrows move, Space marks, Enter enlarges. Marks stay in this browser until they are cleared.</p>"
)
WITHOUT = (
    "<noscript><p>Without scripts: write the names of wrong pictures into a text file, one per line; a name is the "
    "path of a picture in this folder.</p></noscript>"
)
SCRIPT = (Path(__file__).parent / "sheet.js").read_text(encoding="utf-8")


def save(made: Collected) -> Path:
    """Write the page beside the pictures; its thumbnails stay in `.descend/thumbs`."""
    path = made.folder / FILE
    write(path, html(made).encode())
    return path


def html(made: Collected) -> str:
    """The page. It works from the disk, and asks nobody for anything."""
    by_class: dict[str, list[Row]] = defaultdict(list)
    for row in made.rows:
        by_class[row.label].append(row)
    counts = made.counts()
    missing = [f"{row['missing']:,} of {label}" for label, row in counts.items() if row["missing"]]
    lead = f"{made.per_class:,} of each class were asked for; missing: {', '.join(missing)}." if missing else ""
    (head, rows), classes = made.table(), listed(made.classes)
    body = [
        f"<h1>{len(made.rows):,} pictures of {escape(classes)}</h1>",
        f'<p class="lead">{escape(lead)}</p>' if lead else "",
        table(rows, head, right=range(1, len(head)), label="Pictures by class and split"),
        HOW,
        f"<pre>descend data drop {escape(shlex.quote(made.folder.name or '.'))} marks.txt</pre>",
        WITHOUT,
        '<div class="tools" role="group" aria-label="Marks"><output id="count" aria-live="polite">0 marked</output>'
        '<button id="save" type="button">Save marks.txt</button><button id="copy" type="button">Copy</button>'
        '<button id="clear" type="button">Clear</button>'
        '<label><input type="checkbox" id="only" autocomplete="off"> only marked</label></div>',
        '<details class="marks"><summary>The marks as text</summary>'
        '<textarea id="list" readonly aria-label="Names of marked pictures"></textarea></details>',
        *(_class(label, by_class[label]) for label in made.classes),
        _conflicts(made.rejected),
        _left_out(made),
        '<dialog id="large" aria-label="The picture"><img alt=""><p></p></dialog>',
    ]  # fmt: skip
    made_page = page(
        f"Pictures of {classes}", "\n".join(part for part in body if part), STYLE, images=True, script=SCRIPT
    )
    mark = hashlib.sha256(str(made.folder.resolve()).encode()).hexdigest()[:12]
    return made_page.replace("<main>", f'<main data-set="{mark}">', 1)


def _class(label: str, rows: list[Row]) -> str:
    items = "\n".join(
        f'<li><label><input type="checkbox" autocomplete="off" value="{escape(row.file)}">'
        f'<img loading="lazy" alt="" src="{HOME}/thumbs/{quote(Path(row.file).name)}">'
        f'<span class="said">{escape(label)} {k:,}, {row.split}{_from(row)}</span></label></li>'
        for k, row in enumerate(rows, 1)
    )
    inside = f'<ul class="sheet">\n{items}\n</ul>' if rows else "<p>None.</p>"
    return f'<section><h2>{escape(label)} <span class="quiet">{len(rows):,}</span></h2>{inside}</section>'


def _from(row: Row) -> str:
    host = urlsplit(row.source).netloc if "://" in row.source else ""
    return f", {escape(host)}" if host else ""


def _conflicts(rejected: Sequence[Rejected]) -> str:
    found = [one for one in rejected if one.reason == "label conflict"]
    if not found:
        return ""
    shown = "".join(
        f'<figure><img loading="lazy" alt="" src="{HOME}/thumbs/{quote(one.shown)}">'
        f"<figcaption><b>{escape(one.label)}</b>, {escape(one.detail)}</figcaption></figure>"
        for one in found[:CONFLICTS]
    )
    more = f"<p>And {len(found) - CONFLICTS:,} more in rejected.csv.</p>" if len(found) > CONFLICTS else ""
    return (
        "<h2>Under two labels</h2><p>The same picture was said to show two things, so it is in neither class. Correct "
        f'its list or folder and collect again.</p><div class="pairs">{shown}</div>{more}'
    )


def _left_out(made: Collected) -> str:
    reasons = made.reasons()
    if not reasons:
        return ""
    rows = [(reason, f"{count:,}") for reason, count in reasons.items()]
    return (
        "<h2>Left out</h2><p>Each with its reason in rejected.csv.</p>"
        + table(rows, ("reason", "candidates"), right=(1,), label="Why candidates were left out")
    )  # fmt: skip
