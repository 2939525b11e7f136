"""Archives (zip, tar) and WebDataset shards: their pictures written one by one under names of our own.

No name in an archive ever becomes a path: it says the class, and the manifest quotes it. What is written is bounded for
each picture and for the whole; an archive that grows a hundredfold holds no photographs.
"""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from ..picture import Settings, claimed, one_line
from .candidate import Candidate, Classes, SourceError

ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tbz2", ".txz")
GROWS = 100  # times its size that an archive may hold
AT_LEAST = 64 * 2**20  # bytes that any archive may hold
TOLD = 64 * 2**10  # bytes of a shard's .cls or .json
MEMBERS = 1_000_000
BAD = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError,
       NotImplementedError, KeyError, IndexError, OverflowError)  # fmt: skip


class _Full(Exception):
    """The archive holds more than it may."""


class _Measured(io.RawIOBase):
    """A stream that says when more has come out than an archive of its size may hold."""

    def __init__(self, inner: IO[bytes], most: int) -> None:
        self._inner, self._left = inner, most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        found = self._inner.read(min(size, 2**20) if size >= 0 else 2**20)
        self._left -= len(found)
        if self._left < 0:
            raise _Full
        return found


def candidates(path: Path, classes: Classes, licence: str, settings: Settings, to: Path) -> Iterator[Candidate | None]:
    """The pictures of an archive, written to files in `to`; None for a member that is none, or of no wanted class.

    An archive that breaks off, or grows too large, gives what came before, and a candidate that says so.

    Raises:
        SourceError: it is no archive, or cannot be read.
    """
    try:
        told = path.stat()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None
    most = max(AT_LEAST, GROWS * told.st_size)
    stamp = f"{told.st_size} {told.st_mtime_ns}"
    name = path.name[: -len(next((e for e in sorted(ENDINGS, key=len) if path.name.lower().endswith(e)), ""))]
    folder = to / hashlib.sha256(f"{path.resolve()} {stamp}".encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    samples: dict[str, dict[str, str]] = {}  # of a shard: the files of a sample share a name up to the first dot
    found: list[tuple[str, Path | None, tuple[str, str] | None]] = []
    broken: tuple[str, str] | None = None
    try:
        opened = _zip(path, most, settings) if zipfile.is_zipfile(path) else _tar(path, most, settings)
        for number, (member, content, unfit) in enumerate(opened):
            if number >= MEMBERS:
                raise _Full
            key, _, ending = PurePosixPath(member).name.partition(".")
            key = str(PurePosixPath(member).parent / key)
            if content is not None and ending in ("cls", "json"):
                told_of = samples.setdefault(key, {})
                more = _told(ending, content)
                samples[key] = {**more, **told_of} if ending == "cls" else {**told_of, **more}  # a word before a number
            elif claimed(member):
                file = None
                if content is not None:
                    file = folder / f"{number:07}"
                    if not file.exists() or file.stat().st_size != len(content):
                        file.write_bytes(content)
                found.append((member, file, unfit))
            else:
                yield None
    except _Full:
        broken = ("too large", f"the archive holds over {most / 2**20:,.0f} MiB, {GROWS} times its size; stopped there")
    except BAD as error:
        if not found:
            raise SourceError(f"{path}: no readable archive: {one_line(error)}") from None
        broken = ("corrupt", f"the archive breaks off: {one_line(error)}")
    for member, file, unfit in found:
        place = PurePosixPath(member)
        sample = samples.get(str(place.parent / place.name.partition(".")[0]), {})
        label = classes.numbered(str(sample["class"])) if "class" in sample else ""
        label = label or ("" if "class" in sample else classes.within(place.parts[:-1], name))
        if not label:
            yield None
            continue
        unfit = _unsafe(member) or unfit
        source = str(sample.get("source") or f"{path.name}!{_shown(member)}")
        where = f"{path.resolve()}!{_shown(member)}"
        own = str(sample.get("licence") or sample.get("license") or licence)
        told_by = {"claim": claimed(member), "stamp": f"{stamp} {_shown(member)}"}
        yield Candidate(source, where, label, own, file=str(file or ""), unfit=unfit, **told_by)
    if broken:
        yield Candidate(path.name, str(path.resolve()), classes.within((), name) or "?", licence, unfit=broken)


def _zip(path: Path, most: int, settings: Settings) -> Iterator[tuple[str, bytes | None, tuple[str, str] | None]]:
    """(name, bytes or None, why None) of each member."""
    left = most
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            if (member.external_attr >> 16) & 0o170000 == 0o120000:
                yield member.filename, None, ("refused", "a link; links are not followed")
                continue
            limit = settings.largest if claimed(member.filename) else TOLD
            if member.file_size > limit:
                yield member.filename, None, ("too large", f"{member.file_size:,} bytes")
                continue
            if limit == TOLD and not member.filename.endswith((".cls", ".json")):
                yield member.filename, None, None
                continue
            try:
                with archive.open(member) as stream:
                    content = stream.read(limit + 1)  # what a header says of its size may be a lie
            except BAD as error:
                yield member.filename, None, ("corrupt", one_line(error))
                continue
            left -= len(content)
            if left < 0:
                raise _Full
            fits = len(content) <= limit
            yield member.filename, content if fits else None, None if fits else ("too large", "larger than it says")


def _tar(path: Path, most: int, settings: Settings) -> Iterator[tuple[str, bytes | None, tuple[str, str] | None]]:
    with path.open("rb") as file:
        begins = file.read(6)
        file.seek(0)
        unpack = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}.get(begins[:2])
        stream = _Measured(unpack(file) if unpack else file, most)  # type: ignore[arg-type]
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if member.isdir():
                    continue
                if not member.isfile():
                    yield member.name, None, ("refused", "a link or a device; only files are taken")
                    continue
                limit = settings.largest if claimed(member.name) else TOLD
                if member.size > limit:
                    yield member.name, None, ("too large", f"{member.size:,} bytes")
                    continue
                content = archive.extractfile(member)
                yield member.name, content.read() if content else None, None
                archive.members = []  # type: ignore[attr-defined]  # or a list of every member grows


def _told(ending: str, content: bytes) -> dict[str, str]:
    """What a shard says of a sample: its class, and where it is from."""
    with suppress(ValueError, UnicodeDecodeError, RecursionError):
        if ending == "cls":
            return {"class": content.decode().strip()}
        found = json.loads(content)
        if isinstance(found, dict):
            label = next(
                (found[k] for k in ("class", "label", "class_name") if isinstance(found.get(k), str | int)), None
            )
            kept = {k: found[k] for k in ("source", "url", "licence", "license") if isinstance(found.get(k), str)}
            kept |= {"source": kept["url"]} if "url" in kept and "source" not in kept else {}
            return kept if label is None else {**kept, "class": str(label)}
    return {}


def _unsafe(member: str) -> tuple[str, str] | None:
    parts = PurePosixPath(member.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or (parts.parts and parts.parts[0].endswith(":")):
        return "refused", "a path that leads out of the archive"
    return None


def _shown(member: str) -> str:
    return "".join(sign if sign.isprintable() else "�" for sign in member)[:500]
