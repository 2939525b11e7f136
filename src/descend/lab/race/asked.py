"""What the command line asks for, as a race: refused by name before anything trains."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from ...core.machine import versions
from ...core.nearest import did_you_mean
from ...draw.verb import refusing
from ...explain.named import named
from ..conditions import changed, digest, environment
from ..store import Kept, Store
from ..tasks.catalogue import MODULES
from ..tasks.source import Source, lacking, source_at, tried
from ..tasks.task import Task, TaskError
from .race import Config, Entry
from .record import Record, config_of

DEFAULT_TASK = "digits"


def source_of(what: str | None, task: str | None, target: str | None = None) -> Source:
    """The task that WHAT or --task names, or what stands at that path.

    Raises:
        UsageError: there is no such task or file.
    """
    if what and task:
        raise click.UsageError(f"both {what!r} and --task {task}: one of them is enough.")
    name = what or task or DEFAULT_TASK
    yours = name not in MODULES and Path(name).exists()
    source = source_at(Path(name), target or "") if yours else Source(name)
    if not yours and (os.sep in name or Path(name).suffix):
        raise click.UsageError(f"there is no file {name}.")
    if not yours and name not in MODULES:
        raise click.UsageError(f"no task {name!r}.{did_you_mean(name, MODULES)} `descend tasks` lists them.")
    if target and source.kind != "table":
        raise click.BadParameter("it names a column of a .csv file, and nothing else has one.", param_hint="--target")
    return source


def tried_first(source: Source, steps: int, seconds: float | None, card: Task) -> float:
    """Refuse what cannot be raced, and a time that is over before one run; about the seconds that a run takes.

    Raises:
        UsageError: the message says what is wrong and what to do.
    """
    takes = card.seconds * steps / max(card.steps, 1)
    if source.kind != "task":
        try:
            takes = tried(source.problem(), steps)
        except TaskError as error:
            raise click.UsageError(f"{source.name}: {error}") from None
    if seconds is not None and takes > seconds:
        raise click.BadParameter(
            f"{seconds:g} s, but one run of {steps} steps takes about {takes:.2g} s; give it more, or fewer --steps.",
            param_hint="--seconds",
        )
    return takes


def within(config: Config, seconds: float, takes: float, processes: int) -> tuple[Config, str]:
    """The race that a time is enough for: as asked, or quick; and a sentence where it is not enough for either.

    Tuning, the first look and the rates left at their defaults must fit: before that there is no verdict.
    """
    if config.least_runs * takes / processes <= seconds:
        return config, ""
    quick = config.quick(keep_seeds=False)
    needs = quick.least_runs * takes / processes
    if needs <= seconds:
        return quick, f"{seconds:g} s: five rates and fewer seeds, as with --quick."
    return (
        quick,
        f"{seconds:g} s may end before there is a verdict, which takes about {needs:.0f} s; fewer --rules help.",
    )


def card_of(source: Source) -> Task:
    """The task's card.

    Raises:
        UsageError: what the task needs is not installed, or its data cannot be raced.
    """
    with refusing(TaskError):
        card = source.card()
    if said := lacking(card):
        raise click.UsageError(said)
    return card


def rules_of(asked: str | None, again: bool = True) -> tuple[str, ...]:
    """The rules asked for, each once; `adamw#2` is adamw once more, on seeds of its own.

    Args:
        again: whether a rule may stand there once more; only a race compares a rule with itself.

    Raises:
        UsageError: one that does not exist; the message has the nearest.
    """
    from .space import DEFAULT_RULES

    if asked is None:
        return DEFAULT_RULES
    words = [word.strip() for word in asked.split(",") if word.strip()]
    if not words:
        raise click.BadParameter("no rule named; `descend list` shows all.", param_hint="--rules")
    if not again and (numbered := next((word for word in words if "#" in word), None)):
        said = f"{numbered!r}: a rule is asked for by its name alone; only a race takes one once more, as adamw#2."
        raise click.BadParameter(said, param_hint="--rules")
    return tuple(dict.fromkeys(_label(word) for word in words))


def _label(word: str) -> str:
    name, sign, stream = word.partition("#")
    if sign and not (stream.isdigit() and int(stream) > 0):
        raise click.BadParameter(f"{word!r}: after # comes a number, as in adamw#2.", param_hint="--rules")
    found = named(name, steps=True).name
    return f"{found}#{stream}" if sign and int(stream) > 1 else found


def against_of(asked: str | None, rules: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The rule that all are held against, and the rules with it among them."""
    if asked is None:
        return "", rules
    label = _label(asked)
    return label, tuple(dict.fromkeys((label, *rules)))


