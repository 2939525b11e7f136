"""`descend lr`: the range test of `descend.torch.find_lr` on a task of the lab."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...draw.axes import ENDINGS
from ...draw.progress import progress
from ...draw.verb import INTERRUPTED, Above0, Target, json_or_quiet, save
from ...explain.named import named

if TYPE_CHECKING:
    from ...torch.learning_rate import LRFinding


@click.command()
@click.argument("rule")
@click.argument("what", required=False)
@click.option("--target", metavar="COLUMN", help="Of a .csv file: the column to be told from the others.")
@click.option("--steps", type=click.IntRange(min=10), default=300, show_default=True, help="Steps of a sweep.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Sweeps.")
@click.option("--seconds", type=Above0(), help="Time budget.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of weights and order.")
@click.option(
    "-o", "--out", type=Target(*ENDINGS, ".html"), metavar="FILE",
    help="Write the picture: .svg, .png, .pdf or .html. One that is there is replaced.",
)  # fmt: skip
@json_or_quiet("Print the learning rate only.")
@click.pass_context
def lr(
    ctx: click.Context,
    rule: str,
    what: str | None,
    target: str | None,
    steps: int,
    repeats: int,
    seconds: float | None,
    seed: int,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find a learning rate for RULE on WHAT.

    WHAT is a task (`descend tasks`; default: digits), a script with model(), loss(model, batch) and batches(seed), a
    .csv file with --target COLUMN, a folder with a folder of images for each class, or a text, as for `descend race`.

    Sweeps raise the rate from step to step; what their curves suggest is probed by short trainings. The same in a
    program of yours: descend.torch.find_lr(model, optimizer, loss_fn, loader).
    """
    rule = named(rule, steps=True).name
    from ..race.asked import card_of, source_of, tried_first

    source = source_of(what, None, target)
    card = card_of(source)
    try:
        with progress(f"range test of {rule}", quiet or as_json) as report:
            tried_first(source, steps, None, card)
            from .on_task import find_on

            found = find_on(source, rule, seed, steps=steps, repeats=repeats, seconds=seconds, progress=report)
    except KeyboardInterrupt:
        click.echo("interrupted; no rate was found", err=True)
        ctx.exit(INTERRUPTED)
    except (ValueError, TypeError, RuntimeError) as error:
        click.echo(f"Error: {rule} on {card.name}: {error}", err=True)
        ctx.exit(1)
    if quiet and found.confidence == "low":
        click.echo(f"low confidence: {found.doubts[0].partition(': ')[2]}", err=True)
    click.echo(_shown(found, f"{rule} on {card.name}", as_json, quiet))
    if out is not None:  # after that: the result is not lost where the disk is full
        save(out, found.save, as_json or quiet)


def _shown(found: "LRFinding", title: str, as_json: bool, quiet: bool) -> str:
    if as_json:
        return found.to_json()
    if quiet:
        return f"{found.lr:g}"
    from ...draw.terminal import console

    return f"{title}\n\n{found.draw(console(100).width)}"
