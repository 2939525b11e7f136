"""`descend data`: an image set of your own, from lists, folders and archives to a folder that can be raced on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...draw import terminal
from ...draw.terminal import count, print_line
from ...draw.verb import INTERRUPTED, json_or_quiet, refusing

if TYPE_CHECKING:
    from rich.console import Console

    from .result import Collected

ABOVE_0 = click.FloatRange(min=0, min_open=True)
FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def data() -> None:
    """An image set of your own for a classifier: collected, freed of duplicates, split, looked through.

    \b
      descend data collect dog.txt wolf.csv hyenas/ --per-class 1000 --out pictures
      descend data drop pictures marks.txt     what was marked in pictures/contact.html
      descend data check pictures              is it fit to train on?
      descend race pictures

    Every command has --json, --seed where chance is at work, --quiet, and --help.
    """


_ways = json_or_quiet("Print nothing but errors.", "Print the result as JSON; progress goes to stderr.")


@data.command()
@click.argument("sources", nargs=-1, metavar="LIST|FOLDER|ARCHIVE…", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=FOLDER, required=True, help="The folder of the set; one that was begun goes on.")
@click.option("--classes", metavar="A,B,…", help="Which; by default every label that the sources name.")
@click.option("--per-class", type=click.IntRange(min=1), help="As many of each; by default all.")
@click.option("--split", "shares", metavar="A,B,C", help="Shares of train, val and test.  [default: 80,10,10]")
@click.option("--licence", default="", help="Of the pictures whose list names none.")
@click.option("--side", type=click.IntRange(min=0), help="Longest side kept, in pixels; 0: as it is.  [default: 512]")
@click.option("--min-side", type=click.IntRange(min=1), help="Smaller ones are left out.  [default: 64]")
@click.option("--max-mb", type=ABOVE_0, help="Largest file in MiB.  [default: 20]")
@click.option("--rate", type=ABOVE_0, default=5.0, show_default=True, help="Requests a second, per host.")
@click.option("--timeout", type=ABOVE_0, default=20.0, show_default=True, help="Seconds for one answer.")
@click.option("--connections", type=click.IntRange(min=1, max=128), default=16, show_default=True, help="At once.")
@click.option("--processes", type=click.IntRange(min=0), help="That decode; 0: this one.  [default: 2]")
@click.option("--seed", type=click.IntRange(min=0), help="Of the split.  [default: 0]")
@_ways
@click.pass_context
def collect(ctx: click.Context, **given: Any) -> None:
    """Collect pictures into train, val and test.

    A list is a .csv, .tsv or .parquet with a column url (and, if there are, class and licence), or a .txt with an
    address per line; where no class is named, the list's own name is one (dog.txt). In a folder or an archive (.zip,
    .tar…) the folder around a picture names its class. WebDataset shards say it themselves.

    What is finished is kept at once: after Ctrl-C or a crash the same command goes on, and so it does with more sources
    when a class lacks pictures. Exit code 1: a class has fewer than --per-class.
    """
    from .collect import SourceError
    from .collect import collect as run
    from .manifest import Asked, SetError
    from .picture import Settings

    console = _console(to_stderr=given["as_json"])
    out: Path = given["out"]
    picture = None
    try:
        if any(given[name] is not None for name in ("side", "min_side", "max_mb")):
            before = Asked.of(out)
            was = before.picture if before else {}
            told = {"side": given["side"], "least": given["min_side"]}
            told["largest"] = None if given["max_mb"] is None else int(given["max_mb"] * 2**20)
            picture = Settings(**{**was, **{name: value for name, value in told.items() if value is not None}})
        made = run(
            given["sources"], out, classes=_words(given["classes"]), per_class=given["per_class"],
            shares=_shares(given["shares"]), seed=given["seed"], licence=given["licence"], picture=picture,
            web={"connections": given["connections"], "rate": given["rate"], "seconds": given["timeout"]},
            processes=given["processes"], view=_view(console, given["quiet"]),
        )  # fmt: skip
    except (SourceError, SetError) as error:
        raise click.UsageError(str(error)) from None
    except KeyboardInterrupt:  # before the first picture, or after the last
        ctx.exit(INTERRUPTED)
    if given["as_json"]:
        click.echo(json.dumps(made.told(), ensure_ascii=False, indent=1))
    elif not given["quiet"]:
        _show(made, console)
    ctx.exit(INTERRUPTED if made.partial else int(made.missing > 0))


@data.command()
@click.argument("folder", type=FOLDER)
@click.argument("marks", nargs=-1, required=True, metavar="MARKS|PICTURE…")
@_ways
def drop(folder: Path, marks: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Take wrong pictures out of the set in FOLDER, for good.

    MARKS is the file that its contact.html saves: a name per line; PICTURE is a picture of the set. They stay away when
    the set is collected again, and so do their copies.
    """
    from .drop import drop as run
    from .drop import names_in
    from .manifest import SetError
    from .picture import BY_ENDING

    with refusing(SetError):
        names = []
        for word in marks:
            names += [word] if Path(word).suffix[1:].lower() in BY_ENDING else names_in(Path(word))
        made, went, gone = run(folder, names)
    if as_json:
        click.echo(json.dumps({"dropped": went, "gone_before": gone, **made.told()}, ensure_ascii=False, indent=1))
    elif not quiet:
        console = _console()
        before = f"; {gone:,} had gone before" if gone else ""
        print_line(console, f"dropped {count(went, 'picture')}{before}")
        _show(made, console)


