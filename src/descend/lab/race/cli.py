"""`descend race`: the command. Options in, exit code out; nothing slow is imported before it is needed."""

import importlib.util
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from ...draw import files
from ...draw.verb import INTERRUPTED, Above0
from ..tasks.source import Source
from ..trials.trial import SCHEDULES
from .race import Config

if TYPE_CHECKING:
    from rich.console import Console

    from ..store import Store
    from .record import Record

SHAPES = ("steps", "seeds", "seed", "schedule", "delta", "against", "quick", "tune", "pairs")
CONFIGURES = ("what", "task", "target", "rules", *SHAPES)
TUNE = 16  # trials of every rule that search its settings


@click.command()
@click.argument("what", required=False)
@click.option("--task", metavar="NAME", help="The task; `descend tasks` lists them.  [default: digits]")
@click.option(
    "--all", "every", is_flag=True, help="Every task whose data are here, quickly, and what they say together."
)
@click.option("--target", metavar="COLUMN", help="Of a .csv file: the column to be told from the others.")
@click.option("--rules", metavar="A,B,C", help="Rules to race, by name.  [default: eight classics]")
@click.option("--against", metavar="RULE", help="Hold every rule against this one instead of the leader.")
@click.option("--steps", type=click.IntRange(min=10), help="Steps of each training.  [default: the task's]")
@click.option("--schedule", type=click.Choice(SCHEDULES), default="linear", show_default=True, help="Of the rate.")
@click.option("--seeds", type=click.IntRange(min=2), help="Fresh seeds at most.  [default: the task's]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another number, other seeds.")
@click.option(
    "--delta",
    type=click.FloatRange(min=0, min_open=True, max=1, max_open=True),
    help="Share of the leader's loss that makes no difference.  [default: the task's]",
)
@click.option("--tune", is_flag=True, help=f"Search the other settings, too: {TUNE} trials of every rule (Optuna).")
@click.option("--pairs/--no-pairs", default=True, help="Go on until every two rules are told apart.  [default: pairs]")
@click.option("--quick", is_flag=True, help="Five rates and fewer seeds: half the time or less, more left undecided.")
@click.option("--seconds", type=Above0(), help="Stop after so long.")
@click.option("--processes", type=click.IntRange(min=1), help="Trainings at once.  [default: 2, or fewer cores]")
@click.option("--on", metavar="ray", help="Train on a Ray cluster: `ray` for this machine's, or ray://HOST:PORT.")
@click.option(
    "--resume",
    "resume",
    is_flag=False,
    flag_value="last",
    metavar="[RACE]",
    help="Go on with a race that was stopped or killed: the last, or the one named.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the two files; what is there stays: they get the next free number.  [default: .]",
)
@click.option(
    "--from",
    "source",
    metavar="FILE|RACE",
    help="Train nothing; tables and report of a race-*.json or of a race in the store (`descend runs`).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; progress goes to stderr.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def race(ctx: click.Context, **given: Any) -> None:
    """Race update rules, fairly, until it is decided: on handwritten digits, or on WHAT you bring.

    WHAT is a task (`descend tasks`), a script with model(), loss(model, batch) and batches(seed), a .csv file with
    --target COLUMN, a folder with a folder of images for each class, or a text. WHAT can be `claims`, too: what
    lectures say about updates, each put to the test.

    Every rule gets the same number of learning rates around the one its own range test finds; then all meet on fresh
    seeds, with the same initial weights and the same order of the data, and more seeds are added until each rule is
    equal to the leader or behind it. Every finished run is kept at once: --resume goes on after Ctrl-C, a crash, a
    power cut. Writes race-TASK.json and race-TASK.html.
    """
    source, resume = given["source"], given["resume"]
    if not given["every"]:
        _refuse_pointless_options(ctx, source, resume)
    _refuse_missing_packages()
    replay = Path(source) if source and Path(source).is_file() else None
    folder = given["out"] or (replay.parent if replay else Path())
    files.ready_folder(folder, "-o")
    if given["tune"] and importlib.util.find_spec("optuna") is None:
        raise click.UsageError("--tune needs Optuna: pip install 'descend[tune]'")
    if given["on"]:
        _connect(ctx, given)
    console = _console(to_stderr=given["as_json"])
    quiet = given["quiet"]
    try:
        if given["every"]:
            ctx.exit(_all(ctx, given, folder, console))
        if given["what"] == "claims":
            ctx.exit(_claims(ctx, given, folder, console))
        if source:
            record, code = _reload(source, replay), 0
        elif resume:
            record, code = _resumed(resume, given, console)
        else:
            record, code = _fresh(given, console)
        if record.runs:
            _deliver(record, folder, replay, bool(source), console, given["as_json"], quiet)
        elif not quiet:
            console.print(f"stopped before a run was finished; go on: descend race --resume {record.id}")
    except KeyboardInterrupt:
        code = INTERRUPTED
    ctx.exit(code)


def _all(ctx: click.Context, given: dict[str, Any], folder: Path, console: "Console") -> int:
    """One race on each task; the exit code."""
    from .asked import rules_of

    of_one = ("what", "task", "target", "steps", "seeds", "delta", "against", "tune", "quick", "source")
    words = [f"--{name}" for name in of_one if given[name]]
    if words:
        raise click.UsageError(f"--all races on every task as its card says, so {', '.join(words)} cannot be of all.")
    rules = rules_of(given["rules"])
    from .several.run import deliver, race_all

    several, stopped = race_all(rules, given, _store(), console, _processes(given, len(rules)))
    if several.races:
        deliver(several, folder, given["as_json"], given["quiet"], console, click.echo)
    if stopped and not given["quiet"]:
        console.print("stopped before all tasks were raced; go on: the same command with --resume")
    return INTERRUPTED if stopped == "interrupted" else int(any(record.failed for record, _ in several.races))


def _claims(ctx: click.Context, given: dict[str, Any], folder: Path, console: "Console") -> int:
    """The lecture's claims, one after the other; the exit code."""
    from ...core.jsonable import jsonable
    from ...draw.terminal import print_line
    from .claims.run import names, plain, run

    if words := [f"--{name}" for name in CONFIGURES[1:] if name != "seed" and _was_given(ctx, name)]:
        raise click.UsageError(f"claims are tested as they are, so {', '.join(words)} cannot change them.")
    processes, quiet, found = _processes(given, len(names())), given["quiet"], []
    if not quiet:
        print_line(console, f"descend race claims: {len(names())} claims, about two minutes in {processes} processes")
    begin = perf_counter()
    for name, says, finding in run(given["seed"], processes):
        found.append(plain(name, says, finding))
        if not quiet:
            left = (perf_counter() - begin) / len(found) * (len(names()) - len(found))
            print_line(
                console, f"{says}: {finding.answer.upper()}" + (f"  (about {left:.0f} s left)" if left > 1 else "")
            )
            print_line(console, f"    {finding.sentence}")
    path = folder / f"{files.free_stem(folder, 'race-claims', ('.json',))}.json"
    files.write(path, json.dumps(jsonable(found), ensure_ascii=False, indent=1))
    if given["as_json"]:
        click.echo(json.dumps({"claims": jsonable(found), "files": [str(path)]}, ensure_ascii=False, indent=1))
    elif not quiet:
        print_line(console, f"All numbers: {path}")
    return 0


def _was_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def _refuse_pointless_options(ctx: click.Context, source: str | None, resume: str | None) -> None:
    given = [f"--{name}" if name != "what" else str(ctx.params["what"]) for name in CONFIGURES if _was_given(ctx, name)]
    if source and given:
        raise click.UsageError(f"--from trains nothing, so {', '.join(given)} cannot change it.")
    if resume and given:
        raise click.UsageError(f"--resume goes on as the race was begun, so {', '.join(given)} cannot change it.")
    if source and resume:
        raise click.UsageError("--from trains nothing and --resume trains: one of them.")


def _refuse_missing_packages() -> None:
    packages = {"sklearn": "scikit-learn", "jinja2": "jinja2"}
    missing = [package for name, package in packages.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise click.UsageError(f"a race needs {' and '.join(missing)}: pip install 'descend[lab]'")


def _connect(ctx: click.Context, given: dict[str, Any]) -> None:
    """Connect to the cluster before anything is begun, until the command ends."""
    on = given["on"]
    if on != "ray" and not (on.startswith("ray://") and len(on) > len("ray://")):
        raise click.BadParameter(f"{on!r}: it is `ray`, or ray://HOST:PORT.", param_hint="--on")
    if given["source"] or given["what"] == "claims":
        raise click.UsageError("--on is for races; --from trains nothing, and claims run here.")
    from ..trials.runners.cluster import connected

    try:
        ctx.with_resource(connected(on, given["processes"]))
    except (ImportError, ConnectionError) as error:
        raise click.BadParameter(f"{error}", param_hint="--on") from None


def _console(to_stderr: bool) -> "Console":
    from rich.console import Console

    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")  # a terminal without Unicode shows ? for a sign, not a traceback
    return Console(stderr=to_stderr, highlight=False, emoji=False, force_jupyter=False)


def _fresh(given: dict[str, Any], console: "Console") -> "tuple[Record, int]":
    """A new race, as the options say."""
    from . import asked

    source = asked.source_of(given["what"], given["task"], given["target"])
    against, rules = asked.against_of(given["against"], asked.rules_of(given["rules"]))
    card = asked.with_options(asked.card_of(source), given["steps"], given["seeds"], given["delta"])
    config = Config(
        rules,
        card.name,
        card.steps,
        card.batch,
        card.seeds,
        given["seed"],
        card.delta,
        given["schedule"],
        against,
        card.log,
        tune=TUNE if given["tune"] else 0,
        pairs=given["pairs"],
    )
    processes, said = _processes(given, len(rules)), ""
    if given["quick"]:
        config = config.quick(keep_seeds=given["seeds"] is not None)
    if not given["quiet"]:
        _announce(console, config, card, processes)
    takes = asked.tried_first(source, config.steps, given["seconds"], card)
    if given["seconds"] is not None and not given["quick"]:
        config, said = asked.within(config, given["seconds"], takes, processes)
    if said and not given["quiet"]:
        console.print(said)
    store = _store()
    record = asked.new_record(config, source, card, processes)
    if store is not None:
        asked.begin(record, store)
    return _run(record, source, store, given, console)


def _resumed(name: str, given: dict[str, Any], console: "Console") -> "tuple[Record, int]":
    """A race from the store, to be finished."""
    from ..store import Store, StoreError
    from . import asked

    try:
        store = Store.open()
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    record, source = asked.resumed(store, name)
    if not given["quiet"]:
        _announce(console, record.config, asked.card_of(source), _processes(given, len(record.config.rules)))
        console.print(f"going on with {record.id}: {len(record.runs)} runs are there")
    return _run(record, source, store, given, console)


def _announce(console: "Console", config: Config, card: Any, processes: int) -> None:
    from .live import print_header

    print_header(console, config, card, processes)


def _processes(given: dict[str, Any], rules: int) -> int:
    if given["on"]:
        from ..trials.runners.cluster import slots

        return slots(given["processes"])
    from ...core.machine import cores
    from ..trials.runners.runner import PROCESSES

    return given["processes"] or max(1, min(PROCESSES, cores(), rules))


def _store() -> "Store | None":
    """The user's store; where there is none, a race goes on without, and says so."""
    from ..store import Store, StoreError

    try:
        return Store.open()
    except StoreError as error:
        click.echo(f"this race cannot be resumed, for its runs cannot be kept: {error}", err=True)
        return None


def _run(
    record: "Record", source: Source, store: "Store | None", given: dict[str, Any], console: "Console"
) -> "tuple[Record, int]":
    """The race itself; a record that is partial where it was stopped, and the exit code."""
    from .drive import Drive
    from .live import watched

    drive = Drive(record, source, _processes(given, len(record.config.rules)), store, given["seconds"], given["on"])
    interrupted = watched(drive, console, given["quiet"])
    if drive.unstored:
        click.echo(f"this race cannot be resumed, for its runs could not be kept: {drive.unstored}", err=True)
    for rule, why in record.failed.items():
        click.echo(f"Error: {rule} failed and is not judged: {why}", err=True)
    return record, INTERRUPTED if interrupted else int(bool(record.failed))


def _reload(source: str, replay: Path | None) -> "Record":
    from ..store import Store, StoreError
    from .asked import from_store
    from .record import RecordError, load

    try:
        if replay is not None:
            return load(replay)
        store = Store.open()
        if (kept := store.race(source)) and kept.is_race:
            return from_store(store, kept)[0]
    except (RecordError, StoreError, OSError) as error:
        raise click.BadParameter(f"{source}: {error}", param_hint="--from") from None
    raise click.BadParameter(
        f"{source!r} does not exist, and the store has no race of that name (`descend runs`).", param_hint="--from"
    )


def _deliver(
    record: "Record", folder: Path, replay: Path | None, reloaded: bool, console: "Console", as_json: bool, quiet: bool
) -> None:
    """Write the files, then say what they say."""
    from .live import print_results
    from .record import to_json
    from .report import html
    from .results import results
    from .verdict import summary

    found = results(record)
    said: dict[str, Any] = summary(record, found)
    text = to_json(record, said)
    name = files.free_stem(folder, f"race-{record.config.task}", (".html",) if reloaded else (".html", ".json"))
    report = folder / f"{name}.html"
    made = {report: html(record, found, text)}
    if not reloaded:
        made[replay := folder / f"{name}.json"] = text
    for path, content in made.items():
        try:
            files.write(path, content)
        except OSError as error:
            raise click.FileError(str(path), error.strerror) from None
    if as_json:
        click.echo(json.dumps({**said, "files": [str(path) for path in made]}, ensure_ascii=False, indent=1))
    elif not quiet:
        print_results(console, record, found, report, str(replay or record.id))
