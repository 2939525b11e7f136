"""Folders of pictures: regular files with a picture's ending. Links are not followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..picture import BY_ENDING, claimed
from .candidate import Candidate, Classes, SourceError


def candidates(root: Path, classes: Classes, licence: str) -> Iterator[Candidate | None]:
    """The pictures below a folder in the order of their paths; None for a file that is none, or of no wanted class.

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
