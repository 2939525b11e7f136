"""`descend map`: what breaks what."""

import contextlib
import functools
import sys
from pathlib import Path

import click

from ...core.rule import Rule
from ...draw.progress import progress
from ...draw.verb import INTERRUPTED, Target, json_or_quiet, refusing, save


@click.command("map")
@click.argument("target", required=False)
@click.option("--rules", "asked", metavar="A,B", help="These rules; default: the whole catalogue.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the problems.")
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True)
@click.option(
    "-o", "--out", type=Target(".html", ".json"), metavar="FILE", help="Write the map: .html or .json; replaces."
)
@json_or_quiet("Print rules and how many problems they solve only.")
@click.pass_context
def map_(
    ctx: click.Context,
    target: str | None,
    asked: str | None,
    seed: int,
    processes: int,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Put rules to 48 small problems with a known answer: what breaks what.

    TARGET: a file with rules of yours, which join those of --rules (default: adamw). Each rule gets 13 rates from 1e-4
    to 100 on every problem, and solves it if it does so at any of them.
    """
    from ... import rules as catalogue
    from ..race.asked import rules_of
    from .atlas import Atlas, drawn

    names = list(rules_of(asked, again=False)) if asked else ["adamw"] if target else list(catalogue.all())
    find = functools.partial(rule_named, None if target is None else target)
    if target is not None:
        for both in [name for name in names if name in _own(target)]:
            click.echo(f"{both} is the rule of {target} here, not the catalogue's", err=True)
        names = [*_own(target), *names]
    made = Atlas(list(dict.fromkeys(names)), seed)
    code = 0
    try:
        with progress("the map", quiet or as_json, "%") as report:
            for found in drawn(made.rules, seed, find, processes):
                made.take(found)
                if report is not None:
                    report(len({rule for _, rule in made.cells} | set(made.refused)), len(made.rules))
    except KeyboardInterrupt:  # the bar is gone: it would take what is said beside it along
        if not made.asked:
            click.echo("interrupted before the first rule was through", err=True)
            ctx.exit(INTERRUPTED)
        click.echo("interrupted; the rules so far", err=True)
        code = INTERRUPTED
    if as_json:
        click.echo(made.to_json())
    elif quiet:
        click.echo("".join(f"{rule} {made.score(rule)}\n" for rule in made.asked), nl=False)
        for rule, reason in made.refused.items():
            click.echo(f"{rule}: {reason}", err=True)
    else:
        click.echo(str(made))
    if out is not None:
        save(out, made.save, as_json or quiet)
    ctx.exit(code or (1 if target is not None and any(rule in made.refused for rule in _own(target)) else 0))


def rule_named(target: str | None, name: str) -> Rule:
    """A rule of the file, or of the catalogue; a function of a module, so that other processes find it."""
    from ... import rules

    return _own(target)[name] if target is not None and name in _own(target) else rules.get(name)


@functools.cache
def _own(target: str) -> dict[str, Rule]:
    """The rules of a file of the user's.

    Raises:
        UsageError: it cannot be read, or has none.
    """
    from ...checks.contract.target import BadTarget, find

    with refusing(BadTarget), contextlib.redirect_stdout(sys.stderr):  # a module may print while it is imported
        return {one.rule.name: one.rule for one in find(target)}
