"""Cells and bars as a run of ``descend bench`` makes them; nothing is measured."""

from descend.bench.measures import Bar, of_cells
from descend.bench.speed import Cell, Peer


def cell(rule: str = "adamw", workload: str = "20M", share: float | None = 0.95, **peers: float) -> Cell:
    """A cell with torch's forms so many times slower."""
    made = Cell(workload, rule, 1, 20_000_000, "llvm", 9, 0.6, 0.02, 28.0, 46.7, 0.57, share, 0.01, 1)
    made.peers = [Peer(name.replace("_", " ", 1), 0.6 * x, 0.03, x, 9) for name, x in peers.items()]
    return made


def bars(*cells: Cell, at_20m: tuple[str, ...] = ("adamw",)) -> dict[str, Bar]:
    return {bar.claim: bar for bar in of_cells({(c.workload, c.rule): c for c in cells}, at_20m)}
