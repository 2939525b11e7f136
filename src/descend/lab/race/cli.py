"""`descend race`: the command. Options in, exit code out; nothing slow is imported before it is needed."""

import importlib.util
import json
import sys
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from ...draw import files
from ...explain.named import named
from .race import Config

if TYPE_CHECKING:
    from rich.console import Console

    from .record import Record

NAME = "race-digits"
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@click.command()
@click.option("--rules", metavar="A,B,C", help="Rules to race, by name.  [default: eight classics]")
@click.option("--steps", type=click.IntRange(min=10), default=600, show_default=True, help="Steps of each training.")
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Fresh seeds that decide the race.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed for the tuning.")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the two files; what is there stays: they get the next free number.  [default: .]",
)
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Train nothing; rebuild tables and report from a race-digits.json.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; progress goes to stderr.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def race(
    ctx: click.Context,
    rules: str | None,
    steps: int,
    seeds: int,
    seed: int,
    out: Path | None,
    source: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Race update rules on real handwritten digits, fairly.

    Every rule gets the same seven learning rates around its usual one, tuned on one seed; then all meet on
    fresh seeds, with the same initial weights and the same order of images. Writes race-digits.json and
    race-digits.html. Ctrl-C keeps what is finished.
    """
    _refuse_pointless_options(ctx, source)
    _refuse_missing_packages()
    folder = out or (source.parent if source else Path())
    files.ready_folder(folder, "-o")
    console = _console(to_stderr=as_json)
    try:
        if source:
            record, code = _reload(source), 0
        else:
            config = Config(_known(rules), steps=steps, seeds=seeds, seed=seed)
            record, code = _run(config, console, quiet)
        if record.runs:
            _deliver(record, folder, source, console, as_json, quiet)
    except KeyboardInterrupt:
        code = INTERRUPTED
    ctx.exit(code)


def _refuse_pointless_options(ctx: click.Context, source: Path | None) -> None:
    given = [
        f"--{name}"
        for name in ("rules", "steps", "seeds", "seed")
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    ]
    if source and given:
        raise click.UsageError(f"--from trains nothing, so {', '.join(given)} cannot change it.")


def _refuse_missing_packages() -> None:
    packages = {"sklearn": "scikit-learn", "jinja2": "jinja2"}
    missing = [package for name, package in packages.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise click.UsageError(f"a race needs {' and '.join(missing)}: pip install 'descend[lab]'")


def _known(rules: str | None) -> tuple[str, ...]:
    """The rules asked for, each once.

    Raises:
        click.UsageError: one that does not exist; the message has the nearest.
    """
    from .space import DEFAULT_RULES

    if rules is None:
        return DEFAULT_RULES
    asked = [name for name in rules.split(",") if name.strip()]
    if not asked:
        raise click.BadParameter("no rule named; `descend list` shows all.", param_hint="--rules")
    return tuple(dict.fromkeys(named(name, steps=True).name for name in asked))


def _console(to_stderr: bool) -> "Console":
    from rich.console import Console

    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")  # a terminal without Unicode shows ? for a sign, not a traceback
    return Console(stderr=to_stderr, highlight=False, emoji=False)


def _run(config: Config, console: "Console", quiet: bool) -> "tuple[Record, int]":
    """The race itself; a record that is partial where it was stopped, and the exit code."""
    from .live import print_header, view_for
    from .workers import processes_for, run_race

    processes = processes_for(config)
    if not quiet:
        print_header(console, config, processes)
    from ... import rules
    from .record import Record, environment
    from .space import enter
    from .watch import Watch

    begin = perf_counter()
    entries = [enter(rules.get(name)) for name in config.rules]
    record = Record(config, entries, environment(processes))
    watch = Watch(config, entries)
    code = 0
    try:
        with (
            closing(run_race(config, entries, processes)) as events,
            view_for(console, record, watch, quiet) as view,
        ):
            for event in events:
                record.take(event)
                watch.take(event)
                view.take(event)
    except KeyboardInterrupt:
        code = INTERRUPTED
    record.finish(perf_counter() - begin, partial=code != 0)
    for rule, why in record.failed.items():
        click.echo(f"Error: {rule} failed and is not judged: {why}", err=True)
    return record, code or (1 if record.failed else 0)


def _reload(source: Path) -> "Record":
    from .record import RecordError, load

    try:
        return load(source)
    except (RecordError, OSError) as error:
        raise click.BadParameter(f"{source}: {error}", param_hint="--from") from None


def _deliver(
    record: "Record", folder: Path, source: Path | None, console: "Console", as_json: bool, quiet: bool
) -> None:
    """Write the files, then say what they say."""
    from .live import print_results
    from .record import to_json, write
    from .report import html
    from .results import results
    from .verdict import summary

    found = results(record)
    said: dict[str, Any] = summary(record, found)
    text = to_json(record, said)
    name = files.free_stem(folder, NAME, (".html",) if source else (".html", ".json"))
    report, replay = folder / f"{name}.html", source or folder / f"{name}.json"
    made = {report: html(record, found, text)}
    if source is None:
        made[replay] = text
    for path, content in made.items():
        try:
            write(path, content)
        except OSError as error:
            raise click.FileError(str(path), error.strerror) from None
    if as_json:
        click.echo(json.dumps({**said, "files": [str(path) for path in made]}, ensure_ascii=False, indent=1))
    elif not quiet:
        print_results(console, record, found, report, replay)
