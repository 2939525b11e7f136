"""``descend check``: the contract tests of the project on a rule of yours."""

import contextlib
import json
import sys
import time

import click

from ..draw.verb import INTERRUPTED
from ..rules.names import note
from .contract.report import RED, WIDTH, Report, Result, column_of, print_result, verdict, wrapped
from .contract.run import check_rule, select
from .contract.target import BadTarget, Found, find


@click.command()
@click.argument("target")
@click.option("--only", multiple=True, metavar="NAME", help="Run this check only; may be given again.")
@click.option("--quick", is_flag=True, help="Leave out what compiles, and the mutants.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="Print what is red, and the verdict.")
def check(target: str, only: tuple[str, ...], quick: bool, as_json: bool, quiet: bool) -> None:
    """Check the rules of TARGET: a file, FILE.py:NAME, or a name of `descend list`.

    A function NAME_reference beside a rule, its plain NumPy transcription, allows two more checks. Exit code 0:
    nothing red, 1: something red, 2: TARGET cannot be checked.
    """
    try:
        names = [one.name for one in select(only)]
        with contextlib.redirect_stdout(sys.stderr):  # a module may print while it is imported
            found = find(target)
    except BadTarget as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if ".py" not in target and (several := note(target)):
        click.echo(several, err=True)
    page = _Page(column_of(names), quiet, as_json)
    reports: list[Report] = []
    try:
        for one in found:
            reports.append(page.run(one, only, quick))
    except KeyboardInterrupt:
        click.echo("interrupted; what was checked so far stands above", err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        click.echo(
            json.dumps({"target": target, "rules": [r.as_dict() for r in reports]}, ensure_ascii=False, indent=1)
        )
    sys.exit(0 if all(report.ok for report in reports) else 1)


class _Page:
    """Where results are printed as they come."""

    def __init__(self, column: int, quiet: bool, silent: bool) -> None:
        from ..draw.terminal import console

        self.to, self.column, self.quiet, self.silent = console(WIDTH), column, quiet, silent
        self.to.file = sys.stdout  # this one, also while what the rule prints goes to stderr

    def run(self, found: Found, only: tuple[str, ...], quick: bool) -> Report:
        if not self.silent and not self.quiet:
            title = " — ".join(part for part in (found.rule.name, found.rule.title) if part)
            for line in wrapped(title, self.to.width):
                self.to.print(line, style="bold")
        begun = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            report = check_rule(
                found.rule, found.reference, only=only, quick=quick, equivalent=found.equivalent, done=self._done
            )
        if not self.silent:
            for line in wrapped(f"{verdict(report)} ({time.perf_counter() - begun:.1f} s)", self.to.width):
                self.to.print(line, style="bold green" if report.ok else "bold red")
            if not self.quiet:
                self.to.print()
        return report

    def _done(self, result: Result) -> None:
        if not self.silent and (not self.quiet or result.status == RED):
            print_result(self.to, result, self.column)
