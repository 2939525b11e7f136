"""``descend bench``: every claim about speed and accuracy, measured here and now, against its bar."""

import json
import sys
from pathlib import Path

import click

from ..core.nearest import did_you_mean
from ..draw import files
from ..draw.axes import ENDINGS
from ..draw.verb import INTERRUPTED, Target, save
from ..explain.named import named

SECTIONS = ("loop", "speed", "tail", "start", "waits", "bits", "small", "accuracy", "models", "jax")


def _split(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for part in value for name in part.split(",") if name)


def _sections(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    names = _split(ctx, parameter, value)
    for name in names:
        if name not in SECTIONS:
            hint = did_you_mean(name, SECTIONS)
            raise click.BadParameter(f"no part {name!r}; there are {', '.join(SECTIONS)}.{hint}")
    return names


@click.command()
@click.option(
    "--only", multiple=True, metavar="A,B", callback=_sections, help=f"Measure these parts only: {', '.join(SECTIONS)}."
)
@click.option("--workload", multiple=True, metavar="A,B", callback=_split, help="Only the tables of these workloads.")
@click.option("--rules", "wanted", metavar="A,B", help="These rules, or all, on every workload.")
@click.option("--quick", is_flag=True, help="A few rules, in a minute at most.")
@click.option("--peers", is_flag=True, help="Also optax and pytorch_optimizer, where installed, in every table.")
@click.option("--compile", "compiled", is_flag=True, help="Also torch.compile (compiling takes long).")
@click.option("--rounds", type=click.IntRange(min=1), help="Interleaved rounds at most.  [default: 9; quick: 3]")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="All in all.  [default: 10; quick: 1]")
@click.option("--strict", is_flag=True, help="Exit 1 if a bar is missed or could not be run.")
@click.option("--seed", default=0, show_default=True, help="Of the random tensors.")
@click.option(
    "--json",
    "as_json",
    metavar="FILE",
    help="Write the run as JSON (a file that is there is replaced); - for standard output, and only it.",
)
@click.option(
    "--plot", type=Target(*ENDINGS, ".html"), metavar="FILE", help="Draw the roofline: .svg, .html, .png or .pdf."
)
@click.option("-q", "--quiet", is_flag=True, help="Print the bars only.")
@click.pass_context
def bench(
    ctx: click.Context,
    only: tuple[str, ...],
    workload: tuple[str, ...],
    wanted: str | None,
    quick: bool,
    peers: bool,
    compiled: bool,
    rounds: int | None,
    minutes: float | None,
    strict: bool,
    seed: int,
    as_json: str | None,
    plot: Path | None,
    quiet: bool,
) -> None:
    """Measure speed and accuracy against torch.optim and against this machine's memory.

    Every ratio comes from one run in which all contestants take turns: medians, with half the interquartile
    range as ±. docs/bench.md says how each number is made. Ctrl-C keeps what is finished.
    """
    _check_first(only, workload, as_json)
    from .timing import CLOCK

    begin = CLOCK.now()  # loading torch counts
    from . import plan
    from .report import Report, cores, watched
    from .speed import Bench

    names = _known(wanted)
    machine = Bench(
        rounds or (3 if quick else 9), block=0.03 if quick else 0.05, seed=seed, compiled=compiled, peers=peers
    )
    unknown = [name for name in workload if name not in machine.shapes]
    if unknown:
        hint = did_you_mean(unknown[0], machine.shapes)
        raise click.UsageError(f"no workload {unknown[0]!r}; there are {', '.join(machine.shapes)}.{hint}")
    silent = as_json == "-"
    report = Report((lambda line: None) if silent or quiet else click.echo, watched(quiet))
    report.begin(cores())
    try:
        jobs = plan.jobs(machine, report, only, workload, names, quick)
        plan.run(jobs, report, begin + plan.SHARE * 60 * (minutes or (1 if quick else 10)), CLOCK)
    except KeyboardInterrupt:
        report.interrupted = True
    if not silent:
        report.say = click.echo
        report.finish(everything=not (only or workload))
    document = report.document(" ".join(["descend", "bench", *sys.argv[2:]]), CLOCK.now() - begin)
    if as_json:
        text = json.dumps(document, indent=1, allow_nan=False)
        if silent:
            click.echo(text)
        else:
            save(Path(as_json), lambda file: file.write_text(text + "\n", encoding="utf-8"), aside=True)
    if plot and report.cells:
        from .plot import write

        save(plot, lambda file: write(file, report.cells, document["machine"]), aside=True)
    if report.interrupted:
        ctx.exit(INTERRUPTED)
    ctx.exit(1 if strict and (report.errors or any(bar.met is False for bar in report.bars())) else 0)


def _check_first(only: tuple[str, ...], workload: tuple[str, ...], as_json: str | None) -> None:
    """Refuse before ten minutes of measuring what would be refused after them.

    Raises:
        click.UsageError: a file that cannot be written, or options that exclude each other.
    """
    if only and workload:
        raise click.UsageError("--only and --workload exclude each other")
    if as_json is not None and as_json != "-":
        files.refuse_unwritable(as_json, "--json")


def _known(wanted: str | None) -> list[str] | None:
    from .. import rules

    if wanted is None:
        return None
    if wanted == "all":
        return list(rules.all())
    found = [named(name, steps=True).name for name in wanted.split(",") if name.strip()]
    if chains := [name for name in found if name not in rules.all()]:
        raise click.UsageError(f"{chains[0]} is a chain; what is measured are rules by themselves.")
    return list(dict.fromkeys(found))
