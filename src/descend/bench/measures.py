"""The claims about speed, each a bar: what was measured, what it must reach, what it aims at."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from math import hypot, isfinite
from statistics import geometric_mean, median
from typing import Any

from .peers import FUSED, OPTAX, UNFUSED
from .speed import NEW, Cell, elementwise
from .tail import TAIL, TORCH_BYTES, UNWATCHED, WATCHED, gradient_norm
from .timing import Measured, measured
from .waits.start import First

WATCHED_ON = ("20M", "1000x1000", "mlp")
"""The workloads on which telemetry is measured."""
Cells = dict[tuple[str, str], Cell]
FORM = "torch fused"


@dataclass
class Bar:
    """One claim. ``value`` is None where nothing was measured; ``note`` says which rule it is, or what is missing.

    A claim about several rules of which some were not measured (``whole`` is false) is neither met nor missed. Nor is
    one whose bar lies within the ``spread`` of the value: another run could say the other.
    """

    claim: str
    value: float | None
    bar: float
    aim: float | None = None
    at_least: bool = True
    unit: str = "x"
    note: str = ""
    whole: bool = True
    spread: float = 0.0

    @property
    def noisy(self) -> bool:
        """Whether it was not measured reliably enough to tell."""
        return self.value is not None and self.spread > 0 and abs(self.value - self.bar) <= self.spread

    @property
    def met(self) -> bool | None:
        if self.value is None or not self.whole or self.noisy:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def _share(cells: Cells, workload: str, rule: str) -> Measured | None:
    cell = cells.get((workload, rule))
    if cell is None or cell.share is None:
        return None
    return Measured(100 * cell.share, 100 * cell.share * (cell.share_spread or 0.0))


def _faster(cells: Cells, workload: str, rule: str, peer: str = "") -> Measured | None:
    """How many times faster ours is than a peer, or than torch's fastest form."""
    cell = cells.get((workload, rule))
    found = cell and (cell.peer(peer) if peer else cell.best)
    return Measured(found.speedup, found.speedup_spread) if found else None


def _added(cells: Cells, workload: str) -> Measured | None:
    """Per cent that telemetry adds to a step: beside both optimizers without it."""
    bare = [found for name in UNWATCHED if (found := _faster(cells, workload, WATCHED, name))]
    if not bare:
        return None
    mean = _mean(bare)
    return Measured(100 * (1 / mean.value - 1), 100 * mean.spread / mean.value**2)


def _mean(found: list[Measured]) -> Measured:
    """The geometric mean, and how far off it may be if each is as far off as its spread, by itself."""
    value = geometric_mean([one.value for one in found])
    return Measured(value, value / len(found) * hypot(*(one.spread / one.value for one in found)))


@dataclass(frozen=True)
class _Found:
    """What several cells say together."""

    value: float | None
    note: str
    whole: bool
    spread: float = 0.0


def _each(wanted: Iterable[str], value: Callable[[str], Measured | None], mean: bool = False) -> _Found:
    """The least value of several rules, or their geometric mean."""
    names = list(wanted)
    found = {name: x for name in names if (x := value(name)) is not None and isfinite(x.value)}
    if not found:
        return _Found(None, "not measured", False)
    low, high = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
    missing = f"; {len(found)} of {len(names)} measured" if len(found) < len(names) else ""
    if mean:
        note = f"{low} {found[low].value:.2f} … {high} {found[high].value:.2f}{missing}"
        whole = _mean(list(found.values()))
        return _Found(whole.value, note, not missing, whole.spread)
    return _Found(found[low].value, f"the least: {low}{missing}", not missing, found[low].spread)


def _small(cells: Cells, workload: str) -> _Found:
    """AdamW against torch fused; how it is with new gradients in every step is a note."""
    again = _faster(cells, workload, "adamw" + NEW, FORM)
    found = _one(_faster(cells, workload, "adamw", FORM))
    if again is None:
        return found
    return replace(found, note=f"with new gradients every step {again.value:.2f} x")


def _one(found: Measured | None) -> _Found:
    return _Found(found.value, "", True, found.spread) if found else _Found(None, "not measured", True)


def of_cells(cells: Cells, at_20m: Iterable[str]) -> list[Bar]:
    """Every bar that follows from cells, measured or not.

    Args:
        cells: (workload, rule) -> cell. at_20m: the rules that the bars over all rules are about.
    """

    def bar(claim: str, found: _Found, *args: Any, **more: Any) -> Bar:
        return Bar(claim, found.value, *args, note=found.note, whole=found.whole, spread=found.spread, **more)

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
            _each(FUSED, lambda r: _faster(cells, "20M", r, FORM)), 0.97, 1.0),
        bar("the seven torch does not fuse, 20M: mean against its best",
            _each(UNFUSED, lambda r: _faster(cells, "20M", r), mean=True), 4.5, 5.5),
        bar("RMSprop, 20M: against torch's best form", _one(_faster(cells, "20M", "rmsprop")), 4.0),
        bar("the same seven, 1000 x 1000",
            _each(UNFUSED, lambda r: _faster(cells, "1000x1000", r), mean=True), 25.0, 60.0),
        bar("AdamW, 1000 x 1000: against torch fused", _small(cells, "1000x1000"), 8.0, 12.0),
        bar("AdamW, 100000 x 16: against torch fused", _small(cells, "100000x16"), 20.0),
        bar("AdamW, four-tensor MLP: against torch fused", _small(cells, "mlp"), 2.5, 5.0),
        bar("clip + AdamW + EMA, 20M: against torch's best", _one(_faster(cells, "20M", TAIL.name)),
            1.3, TORCH_BYTES / own if own else None),
        *(bar(f"telemetry, {workload}: what it adds to a step of AdamW", _one(_added(cells, workload)),
              5.0, None, False, "%") for workload in WATCHED_ON),
        bar("the rules optax has, 20M: mean against optax under jit",
            _each([r for r in names if r in OPTAX], lambda r: _faster(cells, "20M", r, "optax"), mean=True), 1.5),
    ]  # fmt: skip


def of_start(found: dict[str, First]) -> list[Bar]:
    """``found``: what was compiled -> its first steps."""
    per_kernel = {what: measured(one.cold, 1 / one.kernels) for what, one in found.items()}
    worst = max(per_kernel, key=per_kernel.__getitem__)
    whole = measured(found["adamw"].cold)
    bars = [
        Bar("first step in a new process, cold, per kernel", per_kernel[worst].value, 1.5, None, False, "s", worst,
            spread=per_kernel[worst].spread),
        Bar("first AdamW step in a new process, cold", whole.value, 2.0, None, False, "s", spread=whole.spread),
    ]  # fmt: skip
    if all(one.warm for one in found.values()):
        saved = {what: measured([median(one.compiled) / x for x in one.warm]) for what, one in found.items()}
        least = min(saved, key=saved.__getitem__)
        bars.append(
            Bar("kernels from the cache in a new process, against compiling them", saved[least].value, 3.0,
                note=f"the least: {least}", spread=saved[least].spread)
        )  # fmt: skip
    return bars


def of_bits(differing: list[str], count: int, where: str, whole: bool = True) -> Bar:
    note = f"differ: {', '.join(differing)}" if differing else f"{count} rules, {where}"
    return Bar("rules whose bits depend on threads (1, 2, 5)", len(differing), 0, None, False, "", note, whole)
