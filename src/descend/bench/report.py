"""What a run has found, said as it comes and as one document at the end."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..core.machine import cores, cpu, versions
from ..core.shown import Shown
from . import measures
from .measures import Bar
from .speed import Cell, streaming
from .timing import measured

if TYPE_CHECKING:
    from .accuracy import Distance
    from .jax import Line
    from .waits.start import First

SCHEMA = "descend.bench/1"
PACKAGES = ("descend", "torch", "llvmlite", "numpy", "jax", "optax", "pytorch_optimizer")
STEADY = 0.1
BUSY = "torch's threads wait for each other, which on a busy machine takes milliseconds and flatters ours."
HEAD = (
    f"{'rule':26} {'ns/param':>9} {'±%':>4} {'B/param':>7} {'GB/s':>6} {'limit %':>7} {'±%':>4}  "
    f"{'torch best':<12} {'x':>7}  others"
)


def machine() -> dict[str, Any]:
    """What the numbers depend on besides descend."""
    pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "cpu": cpu(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "huge_pages": pages.read_text().strip() if pages.is_file() else None,
        "versions": versions(PACKAGES),
    }


def load() -> float | None:
    """Processes that want a core, on average over the last minute; None where nobody counts them."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


@dataclass
class Report(Shown):
    """Everything one run measured. ``say`` prints a line; ``tell`` shows progress where somebody watches."""

    say: Callable[[str], None] = field(default=lambda line: None, repr=False)
    tell: Callable[[str], None] = field(default=lambda line: None, repr=False)
    cells: list[Cell] = field(default_factory=list)
    start: dict[str, First] = field(default_factory=dict)
    imported: tuple[list[float], list[str]] | None = None
    loop: list[Bar] = field(default_factory=list)
    waits: list[Bar] = field(default_factory=list)
    bits: Bar | None = None
    distances: list[Distance] = field(default_factory=list)
    jax: list[Line] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    interrupted: bool = False
    load: float | None = None
    _workload: str = ""

    def __str__(self) -> str:
        lines: list[str] = []
        said = replace(self, say=lines.append, tell=lambda line: None, cells=[], _workload="")
        for cell in self.cells:
            said.add(cell)
        said.finish(everything=False)
        return "\n".join(lines).strip("\n")

    def _text(self) -> str:
        return str(self)  # a table, as wide as it is

    def plot(self, ax: Any = None, workload: str | None = None) -> Any:
        """The roofline of a workload (default: the first) on ``ax`` (or new axes), which are returned.

        Printed, and None, where matplotlib is missing.

        Raises:
            ValueError: nothing measured there whose bytes are known.
        """
        from .plot import plot

        return plot(self.cells, workload, self.__str__, ax)

    def add(self, cell: Cell) -> None:
        self.cells.append(cell)
        self.tell("")
        if cell.workload != self._workload:
            self._workload = cell.workload
            kinds = "tensor" if cell.tensors == 1 else "tensors"
            self.say(f"\n{cell.workload}: {cell.tensors:,} {kinds}, {cell.parameters:,} float32 parameters\n{HEAD}")
        self.say(row(cell))

    def failed(self, name: str, error: Exception) -> None:
        self.errors[name] = f"{type(error).__name__}: {error}"
        self.tell("")
        self.say(f"{name}: failed: {self.errors[name].splitlines()[0]}")

    def progress(self, done: int, count: int, name: str, seconds: float) -> None:
        minutes = divmod(round(seconds), 60)
        self.tell(f"{done}/{count}  {name}  (at most {minutes[0]}:{minutes[1]:02d} to go)" if name else "")

    def bars(self) -> list[Bar]:
        """Every bar of the run; those of nothing measured have no value."""
        found = list(self.loop)
        found += measures.of_cells({(cell.workload, cell.rule): cell for cell in self.cells}, streaming())
        found += measures.of_start(self.start) if self.start else []
        found += [self.bits] if self.bits else []
        if self.imported:
            seconds, heavy = self.imported
            took = measured(seconds)
            found.append(Bar("import descend", took.value, 0.3, None, False, "s", spread=took.spread))
            found.append(
                Bar("heavy modules that import descend loads", len(heavy), 0, None, False, "", ", ".join(heavy))
            )
        found += self.waits
        for one in self.distances:
            kind = str(one.dtype).removeprefix("torch.")
            claim = f"{one.name} {kind}: distance from torch after 300 steps"
            found.append(Bar(claim, one.worst, one.bar, None, False, "", f"worst of {one.cases} combinations"))
        return found

    @property
    def disturbed(self) -> float:
        """The share of cells whose spread is over ``STEADY``: on a machine of one's own it is next to nothing."""
        return sum(cell.spread > STEADY for cell in self.cells) / len(self.cells) if self.cells else 0.0

    def begin(self, cores: int) -> None:
        """Note what else the machine is doing, and say so if that spoils the numbers."""
        self.load = load()
        if self.load is not None and self.load > cores / 2:
            self.say(f"load {self.load} on {cores} cores: other work is running. Quote no number of this run: {BUSY}")

    def document(self, command: str, seconds: float) -> dict[str, Any]:
        """The run as JSON: see docs/bench.md."""
        return {
            "schema": SCHEMA,
            "command": command,
            "seconds": round(seconds, 1),
            "interrupted": self.interrupted,
            "load": self.load,
            "disturbed": self.disturbed,
            "machine": machine(),
            "cells": [cell.record() for cell in self.cells],
            "bars": [bar.record() for bar in self.bars()],
            "jax": [asdict(line) for line in self.jax],
            "errors": self.errors,
            "left_out": self.left_out,
        }

    def finish(self, everything: bool = True) -> None:
        """Say the bars, and what could not be measured; of a run that was to measure a part, that part's bars."""
        self.tell("")
        for line in self.jax:
            self.say(f"descend.jax {line.rule}: {line.speedup:.2f} x optax; Stepper {line.stepper_speedup:.2f} x")
        self.say(f"\n{'':8}{'':62} {'measured':>10} {'bar':>12} {'aim':>8}")
        for bar in self.bars():
            if everything or bar.value is not None:
                self.say(line_of(bar))
        if noisy := sum(bar.noisy for bar in self.bars()):
            self.say(f"\nnot measured reliably: {noisy} of the bars lie within the spread of what was measured (noisy)")
        if self.disturbed > STEADY:
            self.say(f"\nnot a quiet machine: {100 * self.disturbed:.0f} % of the rows have a spread over 10 %")
        if self.left_out:
            more = f" and {len(self.left_out) - 5} more" if len(self.left_out) > 5 else ""
            self.say(f"\nleft out, the time was up (--minutes): {'; '.join(self.left_out[:5])}{more}")
        if self.interrupted:
            self.say("\ninterrupted; this is what was finished")


