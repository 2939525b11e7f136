"""`python -m descend.lab.choosing.study`: the sweeps of the tasks, and what they say."""

import sys
from pathlib import Path
from time import monotonic

import click

from ...tasks.catalogue import MODULES
from .sweep import Study, sweep

LEARNT = (
    "digits-logistic",
    "digits",
    "denoiser",
    "cancer",
    "quadratic",
    "longley",
)
KEPT_OUT = ("photo", "gunpoint", "diamonds", "fashion-cnn", "mnist-autoencoder")  # not looked at while building


@click.group()
def main() -> None:
    """Exhaustive sweeps, and how far `choose` is to be trusted."""


@main.command("sweep")
@click.option("--tasks", default=",".join(LEARNT), help="Tasks, comma-separated.", show_default=True)
@click.option("--store", type=click.Path(path_type=Path), required=True, help="SQLite file of the study.")
@click.option("--seconds", default=3600.0, help="All in all.", show_default=True)
@click.option("--processes", default=2, show_default=True)
def sweep_(tasks: str, store: Path, seconds: float, processes: int) -> None:
    """Run the exhaustive sweep of tasks; what was run before is kept."""
    study, begin = Study(store), monotonic()
    for task in tasks.split(","):
        if task not in MODULES:
            raise click.UsageError(f"no task {task!r}; `descend tasks` lists them.")
        there = 0
        for there, left in sweep(study, task, processes, seconds - (monotonic() - begin)):
            if there % 100 == 0:
                click.echo(
                    f"{task}: {there} runs, {left} left in this stage, {monotonic() - begin:.0f} s", file=sys.stderr
                )
        click.echo(f"{task}: {there or len(study.runs(task))} runs, {monotonic() - begin:.0f} s")
        if monotonic() - begin > seconds:
            break


if __name__ == "__main__":
    main()
