"""``descend bench``: every claim about speed and accuracy, measured here and now, against its bar."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import click

SECTIONS = ("speed", "small", "start", "accuracy")


@dataclass
class Bar:
    """One claim: what was measured, and what it must reach."""

    claim: str
    value: float
    bar: float
    at_least: bool = True
    unit: str = "x"

    @property
    def met(self) -> bool:
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        number, bar = (
            f"{x:.2e}" if self.unit == "" else f"{x:.2f} {self.unit}".rstrip() for x in (self.value, self.bar)
        )
        return f"{'met   ' if self.met else 'MISSED'}  {self.claim}: {number}  (bar {sign} {bar})"


@dataclass
class Report:
    """Everything one run measured."""

    quiet: bool
    lines: list[dict[str, Any]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    def say(self, text: str = "") -> None:
        if not self.quiet:
            click.echo(text)

    def check(self, *args: Any, **kwargs: Any) -> None:
        self.bars.append(Bar(*args, **kwargs))


@click.command()
@click.option("--only", type=click.Choice(SECTIONS), multiple=True, help="Measure these sections only.")
@click.option("--rules", "wanted", metavar="A,B", help="These rules only (speed).")
@click.option("--rounds", default=9, show_default=True, help="Interleaved rounds; medians are quoted.")
@click.option("--seed", default=0, show_default=True, help="Of the random tensors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="Print the verdicts only.")
def bench(only: tuple[str, ...], wanted: str | None, rounds: int, seed: int, as_json: bool, quiet: bool) -> None:
    """Measure speed and accuracy against torch.optim and against this machine's memory.

    Ratios come from one run in which all contestants take turns. Exit code 1 if a bar is missed.
    """
    import torch

    from .. import rules

    names = list(rules.all()) if wanted is None else wanted.split(",")
    unknown = [name for name in names if name not in rules.all()]
    if unknown:
        raise click.UsageError(f"no rule {unknown[0]!r}; descend list shows them")
    torch.manual_seed(seed)
    sections = only or SECTIONS
    report = Report(quiet or as_json)
    try:
        for section in SECTIONS:
            if section in sections:
                _RUN[section](report, names, rounds)
    except KeyboardInterrupt:
        click.echo("interrupted; what was measured so far:", err=True)
    if as_json:
        bars = [{**asdict(bar), "met": bar.met} for bar in report.bars]
        click.echo(json.dumps({"threads": torch.get_num_threads(), "lines": report.lines, "bars": bars}, indent=1))
    else:
        for bar in report.bars:
            click.echo(str(bar))
    sys.exit(0 if all(bar.met for bar in report.bars) else 1)


def _speed(report: Report, names: list[str], rounds: int) -> None:
    from .speed import measure

    report.say("one tensor of 20,000,000 float32; limit = in-place streaming of as many arrays, same run and threads")
    report.say(f"{'rule':26} {'ns/param':>8} {'± %':>5} {'GB/s':>6} {'limit %':>8}  {'torch best':<10} {'speed':>7}")
    for line in measure("20M", names, rounds):
        report.lines.append(line.record())
        against = f"{line.best:<10} {line.speedup:6.2f}x" if line.best else ""
        share = 100 * (line.of_limit or 0)
        spread = f"{100 * line.spread:5.1f}"
        report.say(f"{line.rule:26} {line.ns_per_param:8.3f} {spread} {line.gb_per_s:6.1f} {share:8.1f}  {against}")
        report.check(f"{line.rule}, 20M: share of the streaming limit", share, 80.0, unit="%")
        if line.rule == "adamw":
            report.check("adamw, 20M: against torch fused", line.fused or 0.0, 0.95)
        if line.rule == "rmsprop":
            report.check("rmsprop, 20M: against torch's fastest form", line.speedup or 0.0, 4.0)
    report.say()


def _small(report: Report, names: list[str], rounds: int) -> None:
    from .speed import measure

    for workload, bar in (("1000x1000", 6.0), ("mlp", 2.0), ("mlp-784", None)):
        for line in measure(workload, ["adamw"], rounds):
            report.lines.append(line.record())
            what = f"adamw, {workload}: against torch fused"
            if bar is None:
                report.say(f"{what}: {line.fused:.2f} x (no bar)")
            else:
                report.check(what, line.fused or 0.0, bar)


def _start(report: Report, names: list[str], rounds: int) -> None:
    from .start import first_step, importing

    report.check("first step in a new process, nothing compiled", first_step(), 2.0, at_least=False, unit="s")
    seconds, heavy = importing()
    report.check("import descend", seconds, 0.3, at_least=False, unit="s")
    report.check("heavy modules that import descend loads", float(len(heavy)), 0.0, at_least=False, unit="")


def _accuracy(report: Report, names: list[str], rounds: int) -> None:
    from .accuracy import table

    report.say(
        "distance from torch.optim after 300 steps, worst of all combinations of shared arguments, state included"
    )
    for found in table():
        kind = str(found.dtype).removeprefix("torch.")
        report.lines.append({"class": found.name, "dtype": kind, "cases": found.cases, "worst": found.worst})
        report.check(
            f"{found.name} {kind}, {found.cases} combinations",
            found.worst,
            found.bar,
            at_least=False,
            unit="",
        )


_RUN = {"speed": _speed, "small": _small, "start": _start, "accuracy": _accuracy}
