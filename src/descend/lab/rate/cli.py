"""`descend lr`: the range test of `descend.torch.find_lr` on a task of the lab."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...draw.axes import ENDINGS
from ...draw.progress import progress
from ...draw.verb import INTERRUPTED, Target, json_or_quiet, save
from ...explain.named import named

if TYPE_CHECKING:
    from ...torch.learning_rate import LRFinding


@click.command()
@click.argument("rule")
@click.argument("task", type=click.Choice(["digits"]), default="digits")
@click.option("--steps", type=click.IntRange(min=10), default=300, show_default=True, help="Steps of a sweep.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Sweeps.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Time budget.")
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
    task: str,
    steps: int,
    repeats: int,
    seconds: float | None,
    seed: int,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find a learning rate for RULE on TASK (digits: a perceptron 64-64-10 on handwritten digits).

    Sweeps raise the rate from step to step; what their curves suggest is probed by short trainings. The same for
    a model of yours: descend.torch.find_lr(model, optimizer, loss_fn, loader).
    """
    rule = named(rule, steps=True).name
    if importlib.util.find_spec("sklearn") is None:
        raise click.UsageError("the digits come with scikit-learn: pip install 'descend[lab]'")
    try:
        with progress(f"range test of {rule}", quiet or as_json) as report:
            from torch.nn.functional import cross_entropy

            from ...torch.learning_rate import find_lr
            from ..tasks.torch_digits import Batches, model

            found = find_lr(
                model(seed), rule, cross_entropy, Batches(seed),
                steps=steps, repeats=repeats, seconds=seconds, progress=report,
            )  # fmt: skip
    except KeyboardInterrupt:
        click.echo("interrupted; no rate was found", err=True)
        ctx.exit(INTERRUPTED)
    except (ValueError, RuntimeError) as error:
        click.echo(f"Error: {rule} on {task}: {error}", err=True)
        ctx.exit(1)
    if quiet and found.confidence == "low":
        click.echo(f"low confidence: {found.doubts[0].partition(': ')[2]}", err=True)
    click.echo(_shown(found, f"{rule} on {task}", as_json, quiet))
    if out is not None:  # after that: the result is not lost where the disk is full
        save(out, found.save, as_json or quiet)


def _shown(found: "LRFinding", title: str, as_json: bool, quiet: bool) -> str:
    if as_json:
        return found.to_json()
    if quiet:
        return f"{found.lr:g}"
    from ...draw.terminal import console

    return f"{title}\n\n{found.draw(console(100).width)}"
