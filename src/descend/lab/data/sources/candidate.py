"""A picture that may be taken: where it is, and what it is said to show."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from ..picture import Settings

LONGEST = 8_000  # characters of an address
FORBIDDEN = '<>:"/\\|?*'


class SourceError(ValueError):
    """A source that cannot be read; the message says which and why."""


@dataclass(frozen=True)
class Candidate:
    """One picture of a source: at an address or in a file."""

    source: str  # as the manifest names it, which tells nobody where a home directory is
    where: str  # the same, in full
    label: str
    licence: str = ""
    url: str = ""
    file: str = ""
    claim: str = ""  # the format it says it has
    stamp: str = ""  # what changes when the file does
    unfit: tuple[str, str] | None = None  # known before it is looked at: (reason, detail)

    def key(self, settings: Settings) -> str:
        """Equal for what need not be looked at twice."""
        told = [self.where, self.label, self.stamp, asdict(settings)]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]


class Classes:
    """The classes that are wanted, in any case of letters; all where none is named."""

    def __init__(self, names: Sequence[str] | None) -> None:
        self.names = list(names or ())
        for name in self.names:
            checked(name)
        self._known = {name.casefold(): name for name in self.names}
        if len(self._known) < len(self.names):
            raise SourceError(f"classes that differ only in case: {', '.join(self.names)}")

    def called(self, label: str) -> str:
        """The class of that name; "" if it is not wanted.

        Raises:
            SourceError: it is to name a class, and no folder can be called so.
        """
        label = label.strip()
        if self.names:
            return self._known.get(label.casefold(), "")
        return self._known.setdefault(label.casefold(), checked(label)) if label else ""

    def within(self, folders: Iterable[str], root: str) -> str:
        """The class of a file: the nearest folder around it that is one; where none is named, the folder it is in."""
        around = [root, *folders]
        if not self.names:
            return self.called(around[-1])
        return next((found for name in reversed(around) if (found := self.called(name))), "")

    def numbered(self, label: str) -> str:
        """The class of a label that may be a number: of the classes in the order they were named in."""
        if self.names and label.strip().isdigit() and int(label) < len(self.names):
            return self.names[int(label)]
        return self.called(label)


def checked(name: str) -> str:
    """A class's name, which is that of a folder, too.

    Raises:
        SourceError: it cannot be.
    """
    bad = not name or name != name.strip() or name.startswith(".") or name.endswith(".") or len(name.encode()) > 80
    if bad or any(sign in FORBIDDEN or not sign.isprintable() for sign in name):
        raise SourceError(f"{name[:80]!r} cannot name a class: it must do as the name of a folder on every system")
    return name
