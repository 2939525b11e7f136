"""The machine: its processor, the versions of what is installed, and where files of this user's belong."""

import os
import platform
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path


def cpu() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def folder(variable: str, xdg: str, mac: str, linux: str) -> Path | None:
    """The folder that a variable of the environment names, or ``descend`` in the platform's place; None: nowhere.

    Args:
        xdg: the variable by which Linux names that place. mac, linux: where it is else, below the home directory.
    """
    if asked := os.environ.get(variable, ""):
        return Path(os.path.abspath(os.path.expanduser(asked)))
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.expanduser(f"~/{mac}")
    else:
        given = os.environ.get(xdg, "")
        base = given if os.path.isabs(given) else os.path.expanduser(f"~/{linux}")
    return Path(base) / "descend" if os.path.isabs(base) else None


def versions(names: Iterable[str]) -> dict[str, str | None]:
    """Distribution -> its version, or None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
