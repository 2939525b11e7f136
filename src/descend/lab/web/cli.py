"""`descend lab`: the page, served to this computer's browser alone."""

from __future__ import annotations

import contextlib
import json
import secrets
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...draw import files
from ...draw.verb import Target, json_or_quiet, refusing

if TYPE_CHECKING:
    from .tab import Lab

PORT = 8642


@click.command()
@click.argument("what", nargs=-1, metavar="[FILE|FILE:FUNCTION]…")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Where; 0: one that is free."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--target", metavar="COLUMN", help="Of a .csv file: the column to be told from the others.")
@click.option(
    "--export",
    type=Target(".html"),
    metavar="FILE",
    help="Write one .html that works from disk, and serve nothing.",
)
@json_or_quiet("Print the address alone.", "Print the address, or what was written, as JSON.")
def lab(
    what: tuple[str, ...],
    port: int,
    no_browser: bool,
    target: str | None,
    export: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Open the page: rules on surfaces as you drag the start, races, choices and range tests as they run.

    FILE is what `descend race` takes (a script, a .csv file, a folder of images, a text); FILE:FUNCTION is f(x, y) in a
    Python file, as for `descend surface`. The page can reach these and no other file. Ctrl-C ends it.
    """
    brought = _brought(what, target)
    if export is not None:
        _export(export, brought, as_json, quiet)
        return
    from . import serve
    from .app import app

    bound = serve.bound(port)
    port, token = bound.getsockname()[1], secrets.token_urlsafe(24)
    address = f"http://{serve.HOST}:{port}/{token}/"
    _say(address, as_json, quiet)
    server = serve.server(app(brought, token, serve.hosts(port)), brought)
    if not no_browser:
        server.on_start = lambda: webbrowser.open(address)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[bound])
    if not as_json and not quiet:
        click.echo("ended")


def _say(address: str, as_json: bool, quiet: bool) -> None:
    if as_json:
        click.echo(json.dumps({"url": address}))
    elif quiet:
        click.echo(address)
    else:
        click.echo(f"descend lab: {address}\nfor this computer only, as long as this runs; Ctrl-C ends it")


def _brought(what: tuple[str, ...], target: str | None = None) -> Lab:
    """Raises: UsageError: something that was named cannot be read."""
    from ..race.asked import source_of
    from ..surface.yours import from_file
    from .tab import Lab

    made = Lab()
    for name in what:
        file, colon, function = name.rpartition(":")
        if colon and file.endswith(".py"):
            with refusing(ValueError, TypeError):
                surface = from_file(Path(file), function)
            made.surfaces[surface.name] = surface
        else:
            if not Path(name).exists():
                raise click.UsageError(f"there is no file {name}.")
            source: Any = source_of(name, None, target)
            made.tasks[Path(name).name] = source
    if target and not made.tasks:
        raise click.BadParameter("it names a column of a .csv file, and none is named.", param_hint="--target")
    return made


def _export(target: Path, brought: Lab, as_json: bool, quiet: bool) -> None:
    from .export import html

    was_there = target.exists()
    target.write_text(html(brought), encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"files": [str(target)]}))
    elif not quiet:
        click.echo(files.wrote(target, was_there))
