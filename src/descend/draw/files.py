"""Files that commands write: what cannot be written is refused before the run, what is there is never lost in silence.

A file named on the command line is replaced, and the line that names it says so; a file with a name of our own
(``race-digits.html``) gets the next free number instead.
"""

import os
from itertools import count
from pathlib import Path

import click


def refuse_unwritable(path: Path | str, option: str) -> None:
    """Raises: BadParameter: no file can be written there; the message says why."""
    if why := reason(str(path)):
        raise click.BadParameter(f"{str(path)!r}: {why}", param_hint=option)


def reason(name: str) -> str:
    """Why no file of this name can be written; "" if one can."""
    path = Path(name)
    try:
        if not name.strip():
            return "a file needs a name"
        if path.is_dir() or name.endswith(os.sep):
            return "it is a folder; name a file in it"
        if not path.parent.exists():
            return f"there is no folder {path.parent}"
        if not path.parent.is_dir():
            return f"{path.parent} is no folder"
        there = path.exists()
    except OSError as error:
        return error.strerror or str(error)
    if there and not os.access(path, os.W_OK):
        return "no permission to replace it"
    if not (there and not path.is_file()) and not os.access(path.parent, os.W_OK | os.X_OK):
        return f"no permission to write in {path.parent.absolute()}"
    return ""


def ready_folder(folder: Path, option: str) -> None:
    """Make the folder, and see that files can be made in it.

    Raises:
        BadParameter: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.BadParameter(f"{folder}: {error.strerror}", param_hint=option) from None
    refuse_unwritable(folder / "x.part", option)


def free_stem(folder: Path, stem: str, endings: tuple[str, ...]) -> str:
    """``stem``, or with the first number from 2 on under which none of these files is there."""
    for k in count(1):
        name = stem if k == 1 else f"{stem}-{k}"
        if not any((folder / f"{name}{ending}").exists() for ending in endings):
            return name
    raise AssertionError  # count() never ends


def write(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all: a killed program leaves the old one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(part, path)


def wrote(path: Path | str, was_there: bool) -> str:
    """The line that says what became of a file."""
    return f"{'replaced' if was_there else 'wrote'} {path}"