def entries_of(labels: Sequence[str], tune: bool = False) -> list[Entry]:
    """The rules as they enter."""
    from ... import rules
    from .space import enter

    return [enter(rules.get(name), int(stream or 1), tune) for name, _, stream in (x.partition("#") for x in labels)]


def new_record(config: Config, source: Source, card: Task, processes: int) -> Record:
    """A record with no runs yet."""
    entries = entries_of(config.rules, config.tune > 0)
    told = environment(processes)
    told["rules"] = digest(entry.source for entry in entries)
    told["data"] = card.sha256[:16]
    if config.tune:
        told |= {name: found or "" for name, found in versions(("optuna",)).items()}
    return Record(config, entries, told, {**asdict(card), "source": asdict(source)})


def begin(record: Record, store: Store) -> None:
    """Enter a race into the store."""
    asked = {"config": asdict(record.config), "task": record.task}
    record.id = store.begin(record.config.task, asked, record.environment)


def resumed(store: Store, name: str) -> tuple[Record, Source]:
    """The race of that name (`last`: the newest that is not finished), with the runs it has.

    Raises:
        UsageError: there is none, or it was begun with versions whose numbers cannot be mixed with today's.
    """
    kept = unfinished(store) if name == "last" else store.race(name)
    if kept is None or not kept.is_race:
        why = "no race was left unfinished" if name == "last" else f"no race {name!r}"
        raise click.BadParameter(f"{why}; `descend runs` lists them.", param_hint="--resume")
    record, source = from_store(store, kept)
    now = new_record(record.config, source, card_of(source), 1).environment
    if differs := changed(kept.environment, now):
        listed = ", ".join(f"{key} {kept.environment.get(key)} then, {now.get(key)} now" for key in differs)
        raise click.BadParameter(
            f"{kept.id} was begun under other conditions ({listed}); its numbers cannot be mixed with today's. "
            f"`descend race --from {kept.id}` shows what it has.",
            param_hint="--resume",
        )
    return record, source


def same(store: Store, config: Config, source: Source) -> Record | None:
    """The newest race of just this configuration, begun under today's conditions, as far as it came."""
    wanted = json.loads(json.dumps(asdict(config)))
    now = new_record(config, source, source.card(), 1).environment
    for kept in store.races():
        if not changed(kept.environment, now) and kept.asked.get("config") == wanted:
            return from_store(store, kept)[0]
    return None


def unfinished(store: Store) -> Kept | None:
    return next((kept for kept in store.races() if kept.is_race and kept.state != "finished"), None)


def from_store(store: Store, kept: Kept) -> tuple[Record, Source]:
    """The record of a race in the store, as far as it came."""
    config = config_of(kept.asked["config"])
    task = dict(kept.asked["task"])
    record = Record(
        config, entries_of(config.rules, config.tune > 0), kept.environment, task, list(store.runs(kept.id).values())
    )
    told: dict[str, Any] = kept.told
    record.id, record.date, record.seconds = kept.id, told.get("date", kept.begun), told.get("seconds", 0.0)
    record.failed, record.compile_s = dict(told.get("failed", {})), dict(told.get("compile_s", {}))
    record.partial = record.stages().next() is not None
    return record, source_from(task["source"])


def source_from(fields: dict[str, Any]) -> Source:
    return Source(fields["name"], fields["kind"], tuple((name, value) for name, value in fields["options"]))


def told(record: Record) -> dict[str, Any]:
    """What the store keeps of a record beside its runs."""
    return {name: getattr(record, name) for name in ("seconds", "date", "failed", "compile_s")}


def with_options(card: Task, steps: int | None, seeds: int | None, delta: float | None) -> Task:
    """The card with what the command line says instead."""
    given = {"steps": steps, "seeds": seeds, "delta": delta}
    return replace(card, **{name: value for name, value in given.items() if value is not None})
