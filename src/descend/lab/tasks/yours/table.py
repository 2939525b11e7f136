"""A table of somebody's as a task: a perceptron tells one column from the others."""

import csv
import hashlib
import io
from pathlib import Path

import numpy as np

from ....core.nearest import did_you_mean
from ..packaged import halves
from ..perceptron import Perceptron
from ..task import Task, TaskError
from .columns import GAPS, NOTHING, days, is_gap, numbers, parts_of_date, standardised
from .decoding import decoded

WIDTH, BATCH, STEPS, SEEDS = 64, 64, 400, 40
CLASSES = 20  # a column of numbers with more values is told by a regression
KINDS = 30  # a column of words with more of them is left out
JUDGED = 2_000  # rows at most that runs are judged by
FEWEST = 20
BEGINNING, HEAD = 50_000, 50  # characters and lines that show how cells are parted
EVEN = 0.9  # of these lines have as many cells as headings


class Table:
    """A CSV file as numbers: columns standardised, dates as points in time, words as indicators, gaps as the mean."""

    def __init__(self, options: dict[str, str]) -> None:
        self.path = Path(options["path"])
        self.bytes = self.path.read_bytes()
        self.left_out: list[str] = []
        self.dates: list[str] = []
        names, rows = self._read()
        target = options.get("target", "")
        if target not in names:
            why = (
                f"no column {target!r}.{did_you_mean(target, names)}"
                if target
                else "name the column to be told with --target."
            )
            shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
            raise TaskError(f"{self.path.name}: {why} Columns: {shown}.")
        self.target = target
        columns = {name: [row[k].strip() for row in rows] for k, name in enumerate(names)}
        told = columns.pop(target)
        known = [value for value in told if not is_gap(value)]
        unknown = GAPS if self._numeric(known) is not None else NOTHING
        kept = [k for k, value in enumerate(told) if value.lower() not in unknown]
        if len(kept) < FEWEST:
            raise TaskError(f"{self.path.name}: {len(kept)} rows have a {target}; at least {FEWEST} are needed")
        self.y, self.classes = self._told([told[k] for k in kept])
        parts = [part for name, values in columns.items() for part in self._numbers(name, [values[k] for k in kept])]
        if not parts:
            raise TaskError(f"{self.path.name}: no column but {target} holds numbers or a few words")
        self.x = np.stack(parts, axis=1).astype(np.float32)
        self.train, self.held = halves(len(self.y), len(self.y), 0.2)
        self.held = self.held[:JUDGED]
        self.outputs = self.classes or 1
        if self.classes and (lonely := [c for c in range(self.classes) if not (self.y[self.train] == c).any()]):
            raise TaskError(
                f"{self.path.name}: {len(lonely)} of {self.classes} values of {target} are too rare to learn"
            )

    def _read(self) -> tuple[list[str], list[list[str]]]:
        text = decoded(self.bytes)
        if text is None:
            raise TaskError(f"{self.path.name} is no text: neither UTF-8 nor UTF-16 nor Windows' Latin letters")
        first, _, rest = text.partition("\n")
        text = rest if first.lower().startswith("sep=") else text  # Excel's note to itself
        sign = delimiter_of(text)
        self.comma = sign in ";\t"
        lines = [row for row in csv.reader(io.StringIO(text), delimiter=sign) if any(row)]
        if len(lines) < FEWEST + 1:
            raise TaskError(f"{self.path.name} has {max(len(lines) - 1, 0)} rows; at least {FEWEST} are needed")
        names = [name.strip() for name in lines[0]]
        if bad := next((k for k, row in enumerate(lines[1:], 2) if len(row) != len(names)), 0):
            raise TaskError(f"{self.path.name}, row {bad}: {len(lines[bad - 1])} cells under {len(names)} headings")
        return names, lines[1:]

    def _told(self, values: list[str]) -> tuple[np.ndarray, int]:
        """The column to be told, and its number of classes; 0 for a regression."""
        found = sorted(set(values))
        if len(found) == 1:
            raise TaskError(f"{self.path.name}: {self.target} is {found[0]!r} in every row; there is nothing to tell")
        known = self._numeric(values)
        if known is not None and len(found) > CLASSES:
            if not np.isfinite(known).all():
                raise TaskError(f"{self.path.name}: {self.target} holds values that are not finite")
            return ((known - known.mean()) / known.std()).astype(np.float32)[:, None], 0
        if len(found) > len(values) // 4:
            raise TaskError(
                f"{self.path.name}: {self.target} has {len(found)} different words in {len(values)} rows; "
                "too many for classes, and they are no numbers"
            )
        place = {value: k for k, value in enumerate(found)}
        return np.array([place[value] for value in values], np.int64), len(found)

    def _numeric(self, values: list[str]) -> np.ndarray | None:
        """Numbers or days; None for words."""
        found = numbers(values, self.comma)
        return found if found is not None else days(values)

    def _numbers(self, name: str, values: list[str]) -> list[np.ndarray]:
        if (found := numbers(values, self.comma)) is not None:
            return [x for x in (standardised(found),) if x is not None]
        if (when := days(values)) is not None:
            self.dates.append(name)
            return [x for part in parts_of_date(when) if (x := standardised(part)) is not None]
        kinds = sorted(set(values))
        if len(kinds) > KINDS:
            self.left_out.append(name)
            return []
        return [np.array([value == kind for value in values], float) for kind in kinds] if len(kinds) > 1 else []


def delimiter_of(text: str) -> str:
    """The sign between cells: the one that parts headings and first rows into most columns, equally many."""
    beginning = text[:BEGINNING].split("\n")[:-1][:HEAD] or [text]
    found = {}
    for sign in ";\t|,":
        head, *rows = [len(row) for row in csv.reader(beginning, delimiter=sign) if row] or [0]
        if head > 1 and sum(width == head for width in rows) >= EVEN * len(rows):
            found[sign] = head
    return max(found, key=lambda sign: found[sign]) if found else ","


def card(options: dict[str, str]) -> Task:
    table = Table(options)
    left = f"; left out, with too many words: {', '.join(table.left_out)}" if table.left_out else ""
    left += f"; dates: {', '.join(table.dates)}" if table.dates else ""
    size = (table.x.shape[1], WIDTH, WIDTH, table.outputs)
    return Task(
        name=table.path.stem,
        title=f"{table.path.name}: {table.target}",
        data=f"{table.path.name}: {len(table.y):,} rows, {table.x.shape[1]} inputs{left}",
        licence="yours",
        sha256=hashlib.sha256(table.bytes).hexdigest(),
        split=f"fixed: {len(table.train):,} rows for training, {len(table.held):,} for validation",
        model=f"MLP {'-'.join(map(str, size))}, ReLU, He initialisation, float32",
        loss="cross entropy in nats" if table.classes else "mean squared error of the standardised target",
        shows="what suits it",
        steps=STEPS,
        batch=min(BATCH, len(table.train) // 4),
        seconds=0.0,
        seeds=SEEDS,
    )


def problem(options: dict[str, str]) -> Perceptron:
    table = Table(options)
    layers = (table.x.shape[1], WIDTH, WIDTH, table.outputs)
    parts = [(table.x[rows], table.y[rows]) for rows in (table.train, table.held)]
    return Perceptron(layers, *parts, batch=min(BATCH, len(table.train) // 4))
