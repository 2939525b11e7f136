"""Pictures out of a set for good: they stay away, and so do their copies, when it is collected again."""

from collections.abc import Sequence
from pathlib import Path

from . import manifest, sheet
from .journal import Busy, Journal
from .manifest import HOME, Asked, Rejected, SetError
from .result import Collected

READ = 2**24  # bytes of a file of marks


def current(folder: Path) -> Collected:
    """The set in a folder, as its tables have it.

    Raises:
        SetError: there is none.
    """
    rows, rejected = manifest.read(folder), manifest.read_rejected(folder)
    asked = Asked.of(folder)
    classes = asked.classes if asked else sorted({row.label for row in rows})
    return Collected(folder, classes, asked.per_class if asked else None, rows, rejected)


def names_in(path: Path) -> list[str]:
    """The names in a file of marks: one per line, `#` begins a remark.

    Raises:
        SetError: it cannot be read as text.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = file.read(READ).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SetError(f"{path} is no file of marks: {getattr(error, 'strerror', None) or 'it is not text'}") from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def drop(folder: Path, names: Sequence[str]) -> tuple[Collected, int, int]:
    """Take pictures out of a set; the set, how many went, and how many had gone before.

    Args:
        names: `SPLIT/CLASS/HASH.jpg`, or a path that leads there.

    Raises:
        SetError: a name is none of the set's; then nothing is touched.
    """
    made = current(folder)
    by_file = {row.file: row for row in made.rows}
    before = {one.shown for one in made.rejected if one.reason == "dropped"}
    going, gone, wrong = {}, 0, []
    for name in names:
        file = _within(folder, name)
        if file in by_file:
            going[file] = by_file[file]
        elif Path(name).name in before:
            gone += 1
        else:
            wrong.append(name)
    if wrong:
        more = f" and {len(wrong) - 3:,} more" if len(wrong) > 3 else ""
        raise SetError(f"{', '.join(map(repr, wrong[:3]))}{more}: no picture of {folder}; nothing was dropped")
    if going:
        try:
            with Journal(folder / HOME / "journal.jsonl"):
                away = manifest.dropped(folder) | {(row.label, row.source_sha256) for row in going.values()}
                manifest.tell(folder, manifest.DROPPED, sorted(away))
                made.rows = [row for row in made.rows if row.file not in going]
                made.rejected = [
                    *made.rejected,
                    *(Rejected(r.source, r.label, "dropped", "by hand", Path(r.file).name) for r in going.values()),
                ]
                manifest.save(folder, made.rows, made.rejected)
                sheet.save(made)
        except Busy as error:
            raise SetError(str(error)) from None
    return made, len(going), gone


def _within(folder: Path, name: str) -> str:
    """A name as the manifest has it, where it is a path that leads into the folder."""
    path = Path(name)
    for place in (path, folder / path):
        try:
            return place.resolve().relative_to(folder.resolve()).as_posix()
        except (ValueError, OSError):
            continue
    return name
