"""``python -m benchmarks.curvature pinn``: the tables of docs/pinn.md, docs/kfac.md and docs/minimize.md."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click


@click.group()
def curvature() -> None:
    """What the curvature is worth at equal seconds."""


SEEDS = click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Of weights and points.")
JSON = click.option("--json", "as_json", is_flag=True, help="The rows as JSON.")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _print(measure: Any, as_json: bool, run: Callable[[], list[dict[str, Any]]]) -> None:
    """On one thread, whose seconds are then those of the processor."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = run()
    finally:
        torch.set_num_threads(threads)
    click.echo(json.dumps(rows) if as_json else measure.table(rows))


@curvature.command()
@click.option("--seconds", default=15.0, show_default=True, help="Of processor time for each run.")
@SEEDS
@JSON
def pinn(seconds: float, seeds: int, as_json: bool) -> None:
    """Poisson's and Burgers' equation by a net of two tanh layers: tuned Adam beside methods with curvature."""
    from . import pinn as measure

    _print(measure, as_json, lambda: measure.run(seconds, seeds, _say))


@curvature.command()
@SEEDS
@JSON
def kfac(seeds: int, as_json: bool) -> None:
    """K-FAC on an autoencoder of the digits beside tuned Adam and SGD, by steps and by seconds."""
    from . import digits as measure

    _print(measure, as_json, lambda: measure.run(seeds, _say))


@curvature.command("full-batch")
@click.option("--work", default=300.0, show_default=True, help="Of each run, in gradients of all images.")
@SEEDS
@JSON
def full_batch(work: float, seeds: int, as_json: bool) -> None:
    """Hessian-free, Newton-CG and L-BFGS on the digits autoencoder beside tuned Adam, at equal gradient equivalents."""
    from . import full_batch as measure

    _print(measure, as_json, lambda: measure.run(work, seeds, _say))


if __name__ == "__main__":
    curvature()
