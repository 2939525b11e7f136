"""All candidates of some sources, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..picture import Settings
from . import archives, folders, lists
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
            every = folders.candidates(path, classes, licence)
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


__all__ = ["Candidate", "Classes", "SourceError", "find"]
