"""The claims about speed, each a bar: what was measured, what it must reach, what it aims at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from math import isfinite
from statistics import geometric_mean
from typing import Any

from .peers import FUSED, OPTAX, UNFUSED
from .speed import NEW, Cell, elementwise
from .tail import TAIL, TORCH_BYTES, UNWATCHED, WATCHED, gradient_norm

WATCHED_ON = ("20M", "1000x1000", "mlp")
"""The workloads on which telemetry is measured."""
Cells = dict[tuple[str, str], Cell]


@dataclass
class Bar:
    """One claim. ``value`` is None where nothing was measured; ``note`` says which rule it is, or what is missing.

    A claim about several rules of which some were not measured (``whole`` is false) is neither met nor missed.
    """

    claim: str
    value: float | None
    bar: float
    aim: float | None = None
    at_least: bool = True
    unit: str = "x"
    note: str = ""
    whole: bool = True

    @property
    def met(self) -> bool | None:
        if self.value is None or not self.whole:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def _share(cells: Cells, workload: str, rule: str) -> float | None:
    cell = cells.get((workload, rule))
    return None if cell is None or cell.share is None else 100 * cell.share


def _fused(cells: Cells, workload: str, rule: str) -> float | None:
    cell = cells.get((workload, rule))
    peer = cell.peer("torch fused") if cell else None
    return peer.speedup if peer else None


def _best(cells: Cells, workload: str, rule: str) -> float | None:
    cell = cells.get((workload, rule))
    return cell.best.speedup if cell and cell.best else None


def _optax(cells: Cells, workload: str, rule: str) -> float | None:
    cell = cells.get((workload, rule))
    peer = cell.peer("optax") if cell else None
    return peer.speedup if peer else None


def _added(cells: Cells, workload: str) -> float | None:
    """Per cent that telemetry adds to a step: beside both optimizers without it."""
    cell = cells.get((workload, WATCHED))
    bare = [cell.peer(name) for name in UNWATCHED] if cell else []
    speedups = [peer.speedup for peer in bare if peer]
    return 100 * (1 / geometric_mean(speedups) - 1) if speedups else None


@dataclass(frozen=True)
class _Found:
    """What several cells say together."""

    value: float | None
    note: str
    whole: bool


def _each(wanted: Iterable[str], value: Callable[[str], float | None], mean: bool = False) -> _Found:
    """The least value of several rules, or their geometric mean."""
    names = list(wanted)
    found = {name: x for name in names if (x := value(name)) is not None and isfinite(x)}
    if not found:
        return _Found(None, "not measured", False)
    low, high = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
    missing = f"; {len(found)} of {len(names)} measured" if len(found) < len(names) else ""
    if mean:
        note = f"{low} {found[low]:.2f} … {high} {found[high]:.2f}{missing}"
        return _Found(geometric_mean(found.values()), note, not missing)
    return _Found(found[low], f"the least: {low}{missing}", not missing)


def _small(cells: Cells, workload: str) -> _Found:
    """AdamW against torch fused; how it is with new gradients in every step is a note."""
    again = _fused(cells, workload, "adamw" + NEW)
    found = _one(_fused(cells, workload, "adamw"))
    return found if again is None else _Found(found.value, f"with new gradients every step {again:.2f} x", True)


def _one(value: float | None) -> _Found:
    return _Found(value, "" if value is not None else "not measured", True)


def of_cells(cells: Cells, at_20m: Iterable[str]) -> list[Bar]:
    """Every bar that follows from cells, measured or not.

    Args:
        cells: (workload, rule) -> cell. at_20m: the rules that the bars over all rules are about.
    """

    def bar(claim: str, found: _Found, *args: Any, **more: Any) -> Bar:
        return Bar(claim, found.value, *args, note=found.note, whole=found.whole, **more)

    names = list(at_20m)
    single = [name for name in names if elementwise(name)]
    clipped = cells.get(("20M", TAIL.name))
    own = clipped.bytes_per_param if clipped else None
    return [
        bar("every elementwise rule, 20M: share of the streaming limit",
            _each(single, lambda r: _share(cells, "20M", r)), 90.0, 97.0, unit="%"),
        bar("every rule, 20M: share of the streaming limit",
            _each(names, lambda r: _share(cells, "20M", r)), 80.0, unit="%"),
        bar("global norm of all gradients, 20M: share of the read limit",
            _one(_share(cells, "20M", gradient_norm.name)), 60.0, 90.0, unit="%"),
        bar("the four rules torch fuses, 20M: against torch fused",
            _each(FUSED, lambda r: _fused(cells, "20M", r)), 0.97, 1.0),
        bar("the seven torch does not fuse, 20M: mean against its best",
            _each(UNFUSED, lambda r: _best(cells, "20M", r), mean=True), 4.5, 5.5),
        bar("RMSprop, 20M: against torch's best form", _one(_best(cells, "20M", "rmsprop")), 4.0),
        bar("the same seven, 1000 x 1000",
            _each(UNFUSED, lambda r: _best(cells, "1000x1000", r), mean=True), 25.0, 60.0),
        bar("AdamW, 1000 x 1000: against torch fused", _small(cells, "1000x1000"), 8.0, 12.0),
        bar("AdamW, 100000 x 16: against torch fused", _small(cells, "100000x16"), 20.0),
        bar("AdamW, four-tensor MLP: against torch fused", _small(cells, "mlp"), 2.5, 5.0),
        bar("clip + AdamW + EMA, 20M: against torch's best", _one(_best(cells, "20M", TAIL.name)),
            1.3, TORCH_BYTES / own if own else None),
        *(bar(f"telemetry, {workload}: what it adds to a step of AdamW", _one(_added(cells, workload)),
              5.0, None, False, "%") for workload in WATCHED_ON),
        bar("the rules optax has, 20M: mean against optax under jit",
            _each([r for r in names if r in OPTAX], lambda r: _optax(cells, "20M", r), mean=True), 1.5),
    ]  # fmt: skip


def of_start(seconds: dict[str, tuple[float, int]]) -> list[Bar]:
    """``seconds``: what was compiled -> seconds of the first step, number of kernels."""
    per_kernel = {what: took / kernels for what, (took, kernels) in seconds.items()}
    worst = max(per_kernel, key=per_kernel.__getitem__)
    whole = seconds["adamw"][0]
    return [
        Bar("first step in a new process, cold, per kernel", per_kernel[worst], 1.5, None, False, "s", worst),
        Bar("first AdamW step in a new process, cold", whole, 2.0, None, False, "s"),
    ]


def of_bits(differing: list[str], count: int, where: str, whole: bool = True) -> Bar:
    note = f"differ: {', '.join(differing)}" if differing else f"{count} rules, {where}"
    return Bar("rules whose bits depend on threads (1, 2, 5)", len(differing), 0, None, False, "", note, whole)
