"""What a call has done, in numbers: per class what there is and what is missing, and why the rest was left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.shown import Shown
from .manifest import Rejected, Row
from .split import SPLITS


@dataclass
class Collected(Shown):
    """The state of a set. `again` counts what may be had at another time; `partial`: stopped before the end."""

    folder: Path
    classes: list[str]
    per_class: int | None
    rows: Sequence[Row]
    rejected: Sequence[Rejected]
    conflicts: int = 0
    spare: int = 0
    others: int = 0
    again: int = 0
    partial: bool = False
    seconds: float = 0.0
    looked: int = 0  # pictures that this call fetched or decoded

    def counts(self) -> dict[str, dict[str, int]]:
        """Class -> how many in each split, `pictures` in all, and how many are `missing`."""
        by = Counter((row.label, row.split) for row in self.rows)
        found = {}
        for label in self.classes:
            sides = {split: by[label, split] for split in SPLITS}
            count = sum(sides.values())
            found[label] = {"pictures": count, "missing": max(0, (self.per_class or 0) - count), **sides}
        return found

    @property
    def missing(self) -> int:
        return sum(row["missing"] for row in self.counts().values())

    def reasons(self) -> dict[str, int]:
        """Why candidates were left out, the most frequent first."""
        return dict(Counter(one.reason for one in self.rejected).most_common())

    def told(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "folder": str(self.folder), "pictures": len(self.rows), "classes": self.counts(), "missing": self.missing,
            "left_out": self.reasons(), "conflicts": self.conflicts, "spare": self.spare, "no_pictures": self.others,
            "again": self.again, "partial": self.partial, "looked_at": self.looked, "seconds": round(self.seconds, 2),
        }  # fmt: skip

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Headings and rows."""
        head = ("class", "pictures", *(["missing"] if self.per_class else []), *SPLITS)
        keys = head[1:]
        return head, [(label, *(f"{row[key]:,}" for key in keys)) for label, row in self.counts().items()]

    def __str__(self) -> str:
        from ...draw.terminal import Table, text

        head, rows = self.table()
        return text(Table(head, rows, right=head[1:]))
