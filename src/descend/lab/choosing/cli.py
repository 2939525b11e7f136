"""`descend choose`: which rule, which rate, which schedule, for a task or for what you bring."""

import math
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

from ...draw.axes import ENDINGS
from ...draw.progress import progress
from ...draw.verb import INTERRUPTED, Above0, Target, json_or_quiet, save

if TYPE_CHECKING:
    from ..store import Store

WIDEST = 100
SECONDS = 55.0  # with what it takes to begin and to end, an answer in a minute


@click.command()
@click.argument("what", required=False)
@click.option("--seconds", type=Above0(), help="Time to spend.  [default: 55]")
@click.option("--runs", type=Above0(), help="To spend, in trainings of the full length.")
@click.option(
    "--horizon", type=click.IntRange(min=16), help="Steps of the training to choose for; default: the task's."
)
@click.option("--rules", "asked", metavar="A,B", help="Rules to choose from; default: six of the catalogue.")
@click.option("--target", help="The column to predict, of a table.")
@click.option("--price", type=click.Choice(["seconds", "steps"]), default="seconds", show_default=True,
              help="Whether a rule with slower steps gets fewer of them.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of weights and order.")
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True, help="That train.")
@click.option("-o", "--out", type=Target(*ENDINGS, ".html", ".json"), metavar="FILE",
              help="Write the report (.html) or picture (.svg, .png); replaces.")  # fmt: skip
@json_or_quiet("Print the rule, the rate and the schedule only.")
@click.pass_context
def choose(
    ctx: click.Context,
    what: str | None,
    seconds: float | None,
    runs: float | None,
    horizon: int | None,
    asked: str | None,
    target: str | None,
    price: str,
    seed: int,
    processes: int,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Choose rule, learning rate and schedule for WHAT.

    WHAT is a task (`descend tasks`; default: digits), a script with model(), loss(model, batch) and batches(seed), a
    table, a folder of images or a text, as for `descend race`. Short trainings, each annealed to zero, come first,
    then those that tell most of the whole one for what they cost. Their runs are kept, so a second call with more time
    goes on. For a model in a program of yours: descend.torch.choose.
    """
    begun = perf_counter()
    from ..race.asked import card_of, rules_of, source_of, tried_first
    from .strategy import FEWEST, Asked

    source = source_of(what, None, target)
    card = card_of(source)
    steps = horizon or card.steps
    if seconds is None and runs is None:
        seconds = SECONDS
    step_s = tried_first(source, FEWEST, seconds, card) / FEWEST
    from ..notebook import Notebook
    from .candidates import DEFAULT
    from .on_task import choose_on

    wanted = Asked(
        DEFAULT if asked is None else rules_of(asked, again=False),
        steps,
        runs=runs or math.inf,
        seconds=(seconds or math.inf) * processes,
        seed=seed,
        by_seconds=price == "seconds",
    ).fitted(step_s)
    with progress(f"choosing for {card.name}", quiet or as_json, "%") as report:
        try:
            with Notebook.of(source, _store(), processes) as notebook:
                left = (seconds or math.inf) - (perf_counter() - begun)  # what reading the task has not taken
                found = choose_on(notebook, wanted, max(left, 0.1), report)
                unkept = notebook.unstored
        except KeyboardInterrupt:
            click.echo("interrupted before there was an answer", err=True)
            ctx.exit(INTERRUPTED)
        except (ValueError, RuntimeError) as error:
            click.echo(f"Error: {card.name}: {error}", err=True)
            ctx.exit(1)
    if unkept:
        _not_kept(unkept)
    if as_json:
        click.echo(found.to_json())
    elif quiet:
        click.echo(f"{found.rule} {found.lr:g} {found.schedule}")
    else:
        from ...draw.terminal import console, watched
        from . import words

        width = console(WIDEST).width if watched(sys.stdout) else WIDEST
        click.echo(f"{words.text(found, width)}\n\n{found.code().rstrip()}")
    if out is not None:
        save(out, found.save, as_json or quiet)
    if found.interrupted:
        ctx.exit(INTERRUPTED)


def _store() -> "Store":
    from ..store import Store, StoreError

    try:
        return Store.open()
    except StoreError as error:
        _not_kept(error)
        return Store(None)


def _not_kept(why: object) -> None:
    click.echo(f"runs are not kept: {why}", err=True)
