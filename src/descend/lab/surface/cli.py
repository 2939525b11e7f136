"""`descend surface`: the paths of rules on a surface, as a table and as a picture."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ...draw.axes import ENDINGS, MOVING
from ...draw.verb import Target, json_or_quiet, save
from ...explain.named import named


@click.command()
@click.argument("what", metavar="[NAME|FILE:FUNCTION]", required=False)
@click.option("--rules", metavar="A,B,…", help="Which; default: those that tell the surface's story.")
@click.option("--lr", type=float, metavar="RATE", help="One rate for all; default: that of the story.")
@click.option("--tuned", is_flag=True, help="Each rule at its best rate of 19.")
@click.option("--start", metavar="X,Y", help="Where all begin.")
@click.option("--steps", type=click.IntRange(1, 100_000), help="Default: the surface's.")
@click.option("--noise", type=click.FloatRange(min=0), default=0.0, help="Deviation added to each part of the slope.")
@click.option("--ball", is_flag=True, help="A ball with friction, and momentum, which is its law in steps.")
@click.option("--mass", type=float, default=1.0, show_default=True, help="Of the ball.")
@click.option("--friction", type=float, default=0.5, show_default=True, help="Of the ball.")
@click.option("--dt", type=float, default=0.2, show_default=True, help="Time of a step of the ball.")
@click.option(
    "--arrows", type=click.IntRange(min=0), default=0, metavar="N",
    help="Draw jump and correction of the first N steps: momentum_velocity, nesterov_lookahead.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of samples and noise.")
@click.option(
    "-o", "--out", type=Target(*ENDINGS, *MOVING, ".html", ".json"), metavar="FILE",
    help="Write it: .html, .svg, .png, .pdf, .gif, .apng or .json. One that is there is replaced.",
)  # fmt: skip
@json_or_quiet(
    "Print rule, rate and the step from which on it is there.", "Print all points and states as one JSON document."
)
def surface(
    what: str | None,
    rules: str | None,
    lr: float | None,
    tuned: bool,
    start: str | None,
    steps: int | None,
    noise: float,
    ball: bool,
    mass: float,
    friction: float,
    dt: float,
    arrows: int,
    seed: int,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Paths of rules on a surface, all of them computed by the library itself.

    NAME is one of those that `descend surface` lists; FILE:FUNCTION is f(x, y) of yours in a Python file, which may say
    FRAME, START, MINIMA, LR and STEPS beside it.
    """
    if tuned and lr is not None:
        raise click.UsageError("--tuned and --lr exclude each other.")
    if ball and (rules or tuned or lr is not None or noise or arrows):
        raise click.UsageError("--ball has its own rule and rate: --mass, --friction and --dt decide.")
    if what is None:
        _list(as_json, quiet)
        return
    from .running import roll, run

    chosen = [named(word, steps=True) for word in rules.split(",") if word.strip()] if rules else None
    try:
        on, begin = _surface(what), _point(start)
        if ball:
            found = roll(on, begin, mass=mass, friction=friction, dt=dt, steps=steps)
        else:
            rate = "tuned" if tuned else lr
            found = run(on, chosen, begin, lr=rate, steps=steps, seed=seed, noise=noise, arrows=arrows)
    except (ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(found.to_json())
    elif quiet:
        for path in found:
            rate = "-" if path.lr is None else f"{path.lr:g}"
            click.echo(f"{path.rule} {rate} {'-' if path.reached is None else path.reached}")
    else:
        from ...draw.terminal import console

        to = console(120)
        to.print(f"{found.said}\n")
        to.print(found.table())
        if found.story:
            to.print(f"\n{found.story}")
    if out is not None:
        save(out, found.save, as_json or quiet)
    elif not as_json and not quiet:
        click.echo(f"\nas a picture that moves: descend surface {what} -o {found.surface.name}.html")


def _surface(what: str):
    """Raises: ValueError: there is none."""
    from .running import surface_of
    from .yours import from_file

    file, colon, name = what.rpartition(":")
    if not colon and what.endswith(".py"):
        file, name = what, "f"
    return from_file(Path(file), name) if file else surface_of(what)


def _point(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r}: two numbers with a comma, as in -1.2,1", param_hint="--start") from None
    return x, y


def _list(as_json: bool, quiet: bool) -> None:
    from .catalogue import SURFACES

    if quiet:
        click.echo("".join(f"{name}\n" for name in SURFACES), nl=False)
    elif as_json:
        words = ("name", "title", "formula", "frame", "start", "minima", "story", "rules", "lr", "steps", "near")
        click.echo(json.dumps([{word: getattr(one, word) for word in words} for one in SURFACES.values()], indent=1))
    else:
        from ...draw.terminal import Table, console

        rows = [(name, one.story) for name, one in SURFACES.items()]
        to = console(120)
        to.print(Table(("surface", "what it shows"), rows, prose=True, indent=2, style="cyan"))
        to.print("see one: descend surface NAME -o FILE.html")
