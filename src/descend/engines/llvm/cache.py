"""Compiled kernels on disk, in a directory that belongs to this user alone.

A file appears whole, by renaming, and carries its name and a checksum; whatever else is found there is
as good as nothing. Nothing here raises for the state of a disk: a kernel that cannot be kept is compiled again.
"""

import contextlib
import hashlib
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ...core.machine import folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

log = logging.getLogger("descend")

LIMIT = 256 << 20  # bytes in all; what was used longest ago goes first
STALE = 7 * 86400.0  # seconds after which kernels of another version go, if nothing has used them
HOUR = 3600.0  # what is left of a killed process goes after this; a use is noted this often
WAIT = 5.0  # seconds to wait for another process to compile, which takes it a twentieth of one
LARGEST = 16 << 20  # bytes of one file; kernels have some 2 KiB
_HEAD = b"descend kernel 1\n"
_SUFFIX = ".kernel"
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK if os.name == "posix" else getattr(os, "O_BINARY", 0)
_said: set[str] = set()
_stored = 0


def directory() -> Path | None:
    """Where kernels are kept: DESCEND_CACHE, or ``descend`` in the platform's place for caches. None: nowhere."""
    if os.environ.get("DESCEND_CACHE", "").lower() == "off":
        return None
    return folder("DESCEND_CACHE", "XDG_CACHE_HOME", "Library/Caches", ".cache")


def refused(path: Path) -> str | None:
    """Why a directory that exists is not trusted, and what to do, or None."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is no directory"
    if os.name != "posix":
        return None
    if found.st_uid != os.geteuid():
        return f"{path} belongs to another user; set DESCEND_CACHE to a directory of your own"
    if stat.S_IMODE(found.st_mode) & 0o077:
        return f"{path} is open to others; chmod 700 it, or set DESCEND_CACHE to another directory"
    return None


def why_not(make: bool = False) -> str | None:
    """Why no kernel can be kept, or None; with ``make``, a missing directory is made."""
    path = directory()
    if path is None:
        off = os.environ.get("DESCEND_CACHE", "").lower() == "off"
        return "DESCEND_CACHE is off" if off else "no home directory; set DESCEND_CACHE to a directory"
    try:
        if make and not os.path.lexists(path):
            os.makedirs(path.parent, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
        return refused(path) if make or os.path.lexists(path) else None
    except OSError as error:
        return str(error)


def usable(make: bool = False) -> Path | None:
    """The directory, if it is there and private; with ``make``, it is made if it is missing."""
    reason, path = why_not(make), directory()
    if reason and path is not None:
        there = os.path.lexists(path)  # not to be trusted is worth more noise than not to be had
        _say(f"no cache of compiled kernels: {reason}", logging.WARNING if there else logging.INFO)
    return None if reason else path


def load(name: str) -> bytes | None:
    """What was stored under that name, or None if there is nothing that is whole and ours."""
    path = usable()
    if path is None:
        return None
    try:
        handle = os.open(path / (name + _SUFFIX), os.O_RDONLY | _OPEN)
    except OSError:
        return None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            return None
        if os.name == "posix" and (found.st_uid != os.geteuid() or found.st_mode & 0o022):
            _say(f"not loaded, for another user may have written it: {path / name}{_SUFFIX}", logging.WARNING)
            return None
        with open(handle, "rb", closefd=False) as file:
            held = file.read(LARGEST + 1)
        if time.time() - found.st_mtime > HOUR:
            with contextlib.suppress(OSError):
                os.utime(path / (name + _SUFFIX))
    except OSError:
        return None
    finally:
        os.close(handle)
    head = _HEAD + name.encode() + b"\n"
    start = len(head) + hashlib.sha256().digest_size
    content = held[start:]
    return content if held[:start] == head + _sum(name, content) else None


def store(name: str, content: bytes) -> str:
    """Keep ``content`` under that name, in place of what was there. Returns why that cannot be, or ``""``."""
    global _stored
    path = usable(make=True)
    if path is None:
        return why_not(make=True) or "the directory is gone"
    part = path / f"{os.getpid()}-{os.urandom(6).hex()}.part"
    held = _HEAD + name.encode() + b"\n" + _sum(name, content) + content
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
        try:
            with open(handle, "wb") as file:
                file.write(held)
            os.replace(part, path / (name + _SUFFIX))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
    except OSError as error:
        _say(f"compiled kernels are not kept: {error}", logging.INFO)
        return str(error)
    if _stored % 256 == 0:
        prune(name.partition("-")[0])
    _stored += 1
    return ""


@contextlib.contextmanager
def turn(name: str) -> Iterator[None]:
    """Let one process at a time make that kernel; who has waited ``WAIT`` seconds goes ahead all the same."""
    path = usable(make=True) if fcntl else None
    handle = None
    if fcntl is not None and path is not None:
        with contextlib.suppress(OSError):
            handle = os.open(path / f"{name}.lock", os.O_RDWR | os.O_CREAT | _OPEN, 0o600)
    if fcntl is None or path is None or handle is None:
        yield
        return
    held, end = False, time.monotonic() + WAIT
    try:
        while not held and time.monotonic() < end:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = True
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        if held:
            with contextlib.suppress(OSError):
                os.unlink(path / f"{name}.lock")
        os.close(handle)


def entries() -> list[tuple[Path, os.stat_result]]:
    """Every file in the directory, the one used longest ago first."""
    path = usable()
    found = []
    with contextlib.suppress(OSError):
        for item in os.scandir(path) if path else ():
            with contextlib.suppress(OSError):
                if item.name.endswith((_SUFFIX, ".part", ".lock")):
                    found.append((Path(item.path), item.stat(follow_symlinks=False)))
    return sorted(found, key=lambda entry: entry[1].st_mtime)


def prune(version: str) -> None:
    """Remove what is left of killed processes, what no other version has used lately, and what is too much."""
    now, known = time.time(), entries()
    total = sum(found.st_size for _, found in known)
    for file, found in known:
        age = now - found.st_mtime
        if file.suffix != _SUFFIX:
            gone = age > HOUR
        else:
            gone = total > LIMIT or (age > STALE and not file.name.startswith(version + "-"))
        if gone:
            with contextlib.suppress(OSError):
                os.unlink(file)
                total -= found.st_size


def clear() -> tuple[int, int]:
    """Remove every kernel; how many there were, and their bytes."""
    count = size = 0
    for file, found in entries():
        with contextlib.suppress(OSError):
            os.unlink(file)
            kernel = file.suffix == _SUFFIX
            count, size = count + kernel, size + kernel * found.st_size
    return count, size


def _sum(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + content).digest()


def _say(message: str, level: int) -> None:
    if message not in _said:
        _said.add(message)
        log.log(level, message)
