"""`descend race --all`: one race after the other, each kept; `--resume` takes what is finished from the store."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from ....draw import files, terminal
from ....draw.terminal import print_line
from ...store import Store
from ...tasks.catalogue import MODULES
from ...tasks.source import Source, lacking
from .. import asked
from ..drive import Drive
from ..live import watched
from ..race import Config
from ..record import Record
from ..results import results
from .several import Several, rows_of

SEEDS = 3  # fresh seeds: as AlgoPerf has three studies of five trials


def available() -> tuple[list[Source], list[str]]:
    """The tasks whose data are here, and a sentence for each that lacks something."""
    sources = [Source(name) for name in MODULES]
    said = {source.name: lacking(source.card()) for source in sources}
    return [source for source in sources if not said[source.name]], [text for text in said.values() if text]


def race_all(
    rules: tuple[str, ...],
    given: dict[str, Any],
    store: Store | None,
    console: Console,
    processes: int,
) -> tuple[Several, str]:
    """Race on every task; and what stopped it before the end: "seconds", "interrupted" or nothing."""
    sources, missing = available()
    quiet = given["quiet"]
    say: Callable[[str], None] = (lambda text: None) if quiet else (lambda text: print_line(console, text))
    say(f"descend race: {len(sources)} tasks · {len(rules)} rules · 7 learning rates · {SEEDS} fresh seeds")
    for text in missing:
        say(f"left out: {text}")
    done: list[tuple[Record, Any]] = []
    began = perf_counter()
    end = began + given["seconds"] if given["seconds"] else None
    for k, source in enumerate(sources):
        card = source.card()
        config = Config(
            rules, card.name, card.steps, card.batch, SEEDS, given["seed"], card.delta, given["schedule"], log=card.log
        )
        config = config.quick(keep_seeds=True)
        record = (given["resume"] and store and asked.same(store, config, source)) or asked.new_record(
            config, source, card, processes
        )
        if store is not None and not record.id:
            asked.begin(record, store)
        say(f"[{k + 1}/{len(sources)}] {card.name}: {card.model.split(',')[0]}")
        seconds = None if end is None else max(0.0, end - perf_counter())
        drive = Drive(record, source, processes, store, seconds, given["on"] or "")
        interrupted = watched(drive, console, quiet or not terminal.watched(console.file))
        found = results(record)
        if found.tuned:
            done.append((record, found))
            from ..verdict import verdict

            left = (perf_counter() - began) / (k + 1) * (len(sources) - k - 1)
            say(f"    {verdict(record, found)[0]}" + (f" About {left:.0f} s left." if left > 1 else ""))
        if stopped := "interrupted" if interrupted else drive.stopped:
            return Several(done), stopped
    return Several(done), ""


def deliver(several: Several, folder: Path, as_json: bool, quiet: bool, console: Console, echo: Callable) -> None:
    """Write race-all.html and race-all.json, then say what they say."""
    from ....draw.terminal import Table

    name = files.free_stem(folder, "race-all", (".html", ".json"))
    said = several.summary()
    runs = {record.config.task: [asdict(run) for run in record.runs] for record, _ in several.races}
    from ....core.jsonable import jsonable

    made = {
        folder / f"{name}.html": several.html(),
        folder / f"{name}.json": json.dumps(jsonable({**said, "runs": runs}), ensure_ascii=False, allow_nan=False),
    }
    for path, text in made.items():
        files.write(path, text)
    if as_json:
        echo(json.dumps({**said, "files": [str(path) for path in made]}, ensure_ascii=False, indent=1))
    elif not quiet:
        if rows := rows_of(several):
            head = ("rule", "per step", "95 %", "per second", "95 % ")
            console.print()
            console.print(Table(head, rows, right=head[1::2]))
        console.print()
        for sentence in several.sentences():
            console.print(sentence)
        print_line(console, f"Report: {folder / name}.html")
