"""`descend tasks`: what can be raced on."""

import json
from dataclasses import asdict

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print every card as one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="Print the names only.")
def tasks(as_json: bool, quiet: bool) -> None:
    """List the tasks: data, model, how long a run takes, and what each is known to show.

    All data come inside installed packages or are made by the program; nothing is downloaded.
    """
    from .catalogue import MODULES
    from .source import Source, lacking

    if quiet:
        click.echo("".join(f"{name}\n" for name in MODULES), nl=False)
        return
    cards = [Source(name).card() for name in MODULES]
    if as_json:
        click.echo(json.dumps([{**asdict(card), "missing": lacking(card)} for card in cards], indent=1))
        return
    from ...draw.terminal import Table, console

    to = console(120)
    rows = [
        (card.name, str(card.steps), str(card.batch), f"{card.seconds:g}", _told(card.shows, card.model, lacking(card)))
        for card in cards
    ]
    head = ("task", "steps", "batch", "s/run", "model · what it shows")
    to.print(Table(head, rows, right=head[1:4], prose=True, indent=2, style="cyan"))
    to.print("race on one: descend race --task NAME")


def _told(shows: str, model: str, missing: str) -> str:
    return f"{model.split(',')[0]} · {shows}" + (f" · {missing}" if missing else "")
