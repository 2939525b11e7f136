"""The parts of the course that are made, not written: texts of rules, steps by hand, findings, and the pictures.

A page says what it shows, `<!-- rule: adam -->` to `<!-- end -->`, and `make docs` fills it in: `rule: NAME…`,
`source: FILE NAME…`, `by hand: NAME STEPS`, `difference: NAME NAME`, `claim: SENTENCE`. A picture is made by the
command below it, any that writes to `docs/course/`.
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

from descend import rules
from descend.explain import facts
from descend.explain.by_hand import by_hand
from descend.explain.relative import difference

from .markdown import fence, formula, steps

PART = re.compile(r"<!-- (rule|source|by hand|difference|claim): (.*?) -->\n.*?<!-- end -->", re.DOTALL)
COMMAND = re.compile(r"`((?:descend|python) [^`]*?docs/(course/[\w-]+\.svg))`")
# All commands in one process: a start takes longer than most of the pictures.
CHILD = """
import runpy, shlex, sys
from descend.cli import descend
for line in sys.stdin:
    program, *sys.argv = shlex.split(line)
    if program == "descend":
        descend(sys.argv, standalone_mode=False)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
"""


def pages(docs: Path) -> dict[str, str]:
    """The pages of the course, their parts filled in, by path below `docs`."""
    found = sorted(docs.glob("course/*.md"))
    table = (docs / "claims.md").read_text(encoding="utf-8") if found else ""
    return {page.relative_to(docs).as_posix(): filled(page.read_text(encoding="utf-8"), table) for page in found}


def filled(page: str, claims: str) -> str:
    """The text of a page with each part as it is now. `claims`: the page that has the table of findings.

    Raises:
        KeyError: a rule or a claim that does not exist.
    """

    def made(found: re.Match[str]) -> str:
        kind, about = found.groups()
        inside = _finding(about, claims) if kind == "claim" else "\n\n".join(SHOWN[kind](*about.split()))
        return f"<!-- {kind}: {about} -->\n\n{inside}\n\n<!-- end -->"

    return PART.sub(made, page)


def _rules(*names: str) -> Iterator[str]:
    for name in names:
        rule = rules.get(name)
        yield formula(rule)
        yield f"```python\n{facts.source(rule)}\n```"


def _source(file: str, *names: str) -> Iterator[str]:
    """Functions and methods (`PSO.iterate`) of a file of the package, as they stand there."""
    text = (Path(rules.__file__).parents[1] / file).read_text(encoding="utf-8")
    for name in names:
        node: ast.AST = ast.parse(text)
        for part in name.split("."):
            found = {x.name: x for x in ast.iter_child_nodes(node) if isinstance(x, ast.FunctionDef | ast.ClassDef)}
            node = found[part]
        assert isinstance(node, ast.FunctionDef | ast.ClassDef)
        first = min(x.lineno for x in (node, *node.decorator_list))
        lines = text.splitlines()[first - 1 : node.end_lineno]
        yield "\n".join(["```python", textwrap.dedent("\n".join(lines)), "```"])


def _by_hand(name: str, count: str = "1") -> Iterator[str]:
    yield from steps(rules.get(name), by_hand(rules.get(name), int(count)))


def _difference(before: str, after: str) -> Iterator[str]:
    yield fence("diff", difference(rules.get(before), rules.get(after)))


SHOWN: dict[str, Callable[..., Iterator[str]]] = {
    "rule": _rules, "source": _source, "by hand": _by_hand, "difference": _difference,
}  # fmt: skip


def _finding(claim: str, claims: str) -> str:
    for row in re.findall(r"^\| (.*) \|$", claims, re.MULTILINE):
        says, *found = row.split(" | ")
        if says == claim:
            answer, seen = found
            return f"> **{says}: {answer}.** {seen[:1].upper()}{seen[1:]}."
    raise KeyError(f"docs/claims.md has no claim {claim!r}")


def commands(docs: Path) -> dict[str, str]:
    """Picture, by its path below `docs` -> the command that makes it, as the pages have it."""
    texts = [page.read_text(encoding="utf-8") for page in sorted(docs.glob("course/*.md"))]
    return {picture: command for text in texts for command, picture in COMMAND.findall(text)}


def pictures(docs: Path) -> dict[str, str]:
    """The pictures of the course by path below `docs`, made anew.

    Raises:
        RuntimeError: a command failed; the message has what it said.
    """
    wanted = commands(docs)
    if not wanted:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "course").mkdir()
        lines = [
            command.removesuffix(f"docs/{picture}") + shlex.quote(f"{folder}/{picture}")
            for picture, command in wanted.items()
        ]
        ran = subprocess.run(
            [sys.executable, "-c", CHILD], input="\n".join(lines), cwd=docs.parent, capture_output=True, text=True
        )
        if ran.returncode:
            raise RuntimeError(f"a picture of the course could not be made: {ran.stderr}")
        return {picture: (Path(folder) / picture).read_text(encoding="utf-8") for picture in wanted}
