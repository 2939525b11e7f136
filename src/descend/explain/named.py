"""The rule that an argument of a command names. It loads nothing: commands import it before they know their work."""

import click

from ..core.rule import Rule
from ..draw.verb import refusing
from ..rules import names


def named(name: str, steps: bool = False) -> Rule:
    """The rule, modifier or chain of that name; where it has several meanings, stderr says which.

    Args:
        steps: refuse a modifier alone.

    Raises:
        UsageError: there is none (the message has the nearest), or the stages make no chain.
    """
    with refusing(names.UnknownRule, TypeError):
        found = names.find_rule(name) if steps else names.find(name)
    if said := names.note(name):
        click.echo(said, err=True)
    return found
