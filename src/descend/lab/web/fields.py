"""What a request asks for, taken field by field; what does not fit is refused by name before anything is computed."""

from collections.abc import Iterable
from typing import Any

from ...core.nearest import did_you_mean

MISSING: Any = object()
SHOWN = 60  # characters of a value that a refusal repeats


class Refused(ValueError):
    """A request that is not admitted; the message names the field, what was given and what is valid."""


class Fields:
    """A JSON object from somebody else. `within`: where it stands in the request, for messages.

    Every method raises `Refused`, if a field is missing that has no default or is not admitted.
    """

    def __init__(self, given: Any, within: str = "") -> None:
        if not isinstance(given, dict):
            raise Refused(f"{within or 'the request'} must be an object, got {_told(given)}")
        self.given, self.within = given, f"{within}." if within else ""
        self.taken: set[str] = set()

    def _take(self, name: str, default: Any) -> Any:
        self.taken.add(name)
        found = self.given.get(name)
        if found is None and default is MISSING:
            raise Refused(f"{self.within}{name} is missing")
        return default if found is None else found

    def number(self, name: str, default: Any = MISSING, low: float = -1e100, high: float = 1e100) -> Any:
        """A finite number; the default is returned as it is."""
        found = self._between(name, default, low, high, int | float, f"a number from {low:g} to {high:g}")
        return found if found is default else float(found)

    def whole(self, name: str, default: Any = MISSING, low: int = 0, high: int = 2**31 - 1) -> Any:
        return self._between(name, default, low, high, int, f"a whole number from {low} to {high}")

    def _between(self, name: str, default: Any, low: float, high: float, kind: Any, what: str) -> Any:
        found = self._take(name, default)
        fits = isinstance(found, kind) and not isinstance(found, bool) and low <= found <= high
        if found is not default and not fits:
            raise Refused(f"{self.within}{name} must be {what}, got {_told(found)}")
        return found

    def flag(self, name: str, default: bool = False) -> bool:
        found = self._take(name, default)
        if not isinstance(found, bool):
            raise Refused(f"{self.within}{name} must be true or false, got {_told(found)}")
        return found

    def word(self, name: str, default: Any = MISSING, among: Iterable[str] | None = None, longest: int = 200) -> Any:
        """A text; `among`: one of these."""
        found = self._take(name, default)
        if found is default:
            return found
        if not isinstance(found, str) or len(found) > longest:
            raise Refused(f"{self.within}{name} must be a text of at most {longest} characters, got {_told(found)}")
        if among is not None and found not in (known := list(among)):
            near = did_you_mean(found, known)
            raise Refused(f"{self.within}{name}: no {_told(found)}.{near} There are {', '.join(known)}.")
        return found

    def point(self, name: str, default: Any = MISSING) -> Any:
        """Two finite numbers."""
        found = self._take(name, default)
        if found is default:
            return found
        numbers = isinstance(found, list) and len(found) == 2 and all(
            isinstance(x, int | float) and not isinstance(x, bool) and abs(x) < 1e100 for x in found
        )  # fmt: skip
        if not numbers:
            raise Refused(f"{self.within}{name} must be two finite numbers [x, y], got {_told(found)}")
        return (float(found[0]), float(found[1]))

    def listed(self, name: str, most: int) -> "list[Fields]":
        """Objects, at least one and at most so many."""
        return [Fields(item, f"{self.within}{name}[{k}]") for k, item in enumerate(self._list(name, most))]

    def words(self, name: str, most: int, among: Iterable[str] | None = None) -> list[str]:
        """Texts, at least one and at most so many."""
        found = self._list(name, most)
        inside = Fields({str(k): item for k, item in enumerate(found)}, f"{self.within}{name}")
        known = None if among is None else list(among)
        return [inside.word(str(k), among=known) for k in range(len(found))]

    def _list(self, name: str, most: int) -> list[Any]:
        found = self._take(name, MISSING)
        if not isinstance(found, list) or not 1 <= len(found) <= most:
            raise Refused(f"{self.within}{name} must be a list of 1 to {most}, got {_told(found)}")
        return found

    def end(self) -> None:
        """Refuse fields that nobody took."""
        if unknown := set(self.given) - self.taken:
            known = ", ".join(sorted(self.taken)) or "none"
            raise Refused(f"{self.within}{_told(min(unknown))} is not known; fields are {known}")


def _told(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}…"
