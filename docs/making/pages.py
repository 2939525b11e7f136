"""The pages of the documentation that are made from the rules: ``python -m docs.making.pages [--check]``.

``docs/rules/FAMILY.md``, one page per family; ``docs/rules/README.md``, the family tree; ``docs/gallery/RULE.svg`` and
``docs/gallery.md``, every rule at work; the pictures of ``docs/course``, and what its pages show of the rules. Written
into the working copy it is run in.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from descend import rules
from descend.core.rule import Rule
from descend.explain import advice, facts, tree
from descend.explain.by_hand import by_hand
from descend.explain.cost import SIDE
from descend.explain.relative import difference

from . import course
from .gallery import MADE, gallery_page
from .markdown import fence, formula, steps, table
from .picture import picture


def pages() -> dict[str, str]:
    """The text of every page of ``docs/rules``, by its path below ``docs``."""
    return {"rules/README.md": _index(), **{f"rules/{family}.md": _family(family) for family in rules.FAMILIES}}


def pictures() -> Iterator[tuple[str, str]]:
    """Path below ``docs`` and text of the gallery: its page, and one picture per rule (these take their time)."""
    yield "gallery.md", gallery_page()
    for name, rule in rules.all().items():
        yield f"gallery/{name}.svg", picture(rule)


def _members(family: str) -> list[Rule]:
    return [rule for name, rule in facts.catalogue().items() if rules.family_of(name) == family]


def _link(rule: Rule, page: str = "") -> str:
    family = rules.family_of(rule.name)
    return f"[{rule.name}]({'' if family == page else family + '.md'}#{rule.name})"


# The page of the tree


def _index() -> str:
    first = [
        MADE,
        "# The rules, as a family tree",
        "Each rule stands below the one it grew from; its page shows the lines that differ. Bytes are those of state"
        f" per parameter, in float32; of a {SIDE}×{SIDE} matrix where state counts rows and columns.",
    ]
    return "\n\n".join([*first, "\n".join(_below(tree.roots(), 0)), *_modifiers()]) + "\n"


def _below(members: list[Rule], depth: int) -> Iterator[str]:
    for rule in members:
        when = facts.year(rule)
        told = ", ".join([*([str(when)] if when else []), f"{facts.cost(rule).held:g} bytes"])
        yield f"{'  ' * depth}- {_link(rule)} ({told}): {facts.idea(rule)}"
        yield from _below(tree.children(rule), depth + 1)


def _modifiers() -> list[str]:
    rows = [f"- {_link(rule)}: {facts.idea(rule)}" for rule in rules.modifiers().values()]
    return ["## Modifiers", "What stands before or behind a rule in a chain.", "\n".join(rows)]


# The page of a family


def _family(family: str) -> str:
    module = rules.FAMILIES[family]
    said = inspect.cleandoc(module.__doc__ or "")
    members = _members(family)
    parts = [
        MADE,
        f"# {family.replace('_', ' ').capitalize()}",
        said.split("\n\n    ")[0],
        " · ".join(_link(rule, family) for rule in members),
        f"Source: [`{family}.py`](../../src/descend/rules/{family}.py) · [all families](README.md)"
        " · [gallery](../gallery.md)",
    ]
    for rule in members:
        parts += _rule(rule, family)
    return "\n\n".join(parts) + "\n"


def _rule(rule: Rule, family: str) -> list[str]:
    origin = facts.paper(rule)
    parts = [f"## {rule.name}", f"{facts.said(rule)}." + f" *{origin}*" * bool(origin)]
    if dialect := rule.dialect:
        parts.append(f"**Dialect.** {' '.join(dialect.split())}")
    if known := advice.table().get(rule.name):
        parts.append(f"**{advice.REACH}.** {known.reach}  \n**{advice.FAILS}.** {known.fails}")
    line, below = tree.lineage(rule), tree.children(rule)
    kin = [" → ".join(_link(r, family) for r in line)] if len(line) > 1 else []
    kin += ["grew into " + ", ".join(_link(r, family) for r in below)] if below else []
    parts += [f"**Family.** {'; '.join(kin)}"] if kin else []
    if rule.kind == "rule":
        parts.append(f"![{rule.name} at work](../gallery/{rule.name}.svg)")
    parts.append(formula(rule))
    if explained := facts.words(rule):
        parts.append(f"Here {'; '.join(explained)}.")
    parts.append(f"```python\n{facts.source(rule)}\n```")
    parts += table(("state", "saved as", "begins", "holds"), facts.state_lines(rule))
    parts += table(("setting", "sign", "default", "does"), facts.setting_lines(rule))
    parts.append("**Cost.** " + "; ".join(words for kind, words in facts.cost_lines(rule) if kind != "engines") + ".")
    if above := tree.parent(rule):
        parts += [f"Beside {_link(above, family)}:", fence("diff", difference(above, rule))]
    return parts + _by_hand(rule)


def _by_hand(rule: Rule) -> list[str]:
    try:
        return steps(rule, by_hand(rule))
    except TypeError:
        return []


# Writing and checking


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m docs.making.pages", description="Make the generated pages.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is out of date")
    parser.add_argument("--into", type=Path, default=Path("docs"), help="the folder (default: docs)")
    asked = parser.parse_args(arguments)
    if not asked.into.is_dir():
        parser.error(f"there is no folder {asked.into}: run this in the working copy, or name it with --into")
    stale, made = [], {**pages(), **course.pages(asked.into), **dict(pictures()), **course.pictures(asked.into)}
    for path, new in made.items():
        file = asked.into / path
        if not file.exists() or file.read_text(encoding="utf-8") != new:
            stale.append(path)
            if not asked.check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(new, encoding="utf-8")
    gone = leftovers(asked.into, made)
    for file in gone if not asked.check else []:
        file.unlink()
    _report(stale + [str(file.relative_to(asked.into)) for file in gone], asked.check, len(made))
    return int(asked.check and bool(stale or gone))


def leftovers(folder: Path, made: dict[str, Any]) -> list[Path]:
    """Pages and pictures that nothing makes any more."""
    there = [*folder.glob("rules/*.md"), *folder.glob("gallery/*.svg"), *folder.glob("course/*.svg")]
    return sorted(file for file in there if file.relative_to(folder).as_posix() not in made)


def _report(stale: list[str], check: bool, count: int) -> None:
    for path in stale:
        print(f"{'out of date' if check else 'made'}: {path}")
    if not stale:
        print(f"all {count} files are up to date")
    elif check:
        print("run `make docs`")


if __name__ == "__main__":
    sys.exit(main())