@data.command()
@click.argument("folder", type=FOLDER)
@click.option("--processes", type=click.IntRange(min=0), help="That decode; 0: this one.  [default: 2]")
@_ways
@click.pass_context
def check(ctx: click.Context, folder: Path, processes: int | None, as_json: bool, quiet: bool) -> None:
    """Check a set, or any folder of SPLIT/CLASS/picture or CLASS/picture; exit code 1 if something is wrong.

    Every picture is decoded and compared with all others: damaged or changed files, copies, one picture under two
    labels, pictures of one split that are like those of another, shares of the classes.
    """
    from .check import check as run
    from .manifest import SetError

    console = _console(to_stderr=as_json)
    if not folder.is_dir():
        raise click.UsageError(f"there is no folder {folder}")
    try:
        found = run(folder, processes, _view(console, quiet))
    except SetError as error:
        raise click.UsageError(str(error)) from None
    except KeyboardInterrupt:
        ctx.exit(INTERRUPTED)
    wrong = [one for one in found if one.wrong]
    if as_json:
        rows = [{"check": one.name, "says": one.says, "ok": not one.wrong, "about": list(one.about)} for one in found]
        click.echo(json.dumps({"folder": str(folder), "ok": not wrong, "checks": rows}, ensure_ascii=False, indent=1))
    elif not quiet:
        for one in found:
            print_line(console, f"{'✗' if one.wrong else '✓'} {one.name:10} {one.says}")
            if one.wrong:
                print_line(console, f"{'':13}{one.wrong}")
    ctx.exit(int(bool(wrong)))


@data.command()
@click.argument("folder", type=FOLDER)
@click.option("-o", "--out", type=FOLDER, required=True, help="A folder without shards.")
@click.option("--per-shard", type=click.IntRange(min=1), default=1000, show_default=True, help="Pictures in a file.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the order in the shards.")
@_ways
def pack(folder: Path, out: Path, per_shard: int, seed: int, as_json: bool, quiet: bool) -> None:
    """Write the set in FOLDER as WebDataset shards (tar), shuffled: train-000000.tar …

    `descend data collect` reads shards, too.
    """
    from .manifest import SetError
    from .shards import pack as run

    with refusing(SetError):
        files = run(folder, out, per_shard, seed)
    if as_json:
        click.echo(json.dumps({"files": [str(file) for file in files]}, indent=1))
    elif not quiet:
        print_line(_console(), f"wrote {count(len(files), 'shard')} to {out}")


def _console(to_stderr: bool = False) -> Console:
    made = terminal.console(110)
    made.stderr = to_stderr
    return made


def _view(console: Console, quiet: bool) -> Any:
    from .progress import Lines, Silent

    return Silent() if quiet else Lines(console)


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _shares(text: str | None) -> list[float] | None:
    """Raises: BadParameter: no three shares."""
    if text is None:
        return None
    try:
        shares = [float(word) for word in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) != 3 or min(shares) < 0 or not 0 < shares[0] <= sum(shares) < 1e9:
        raise click.BadParameter(f"{text!r}: three shares, the first not 0, as in 80,10,10", param_hint="--split")
    return shares


def _show(made: Collected, console: Console) -> None:
    """What there is, what is missing, what was left out, and what to do next."""
    head, rows = made.table()
    console.print(terminal.Table(head, rows, right=head[1:], indent=2, style="cyan"))
    if made.others:
        print_line(console, f"passed over: {made.others:,} files or rows that are no picture, or of no class asked for")
    if reasons := made.reasons():
        print_line(
            console,
            f"left out: {', '.join(f'{n:,} {reason}' for reason, n in reasons.items())}  ({made.folder}/rejected.csv)",
        )
    if made.conflicts:
        print_line(
            console,
            f"{count(made.conflicts, 'label conflict')}: the same picture under two labels, so under neither now",
        )
    if made.partial:
        print_line(console, "stopped; what is finished is kept, and the same command goes on")
    elif made.missing:
        counts = made.counts()
        lacking = ", ".join(f"{row['missing']:,} of {label}" for label, row in counts.items() if row["missing"])
        print_line(console, f"missing: {lacking}; collect again with more sources")
    if made.again:
        print_line(console, f"{made.again:,} may be had at another time: the same command asks for them again")
    if made.looked:
        print_line(console, f"{made.looked:,} looked at in {made.seconds:.1f} s")
    print_line(console, f"look through them: {made.folder}/contact.html")
    print_line(console, f"race on them: descend race {made.folder}")
