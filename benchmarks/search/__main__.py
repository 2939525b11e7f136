"""``python -m benchmarks.search calls|classics|starts|fuzz``: the tables of docs/minimize.md."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from . import calls, classics, fuzz, starts

TABLES = {
    "calls": (["problem", "method", "calls", "SciPy's", "its calls"], calls.rows),
    "classics": (
        ["method", "failed", "with gradients", "all calls", "SciPy's", "failed", "with gradients", "all calls"],
        classics.rows,
    ),
    "starts": (["method", *(f"{n} coordinates" for n in starts.SIZES)], starts.rows),
    "fuzz": (["kind of problem", "how many", "ended wrong"], fuzz.rows),
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in TABLES:
        print(f"usage: python -m benchmarks.search {'|'.join(TABLES)}", file=sys.stderr)
        return 2
    head, rows = TABLES[arguments[0]]
    write(head)
    write(["-" * len(word) for word in head])
    for row in rows():
        write(row)
    return 0


def write(row: Iterable[str]) -> None:
    print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
