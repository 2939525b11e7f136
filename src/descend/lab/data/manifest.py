"""The set on the disk: `SPLIT/CLASS/HASH.jpg`, as torchvision's ImageFolder and `descend race` read it, and its tables.

manifest.csv    a row per picture: file, class, split, size, hashes, source, licence
rejected.csv    a row per candidate that is not in the set: source, class, reason, detail
contact.html    all pictures, to look through
.descend/       what a second call goes on from; can be removed when the set is done
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, Self

from ...draw.files import write
from .split import SPLITS

HOME, MANIFEST, REJECTED, ASKED, DROPPED = ".descend", "manifest.csv", "rejected.csv", "asked.json", "dropped.json"


class SetError(ValueError):
    """A folder that holds no set, or a damaged one; the message says which and why."""


@dataclass(frozen=True)
class Row:
    """A picture of the set. `sha256` is of its file, `source_sha256` of the bytes that came."""

    file: str
    label: str
    split: str
    width: int
    height: int
    sha256: str
    phash: str
    source: str
    source_sha256: str
    licence: str


@dataclass(frozen=True)
class Rejected:
    """A candidate that is not in the set. `shown`: its thumbnail, where there is one."""

    source: str
    label: str
    reason: str
    detail: str
    shown: str = ""


HEAD = tuple("class" if field.name == "label" else field.name for field in fields(Row))


def read(folder: Path) -> list[Row]:
    """The rows of a set.

    Raises:
        SetError: there is no manifest, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            if tuple(next(lines, ())) != HEAD:
                raise SetError(f"{path}: its headings are not {', '.join(HEAD)}")
            rows = [Row(*line[:3], int(line[3]), int(line[4]), *line[5:]) for line in lines]  # type: ignore[arg-type]
    except FileNotFoundError:
        raise SetError(f"{folder} holds no {MANIFEST}: it was not made by descend data collect") from None
    except SetError:
        raise
    except (OSError, ValueError, TypeError, IndexError, csv.Error) as error:
        raise SetError(f"{path} is damaged: {error}") from None
    for row in rows:  # a manifest may come from anybody, and files are removed by it
        parts = PurePosixPath(row.file).parts
        if len(parts) != 3 or parts[0] not in SPLITS or parts[1] != row.label or ".." in parts or "\\" in row.file:
            raise SetError(f"{path}: {row.file!r} is no picture of this set")
    return rows


def read_rejected(folder: Path) -> list[Rejected]:
    """What was not taken; nothing where that is not known."""
    try:
        with (folder / REJECTED).open(encoding="utf-8", newline="") as file:
            return [Rejected(*([*line, ""])[:5]) for line in list(csv.reader(file))[1:]]
    except (OSError, TypeError, csv.Error, UnicodeDecodeError):
        return []


def save(folder: Path, rows: Sequence[Row], rejected: Sequence[Rejected]) -> None:
    """Make the folder hold these pictures, then say so in its tables; what else lies there stays.

    Pictures come from `.descend/images`, where one is missing that the folder does not have yet.

    Raises:
        SetError: a picture is in neither.
    """
    before = set()
    with suppress(SetError):
        before = {row.file for row in read(folder)}
    for row in rows:
        place = folder / row.file
        if place.is_symlink():
            place.unlink()
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            _link(folder / HOME / "images" / place.name, place)
    for file in before - {row.file for row in rows}:
        _remove(folder / file)
    write(folder / MANIFEST, _table(HEAD, (astuple(row) for row in rows)))
    write(folder / REJECTED, _table(("source", "class", "reason", "detail", "shown"), map(astuple, rejected)))


def _link(kept: Path, place: Path) -> None:
    """The same file under another name, or a copy where the file system has no such thing."""
    try:
        os.link(kept, place)
    except FileNotFoundError:
        raise SetError(f"{kept} is gone; remove {kept.parents[1]} and collect again") from None
    except OSError:
        shutil.copyfile(kept, part := place.with_name(f"{place.name}.part"))
        os.replace(part, place)


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
    for folder in (file.parent, file.parent.parent):
        with suppress(OSError):
            folder.rmdir()


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue().encode()


def told(folder: Path, name: str) -> Any:
    """What stands in a JSON file of `.descend`; None where there is none that can be read."""
    with suppress(OSError, ValueError):
        return json.loads((folder / HOME / name).read_text(encoding="utf-8"))
    return None


def tell(folder: Path, name: str, what: Any) -> None:
    (folder / HOME).mkdir(parents=True, exist_ok=True)
    write(folder / HOME / name, json.dumps(what, indent=1, ensure_ascii=False).encode())


@dataclass
class Asked:
    """What a set is to be: kept beside it, so that later calls need not say it again."""

    sources: list[str]
    classes: list[str]
    per_class: int | None
    shares: list[float]
    seed: int
    picture: dict[str, int]
    calls: int = 1

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """What was asked of the set in a folder; None if nothing was."""
        found = told(folder, ASKED)
        try:
            return None if found is None else cls(**found)
        except TypeError:
            raise SetError(f"{folder / HOME / ASKED} is damaged") from None

    def keep(self, folder: Path) -> None:
        tell(folder, ASKED, asdict(self))


def dropped(folder: Path) -> set[tuple[str, str]]:
    """(class, hash of the bytes that came) of each picture that was dropped by hand."""
    return {(str(label), str(sha)) for label, sha in told(folder, DROPPED) or []}
