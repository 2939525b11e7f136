"""The page that shows every picture of the gallery, by family: plain HTML, no script, no network."""

from __future__ import annotations

from html import escape

from ... import rules
from ...draw.page import page
from .. import facts
from .picture import HEIGHT, WIDTH
from .runs import GRID, STEPS

STYLE = """
main { max-width: 76rem; } h2 { border-bottom: 1px solid var(--rule); } main a { color: inherit; }
nav { display: flex; flex-wrap: wrap; gap: .3rem .9rem; margin: 1rem 0; }
.all { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
img { display: block; width: 100%; height: auto; border: 1px solid var(--rule); border-radius: .5rem; }
figcaption { color: var(--quiet); font-size: .85rem; padding: .3rem .2rem 0; }
"""
SAID = f"""
<p>Each rule (orange) beside the rule it grew from (blue, dashed), from ○ towards ×, {STEPS} steps, a dot per step.
Every path was computed by the library's own oracle. A small, exact problem is no benchmark: what wins here may lose on
yours.</p>
<details><summary>How it was computed, and why matrix rules look different</summary>
<p>Learning rates are tuned alike for all: the one of {len(GRID)} values ({GRID[0]:g}, {GRID[1]:g}, {GRID[2]:g}, …,
{GRID[-1]:g}) whose mean logarithm of the loss over all steps is lowest, of those whose path stays in the frame. A best
value at the end of the grid says “edge”. All other settings are the defaults, weight decay too. On the surfaces the
learning rate is constant, so rules with steps of one length end beside the minimum. Grey: the points stepped, where a
rule ships others. Sophia is given the true curvature.</p>
<p>A vector of two numbers shows nothing of a <b>matrix rule</b>: it has no rows and columns, and such a rule hands it
to another. They learn a linear memory of eight pairs instead, W·key = value with W of 8×8, where the k-th pair is seen
1/k times as often as the first; the learning rate falls linearly to zero. Dots: error of each pair at the end, from the
most to the least frequent; rings: the parent's.</p></details>
"""

MADE = "<!-- Made from the rules by `make docs`. Edits here are overwritten. -->"


def gallery_page() -> str:
    """The text of ``docs/gallery.html``."""
    families = {family: [n for n in rules.all() if rules.family_of(n) == family] for family in rules.FAMILIES}
    families = {family: names for family, names in families.items() if names}
    parts = [f"<h1>Every rule at work</h1>{SAID}"]
    parts += ["<nav>" + "".join(f'<a href="#{f}">{_title(f)}</a>' for f in families) + "</nav>"]
    for family, names in families.items():
        parts += [f'<h2 id="{family}">{_title(family)}</h2>', '<div class="all">', *map(_figure, names), "</div>"]
    return page("Every rule at work", "\n".join(parts), STYLE, made_by=MADE, images=True)


def _title(family: str) -> str:
    return family.replace("_", " ").capitalize()


def _figure(name: str) -> str:
    idea, about = escape(facts.idea(rules.all()[name])), f"rules/{rules.family_of(name)}.md#{name}"
    image = f'<img src="gallery/{name}.svg" alt="{name} at work" width="{WIDTH}" height="{HEIGHT}" loading="lazy">'
    return f'<figure id="{name}"><a href="{about}">{image}</a><figcaption>{idea}</figcaption></figure>'
