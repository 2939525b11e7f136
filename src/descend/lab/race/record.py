"""The record of a race: everything that was asked, found and measured, as one JSON file.

The report is rebuilt from the record alone. Losses that are not finite are written as null.
"""

import gzip
import importlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...core.jsonable import jsonable
from ...core.shown import Shown
from ..store import run_of
from ..trials.runners.runner import Event, RuleFailed, RuleReady, RunDone
from .protocol.stages import Stages
from .race import Config, Entry, Run, look_at

FORMAT = "descend race"
VERSION = 2


class RecordError(ValueError):
    """A file that is not a record of a race, or of a version this program does not know."""


@dataclass
class Record(Shown):
    config: Config
    entries: list[Entry]
    environment: dict[str, Any]
    task: dict[str, Any]  # its card
    runs: list[Run] = field(default_factory=list)
    compile_s: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    date: str = ""
    partial: bool = True
    failed: dict[str, str] = field(default_factory=dict)  # rule -> what it stopped with
    id: str = ""  # of the race in the store

    def take(self, event: Event) -> None:
        """Keep what an event brings."""
        if isinstance(event, RunDone):
            self.runs.append(event.run)
        elif isinstance(event, RuleReady):
            self.compile_s[event.rule] = round(event.compile_s, 3)
        elif isinstance(event, RuleFailed):
            self.failed[event.rule] = event.reason

    def finish(self, seconds: float, partial: bool) -> None:
        self.seconds, self.partial = round(seconds, 2), partial
        self.date = datetime.now(UTC).isoformat(timespec="seconds")

    def __str__(self) -> str:
        # what tells of a race knows its record, not the other way round: asked for when somebody looks
        return importlib.import_module(f"{__package__}.live").plain(self)

    def _picture(self) -> str:
        return importlib.import_module(f"{__package__}.charts").picture(self)

    def plot(self, ax: Any = None) -> Any:
        """The mean curves on ``ax`` (or new axes), which are returned; printed, and None, where matplotlib is missing.

        Raises:
            ValueError: no rule has finished.
        """
        return importlib.import_module(f"{__package__}.charts").plot(self, ax)

    @property
    def looks(self) -> list[int]:
        return look_at(self.config.steps)

    def entry(self, rule: str) -> Entry:
        return next(entry for entry in self.entries if entry.rule == rule)

    def stages(self) -> Stages:
        """The race as far as it is: what is tuned, and the standings after the last complete look."""
        stages = Stages(self.config, self.entries, {run.trial: run for run in self.runs}, self.failed)
        stages.next()
        return stages


def to_json(record: Record, summary: dict[str, Any] | None = None) -> str:
    """The record as JSON, one line per run. `summary` repeats the tables; it is not read back."""
    fields = {"format": FORMAT, "version": VERSION, **asdict(record)}
    fields["looks"] = record.looks
    if summary is not None:
        fields["summary"] = summary
    runs = sorted(fields.pop("runs"), key=lambda run: (run["rule"], run["steps"], run["lr"], run["seed"]))
    head = json.dumps(jsonable(fields), ensure_ascii=False, allow_nan=False, indent=1)
    lines = ",\n  ".join(json.dumps(jsonable(run), allow_nan=False) for run in runs)
    return f'{head[:-2]},\n "runs": [\n  {lines}\n ]\n}}\n'


def from_json(text: str) -> Record:
    """Read a record back.

    Raises:
        RecordError: not JSON, not a record, or of an unknown version; the message says which.
    """
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise RecordError(f"not JSON: {error}") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise RecordError('not the record of a race: "format" is not "descend race"')
    if fields.get("version") != VERSION:
        raise RecordError(f"a record of version {fields.get('version')!r}; this program reads {VERSION}")
    try:
        asked = config_of(fields["config"])
        return Record(
            asked,
            [entry_of(entry) for entry in fields["entries"]],
            fields["environment"],
            fields["task"],
            [run_of(run) for run in fields["runs"]],
            **{name: fields[name] for name in ("compile_s", "seconds", "date", "partial", "failed", "id")},
        )
    except (KeyError, TypeError) as error:
        raise RecordError(f"a damaged record: {type(error).__name__} {error}") from None


def entry_of(fields: dict[str, Any]) -> Entry:
    """An entry read back."""
    return Entry(**{**fields, "space": {name: tuple(span) for name, span in fields.get("space", {}).items()}})


def config_of(fields: dict[str, Any]) -> Config:
    """The configuration of a race that was kept; those of before `pairs` end with the verdict against the leader."""
    return Config(**{"pairs": False, **fields, "rules": tuple(fields["rules"])})


def load(path: Path) -> Record:
    """Read a record from a `.json` file, or from the `.json.gz` that a report carries."""
    raw = path.read_bytes()
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise RecordError(f"not a text file: {error}") from None
    return from_json(text)