def _percent(x: float | None) -> str:
    return "" if x is None or x != x else f"{100 * x:.0f}"


def row(cell: Cell) -> str:
    """A cell as a line of the table."""
    best = cell.best
    against = f"{best.name.removeprefix('torch ')[:12]:<12} {best.speedup:6.2f}x" if best else f"{'':20}"
    others = [f"{p.name} {p.speedup:.2f}x" for p in cell.peers if not p.name.startswith("torch")]
    width = f"{cell.bytes_per_param:7.3g}" if cell.bytes_per_param is not None else f"{'':7}"
    rate = f"{cell.gb_per_s:6.1f}" if cell.gb_per_s is not None else f"{'':6}"
    share = f"{100 * cell.share:7.1f} {_percent(cell.share_spread):>4}" if cell.share is not None else f"{'':12}"
    own = f"{cell.rule:26} {cell.ns_per_param:9.3f} {_percent(cell.spread):>4} {width} {rate} {share}"
    return f"{own}  {against}  {', '.join(others)}".rstrip()


def number(x: float | None, unit: str) -> str:
    if x is None:
        return ""
    if unit:
        return f"{x:.1f} %" if unit == "%" else f"{x:.2f} {unit}"
    return f"{x:g}" if float(x).is_integer() else f"{x:.1e}"


def line_of(bar: Bar) -> str:
    """A bar as a line: met or not, what, measured, bar, aim, note."""
    unknown = "--" if bar.value is None else "noisy" if bar.noisy else "part"
    verdict = {True: "met", False: "MISSED", None: unknown}[bar.met]
    note = "; ".join(part for part in (f"± {number(bar.spread, bar.unit)}" if bar.noisy else "", bar.note) if part)
    sign = ">=" if bar.at_least else "<="
    values = f"{number(bar.value, bar.unit):>10} {sign + ' ' + number(bar.bar, bar.unit):>12}"
    return f"{verdict:8}{bar.claim:62} {values} {number(bar.aim, bar.unit):>8}  {note}".rstrip()


def watched(quiet: bool) -> Callable[[str], None]:
    """Progress on the last line of a terminal; nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        return lambda line: None

    def tell(line: str) -> None:
        print(f"\r{line[:100]:100}\r", end="", file=sys.stderr, flush=True)

    return tell
