"""The page that shows every picture of the gallery, by family."""

from __future__ import annotations

from descend import rules
from descend.explain import facts

from .runs import GRID, STEPS

MADE = "<!-- Made from the rules by `make docs`. Edits here are overwritten. -->"
SAID = f"""\
Each rule (orange) beside the rule it grew from (blue, dashed), from ○ towards ×, {STEPS} steps, a dot per step. Every
path was computed by the library's own oracle. A small, exact problem is no benchmark: what wins here may lose on yours.

Learning rates are tuned alike for all: the one of {len(GRID)} values ({GRID[0]:g}, {GRID[1]:g}, {GRID[2]:g}, …,
{GRID[-1]:g}) whose mean logarithm of the loss over all steps is lowest, of those whose path stays in the frame. A best
value at the end of the grid says "edge". All other settings are the defaults, weight decay too. On the surfaces the
learning rate is constant, so rules with steps of one length end beside the minimum. Grey: the points stepped, where a
rule ships others. Sophia is given the true curvature.

A vector of two numbers shows nothing of a **matrix rule**: it has no rows and columns, and such a rule hands it to
another. They learn a linear memory of eight pairs instead, W·key = value with W of 8×8, where the k-th pair is seen 1/k
times as often as the first; the learning rate falls linearly to zero. Dots: error of each pair at the end, from the
most to the least frequent; rings: the parent's."""


def gallery_page() -> str:
    """The text of ``docs/gallery.md``."""
    families = {family: [n for n in rules.all() if rules.family_of(n) == family] for family in rules.FAMILIES}
    parts = [MADE, "# Every rule at work", SAID]
    for family, names in families.items():
        if names:
            parts += [f"## {family.replace('_', ' ').capitalize()}", "\n".join(map(_picture, names))]
    return "\n\n".join(parts) + "\n"


def _picture(name: str) -> str:
    shown = f"![{name}: {facts.idea(rules.all()[name])}](gallery/{name}.svg)"
    return f"[{shown}](rules/{rules.family_of(name)}.md#{name})"
