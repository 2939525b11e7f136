"""Finished runs, kept at once: an SQLite file outside any repository, from which a killed race goes on.

It lies in `$DESCEND_DATA`, or in `descend` under the platform's place for data (`$XDG_DATA_HOME`, `~/.local/share`).
Several races may write at the same time: each row belongs to one of them (SQLite's write-ahead log, one short
transaction a run). A race is what was asked, as JSON, and the environment its numbers depend on.
"""

import json
import math
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core.jsonable import jsonable
from ..core.machine import folder
from .trials.trial import Run, Trial

FILE = "runs.sqlite"
PATIENCE = 60.0  # seconds to wait for another race's transaction, which takes it a millisecond
TABLES = """
CREATE TABLE IF NOT EXISTS races (
    id TEXT PRIMARY KEY, asked TEXT NOT NULL, environment TEXT NOT NULL, begun TEXT NOT NULL,
    state TEXT NOT NULL, told TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    race TEXT NOT NULL REFERENCES races(id) ON DELETE CASCADE, trial TEXT NOT NULL, run TEXT NOT NULL,
    PRIMARY KEY (race, trial)) WITHOUT ROWID;
"""


class StoreError(RuntimeError):
    """The store cannot be read or written; the message says where it lies and why."""


def directory() -> Path:
    """Where the store lies.

    Raises:
        StoreError: no home directory, and `DESCEND_DATA` is not set.
    """
    found = folder("DESCEND_DATA", "XDG_DATA_HOME", "Library/Application Support", ".local/share")
    if found is None:
        raise StoreError("no home directory; set DESCEND_DATA to a directory")
    return found


@dataclass(frozen=True)
class Kept:
    """A race in the store (or a notebook of single trials), without its runs."""

    id: str
    asked: dict[str, Any]
    environment: dict[str, Any]
    begun: str
    state: str  # running, stopped or finished; one that was killed still says running; of a notebook: open
    told: dict[str, Any]  # what is known beside the runs: seconds spent, rules that failed, compile times
    runs: int

    @property
    def is_race(self) -> bool:
        """Whether it is one, and no notebook of single trials."""
        return "config" in self.asked


class Store:
    """The open store. `path` None keeps it in memory, where nothing can be kept."""

    def __init__(self, path: Path | None) -> None:
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path or ":memory:", timeout=PATIENCE, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")  # a killed program loses nothing; a power cut the last runs
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.executescript(TABLES)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path}: {error}") from None
        self.path = path

    @classmethod
    def open(cls) -> "Store":
        """The store of this user.

        Raises:
            StoreError: it cannot be opened.
        """
        return cls(directory() / FILE)

    def close(self) -> None:
        self._db.close()

    def begin(self, name: str, asked: Mapping[str, Any], environment: Mapping[str, Any], state: str = "running") -> str:
        """A new race; its name in the store."""
        while True:
            race = f"{name}-{secrets.token_hex(3)}"
            begun = datetime.now(UTC).isoformat(timespec="seconds")
            row = (race, _text(asked), _text(environment), begun, state)
            with self._writing():
                try:
                    self._db.execute("INSERT INTO races VALUES (?, ?, ?, ?, ?, '{}')", row)
                except sqlite3.IntegrityError:
                    continue
            return race

    def keep(self, race: str, run: Run) -> None:
        """Write a finished run. Of one that is there already, the first stays: its numbers are the same."""
        with self._writing():
            self._db.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?)", (race, run.trial.key, _text(asdict(run))))

    def tell(self, race: str, state: str, told: Mapping[str, Any]) -> None:
        """How far a race is, and what is known beside its runs."""
        with self._writing():
            self._db.execute("UPDATE races SET state = ?, told = ? WHERE id = ?", (state, _text(told), race))

    def runs(self, race: str) -> dict[Trial, Run]:
        """All finished runs of a race."""
        rows = self._db.execute("SELECT run FROM runs WHERE race = ? ORDER BY trial", (race,))
        found = [run_of(json.loads(text)) for (text,) in rows]
        return {run.trial: run for run in found}

    def races(self) -> list[Kept]:
        """All races, the newest first."""
        rows = self._db.execute(
            "SELECT id, asked, environment, begun, state, told, (SELECT count(*) FROM runs WHERE race = id) "
            "FROM races ORDER BY begun DESC, rowid DESC"
        )
        return [Kept(i, json.loads(a), json.loads(e), b, s, json.loads(t), n) for i, a, e, b, s, t, n in rows]

    def race(self, name: str) -> Kept | None:
        """The race of that name, or the only one whose name begins so."""
        found = [kept for kept in self.races() if kept.id == name] or [
            kept for kept in self.races() if kept.id.startswith(name)
        ]
        return found[0] if len(found) == 1 else None

    def forget(self, race: str) -> None:
        """Remove a race and its runs."""
        with self._writing():
            self._db.execute("DELETE FROM races WHERE id = ?", (race,))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from None


def run_of(fields: Mapping[str, Any]) -> Run:
    """A run read back; null is a loss that was not finite."""
    lists = {
        key: [math.nan if x is None else x for x in fields[key]] for key in ("val_loss", "val_accuracy", "train_loss")
    }
    settings = tuple((name, value) for name, value in fields.get("settings", ()))
    return Run(**{**fields, **lists, "settings": settings})


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(jsonable(value), allow_nan=False)
