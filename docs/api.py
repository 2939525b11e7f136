"""The reference of the site: what the docstrings say of the public names, and what the verbs say of themselves.

Read from the source by griffe, so that nothing of torch or JAX is imported, and written as pages of Markdown, which is
what docstrings are here. Made at each build, and not kept.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import click
import griffe

from descend import rules
from descend.cli import VERBS, descend
from descend.rules.names import class_name

SOURCE = Path(__file__).parents[1] / "src"
# Page -> title, the module whose names it has, and where they stand: "" for all that the module exports.
PAGES = {
    "descend": ("descend", "descend", ("core.rule.rule", "core.rule.chain", "search.minimizing.minimize",
                "search.result.OptimizeResult", "core.rule.Rule", "optimizer.Optimizer")),
    "torch": ("descend.torch", "descend.torch", ()),
    "schedules": ("descend.schedules", "descend.schedules", ()),
    "jax": ("descend.jax", "descend.jax", ()),
    "surface": ("descend.lab.surface", "descend.lab.surface", ()),
    "checks": ("descend.checks", "descend.checks", ("checks.contract.run.check_rule",
               "checks.contract.engines.check_engine", "checks.contract.report.Report",
               "checks.references.registry.per_tensor")),
}  # fmt: skip


def pages() -> dict[str, str]:
    """Name of a page below `reference` -> its text."""
    package = griffe.load(
        "descend", search_paths=[SOURCE], allow_inspection=False, docstring_parser="google", resolve_aliases=True,
        docstring_options={"warn_unknown_params": False, "warnings": False, "returns_named_value": False},
    )  # fmt: skip
    made = {page: _page(package, *what) for page, what in PAGES.items()}
    made["torch"] += _classes()
    return {**made, "commands": _commands()}


def _page(package: Any, title: str, module: str, places: tuple[str, ...]) -> str:
    home = package[module.partition(".")[2]] if "." in module else package
    about = re.sub(r"^Layer [\d.]+: (.)", lambda m: m[1].upper(), home.docstring.value if home.docstring else "")
    if places:
        named = [package[place] for place in places]
    else:
        found = {name: one for name in sorted(_exported(home)) if (one := _found(package, home, name)) is not None}
        # a module of the name of its function hides it from griffe
        named = [one.members.get(name, one) if one.is_module else one for name, one in found.items()]
    shown = [_entry(module, one) for one in named if not one.is_module]
    return f"# {title}\n\n{_escaped(about)}\n\n" + "\n".join(filter(None, shown))


def _exported(home: Any) -> list[str]:
    names = [str(name).strip("'\"") for name in home.exports or ()]
    return names or [name for name, one in home.members.items() if one.is_alias and not name.startswith("_")]


def _found(package: Any, home: Any, name: str) -> Any:
    """A name of a module: what stands there, or where its table of names that are loaded when asked for says."""
    later = ast.literal_eval(str(home.members["_AROUND"].value)) if "_AROUND" in home.members else {}
    if name not in later:
        return home.members.get(name)
    place = later[name]
    return package[f"{place[1:] if place[0] == '.' else f'{home.name}.{place}'}.{name}"]


def _entry(module: str, one: Any) -> str:
    """A directive of Sphinx's Python domain, with what the docstring says; of a class, its members too."""
    if one.is_alias:
        one = one.final_target
    if one.docstring is None or not (one.is_function or one.is_class):
        return ""
    name = f"{module}.{one.name}"
    if one.is_function:
        return _directive("function", name + _signature(one), _said(one))
    own = [x for x in one.members.values() if not x.name.startswith("_") and x.docstring and not x.is_alias]
    inside = [
        _directive("method" if x.is_function else "attribute", x.name + _signature(x), _said(x), ticks=3) for x in own
    ]
    maker = one.members.get("__init__")
    taken = _signature(maker) if maker and maker.is_function else ""
    return _directive("class", name + taken, "\n\n".join([_said(one), *inside]))


def _directive(kind: str, signature: str, said: str, ticks: int = 4) -> str:
    fence = "`" * ticks
    return f"{fence}{{py:{kind}}} {signature}\n\n{said}\n{fence}\n"


def _signature(one: Any) -> str:
    if not one.is_function:
        return ""
    parts, starred = [], False
    for p in one.parameters:
        if p.name in ("self", "cls"):
            continue
        if p.kind is griffe.ParameterKind.keyword_only and not starred:
            parts.append("*")
        stars = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(p.kind, "")
        starred |= p.kind in (griffe.ParameterKind.var_positional, griffe.ParameterKind.keyword_only)
        parts.append(f"{stars}{p.name}" + (f"={p.default}" if p.default is not None and not stars else ""))
    return f"({', '.join(parts)})"


SECTION = re.compile(r"\n(?=(?:Args|Attributes|Raises|Returns|Yields):)")


def _said(one: Any) -> str:
    made = []
    if one.docstring:
        one.docstring.value = SECTION.sub("\n\n", one.docstring.value)  # where griffe looks for sections
    for section in one.docstring.parsed if one.docstring else ():
        match section.kind:
            case griffe.DocstringSectionKind.text:
                made.append(_escaped(section.value))
            case griffe.DocstringSectionKind.parameters | griffe.DocstringSectionKind.attributes:
                title = "Arguments" if section.kind is griffe.DocstringSectionKind.parameters else "Attributes"
                made.append(f"**{title}**\n\n" + _list((x.name, x.description) for x in section.value))
            case griffe.DocstringSectionKind.raises:
                made.append("**Raises**\n\n" + _list((str(x.annotation), x.description) for x in section.value))
            case griffe.DocstringSectionKind.returns | griffe.DocstringSectionKind.yields:
                made.append("**Returns** " + " ".join(_escaped(x.description) for x in section.value))
    return "\n\n".join(made)


def _list(items) -> str:
    return "\n".join(f"- `{name}`: {_escaped(' '.join(said.split()))}" for name, said in items)


def _escaped(text: str) -> str:
    """Without what Markdown would take for its own, outside of code."""
    text = re.sub(r"^::\n|::$", "", text, flags=re.MULTILINE)  # an indented block is code without it
    parts = re.split(r"(``.*?``|`[^`]*`|^ {4}.*$)", text, flags=re.DOTALL if "    " not in text else re.MULTILINE)
    return "".join(x if k % 2 else re.sub(r"(?<!^)(?<!\n)([*_<\[])", r"\\\1", x) for k, x in enumerate(parts))


def _classes() -> str:
    """Every rule has a class of its name; its settings are on the rule's page."""
    rows = [
        f"| `{class_name(name)}` | [{name}](../rules/{rules.family_of(name)}.md#{name}) | "
        f"{', '.join(f'`{setting}`' for setting in rule.settings)} |"
        for name, rule in rules.all().items()
    ]
    return "\n".join([
        "\n## Classes of rules\n",
        "Those that torch has too have torch's arguments and defaults; `help(AdamW)` lists all that a class takes.\n",
        "| class | rule | settings of the rule |", "|---|---|---|", *rows, "",
    ])  # fmt: skip


def _commands() -> str:
    """`descend VERB --help`, of each."""
    parent = click.Context(descend, info_name="descend", terminal_width=100, max_content_width=100)
    made = ["# Commands\n"]
    for verb, (_, idea) in VERBS.items():
        command = descend.get_command(parent, verb)
        assert command is not None
        told = command.get_help(click.Context(command, parent, info_name=verb))
        made.append(f"## descend {verb}\n\n{idea}\n\n```text\n{told}\n```\n")
    return "\n".join(made)
