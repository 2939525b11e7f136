"""All candidates of some sources, in their order."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..picture import BY_ENDING, Settings, claimed
from . import archives, lists
from .candidate import Candidate, Classes, SourceError


def find(
    sources: Sequence[Path], classes: Classes, licence: str, settings: Settings, to: Path
) -> tuple[list[Candidate], int]:
    """The candidates, the first of each source and class where one is named twice, and how many files or rows are none.

    Args:
        to: where pictures of archives are written.

    Raises:
        SourceError: a source is of no kind known here, or cannot be read.
    """
    for path in sources:
        if not path.is_dir() and not path.name.lower().endswith(lists.ENDINGS + archives.ENDINGS):
            kinds = ", ".join(lists.ENDINGS + archives.ENDINGS[:4])
            raise SourceError(f"{path}: neither a folder nor a file of a known kind ({kinds})")
    found: dict[tuple[str, str], Candidate] = {}
    others = 0
    for path in sources:
        if path.is_dir():
            every = _in_folder(path, classes, licence)
        elif path.name.lower().endswith(archives.ENDINGS):
            every = archives.candidates(path, classes, licence, settings, to)
        else:
            every = lists.candidates(path, classes, licence)
        for one in every:
            if one is None:
                others += 1
            else:
                found.setdefault((one.where, one.label), one)
    return list(found.values()), others


def _in_folder(root: Path, classes: Classes, licence: str) -> Iterator[Candidate | None]:
    """The pictures below a folder in the order of their paths; None for what is none, or of no wanted class. No links.

    Raises:
        SourceError: the folder cannot be read.
    """

    def cannot(error: OSError) -> None:
        raise SourceError(f"{error.filename}: {error.strerror}")

    root = root.resolve()
    name = root.name
    for place, folders, files in os.walk(root, onerror=cannot):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        around = Path(place).relative_to(root).parts
        for file in sorted(f for f in files if not f.startswith(".")):
            path = Path(place, file)
            label = classes.within(around, name)
            if path.suffix[1:].lower() not in BY_ENDING or not label:
                yield None
                continue
            source = "/".join((name, *around, file))
            if path.is_symlink() or not path.is_file():
                yield Candidate(source, str(path), label, licence, unfit=("refused", "a link; links are not followed"))
                continue
            told = path.stat()
            stamp = f"{told.st_size} {told.st_mtime_ns}"
            yield Candidate(source, str(path), label, licence, file=str(path), claim=claimed(file), stamp=stamp)


__all__ = ["Candidate", "Classes", "SourceError", "find"]
