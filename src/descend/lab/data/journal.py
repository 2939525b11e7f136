"""What has been finished, line by line: a killed call loses what it had in hand, and the next one goes on."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .picture import Looked


class Busy(RuntimeError):
    """Another call is at work in the folder."""


@dataclass(frozen=True)
class Entry:
    """What became of one candidate. `again`: the reason may be gone at the next call."""

    key: str
    label: str
    source: str
    where: str
    licence: str
    looked: Looked
    at: tuple[int, int] = (0, 0)  # which call named it, and its place there: the order in which pictures are taken
    again: bool = False


class Journal:
    """Entries by key, the last one of each; a context manager that one process at a time can open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b")
        try:
            _lock(self._file)
        except OSError:
            self._file.close()
            raise Busy(f"another call is at work in {self.path.parent.parent}") from None
        self._file.seek(0)
        lines = self._file.read().split(b"\n")
        if lines.pop():  # the last line was cut by a kill
            self._file.truncate(sum(len(line) + 1 for line in lines))
        for line in lines:
            with suppress(ValueError, TypeError, KeyError):  # a damaged line is work to be done again
                found: dict[str, Any] = json.loads(line)
                entry = Entry(**{**found, "looked": Looked(**found["looked"]), "at": tuple(found["at"])})
                self.entries[entry.key] = entry
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, entry: Entry) -> None:
        """Keep it at once."""
        self.entries[entry.key] = entry
        self._file.write(json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n")
        self._file.flush()


def _lock(file: Any) -> None:
    """Raises: OSError: another process has it. The lock goes with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows: two calls at once are the caller's affair there
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
