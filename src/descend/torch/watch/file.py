"""Records as lines of JSON: whole lines only, appended at once, readable after any interruption."""

import json
import math
import os
from typing import Any

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}  # JSON has no such numbers
_TEXT = ("name", "kind", "seen", "advice")


class Lines:
    """A file that records are appended to. ``last`` is the step of its last record, 0 where it was empty.

    A last line that was cut is taken away first. Each record goes out in one write and waits in no buffer.

    Raises:
        ValueError: the file holds something else. OSError: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self._file = os.fspath(path), None
        if parent := os.path.dirname(self.path):
            os.makedirs(parent, exist_ok=True)
        self.last = self._mend() if os.path.exists(self.path) else 0
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def _mend(self) -> int:
        """Cut off an unfinished last line; the step of the last whole one."""
        with open(self.path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            tail, begin = b"", size
            while begin and tail.count(b"\n", 0, -1) < 2:  # the last whole line and what follows it
                begin = max(0, begin - max(1 << 16, len(tail)))
                file.seek(begin)
                tail = file.read(size - begin)
        whole, _, cut = tail.rpartition(b"\n")
        last = whole.rpartition(b"\n")[2]
        if not whole and cut and not b'{"step": '.startswith(cut[:9]) and cut.strip(b"\0"):
            raise ValueError(f"{self.path} is there already and holds no telemetry; choose another path")
        found = _record(last) if whole else None
        if whole and found is None:
            raise ValueError(f"{self.path} is there already and its last line is no telemetry; choose another path")
        if cut:
            os.truncate(self.path, size - len(cut))
        return int(found["step"]) if found else 0

    def write(self, record: dict[str, Any]) -> None:
        """Append a record.

        Raises:
            OSError: it could not be written whole; what was written of it is taken back. ValueError: closed.
        """
        if self._file is None:
            raise ValueError(f"{self.path} is closed")
        line = (json.dumps(_safe(record), allow_nan=False) + "\n").encode()
        before = os.fstat(self._file).st_size
        try:
            done = os.write(self._file, line)
            while done < len(line):
                done += os.write(self._file, line[done:])
        except OSError:
            if os.fstat(self._file).st_size > before:
                os.truncate(self.path, before)
            raise

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    __del__ = close


def read(path: str | os.PathLike[str], every_run: bool = False) -> list[dict[str, Any]]:
    """The records of a file, in the order of their steps; NaN and infinities are numbers again.

    A last line that was cut is left out. Where a run was resumed from an earlier step, the records it replaces are
    left out too, unless ``every_run``.

    Raises:
        ValueError: another line is no record; the message says which.
    """
    with open(path, "rb") as file:
        *lines, cut = file.read().split(b"\n")
    found: list[dict[str, Any]] = []
    for number, line in enumerate([*lines, cut], 1):
        record = _record(line)
        if record is None:
            if number > len(lines):
                break
            raise ValueError(f"{os.fspath(path)}, line {number} is no record of TelemetryLogger")
        while found and not every_run and _order(found[-1]) >= _order(record):
            found.pop()
        found.append(record)
    return found


def _order(record: dict[str, Any]) -> tuple[int, int]:
    return record["step"], record.get("skipped", 0)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line, object_hook=_numbers)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else None


def _safe(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _numbers(pairs: dict[str, Any]) -> dict[str, Any]:
    return {k: _WORDS.get(v, v) if isinstance(v, str) and k not in _TEXT else v for k, v in pairs.items()}
