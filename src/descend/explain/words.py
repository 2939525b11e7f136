"""``descend words``: what a rule is written with."""

import json
from dataclasses import asdict

import click

from ..core.words import OPERATORS, STARTS, WORDS


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the words as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print the names only, one a line.")
def words(as_json: bool, quiet: bool) -> None:
    """List the words a rule is written with: name, meaning, and the engines that have it."""
    if as_json:
        click.echo(json.dumps([asdict(word) for word in WORDS.values()], ensure_ascii=False, indent=1))
        return
    if quiet:
        click.echo("\n".join(WORDS))
        return
    width = max(len(word.form) for word in WORDS.values())
    for word in WORDS.values():
        click.echo(f"{word.form:{width}}  {word.meaning}  [{' '.join(word.engines)}]")
    for name, meaning in STARTS.items():
        click.echo(f"{name:{width}}  {meaning}")
    click.echo(f"\nBesides: {OPERATORS}. All are imported from descend: from descend import sqrt, where, zeros")
