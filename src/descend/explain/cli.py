"""``descend list`` and ``descend explain``: options in, pages out."""

import json
from pathlib import Path

import click

from ..draw.verb import Target, save
from ..search import about
from ..search.names import METHODS
from . import facts
from .export import as_dict
from .export import html as page
from .named import named


@click.command("list")
@click.option("--compare", is_flag=True, help="Say which other libraries have each rule, and under what name.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print the names only, one a line.")
def list_rules(compare: bool, as_json: bool, quiet: bool) -> None:
    """List every rule and modifier: year, idea, state, bytes, engines."""
    known = facts.catalogue()
    if compare:
        _compare(as_json, quiet)
    elif as_json:
        wanted = ("name", "kind", "family", "year", "idea", "paper", "state", "bytes_per_parameter", "engines")
        rows = [{key: value for key, value in as_dict(rule).items() if key in wanted} for rule in known.values()]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    elif quiet:
        click.echo("\n".join(known))
    else:
        from ..draw.terminal import console
        from .pages import LIST_WIDTH, print_list

        print_list(console(LIST_WIDTH))


def _compare(as_json: bool, quiet: bool) -> None:
    from . import compare

    if as_json:
        click.echo(json.dumps(compare.as_rows(), ensure_ascii=False, indent=1))
    elif quiet:
        click.echo("\n".join(" ".join([name, *compare.words(name)]) for name in compare.names()))
    else:
        from ..draw.terminal import console

        compare.print_compare(console(compare.WIDTH))


def _complete(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    return [name for name in [*facts.catalogue(), *METHODS] if name.startswith(begun.lower().replace("-", "_"))]


@click.command()
@click.argument("rule", shell_complete=_complete)
@click.option("--steps", type=click.IntRange(1, 100), default=1, show_default=True, help="Steps done by hand.")
@click.option("--source", is_flag=True, help="Print the rule as it is written.")
@click.option("--latex", is_flag=True, help="Print the formula in LaTeX (amsmath).")
@click.option(
    "--html", type=Target(), metavar="FILE", help="Write a page with MathML; a file that is there is replaced."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print the formula only.")
def explain(rule: str, steps: int, source: bool, latex: bool, html: Path | None, as_json: bool, quiet: bool) -> None:
    """Explain RULE: formula, state, cost, what it adds to its nearest relative, one step by hand.

    RULE is a name of `descend list`, or a chain of such names: clip_norm+adamw; or a method of `descend minimize`:
    cma_es.
    """
    given = {"--source": source, "--latex": latex, "--html": html, "--json": as_json, "--quiet": quiet}
    asked = [name for name, value in given.items() if value not in (False, None)]
    if len(asked) > 1:
        raise click.UsageError(f"{' and '.join(asked)} exclude each other.")
    if about.known(rule):
        _explain_method(rule, given, as_json)
        return
    found = named(rule)
    if as_json:
        click.echo(json.dumps(as_dict(found, steps), ensure_ascii=False, indent=1))
    elif source:
        click.echo(facts.source(found))
    elif latex:
        click.echo("\n\n".join(as_dict(found)["formula"]["latex"]))
    elif quiet:
        click.echo("\n".join(facts.lines(found)))
    elif html is not None:
        save(html, lambda file: file.write_text(page(found, steps), encoding="utf-8"))
    else:
        from ..draw.terminal import console
        from .pages import EXPLAIN_WIDTH, print_page

        print_page(console(EXPLAIN_WIDTH), found, steps)


def _explain_method(name: str, given: dict[str, object], as_json: bool) -> None:
    """The page of a method of search, which is no rule and has less to show."""
    for option in ("--source", "--latex", "--html"):
        if given[option] not in (False, None):
            raise click.UsageError(f"{name} is a method of search, for which there is no {option}.")
    if as_json:
        click.echo(json.dumps(about.about(name), ensure_ascii=False, indent=1, default=str))
    else:
        click.echo(about.about(name)["idea"] if given["--quiet"] else about.page(name))
