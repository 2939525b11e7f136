"""The tables as text cells: the terminal and the report show the same strings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .protocol.stages import LADDER
from .protocol.standing import Standing
from .results import Line, Results
from .stats import Width


@dataclass(frozen=True)
class Column:
    """A column: its cell, its headings in terminal and report, and its turn to give way (0: never)."""

    key: str
    short: str
    long: str
    gives_way: int
    right: bool = True


TUNED = (
    Column("rank", "", "rank", 3),
    Column("rule", "rule", "rule", 0, right=False),
    Column("lr", "lr", "tuned lr", 1, right=False),
    Column("loss", "loss", "validation loss", 0),
    Column("interval", "to leader", "to the leader", 4),
    Column("status", "", "standing", 2, right=False),
    Column("seeds", "seeds", "fresh seeds", 7),
    Column("times", "steps", "steps for its loss", 5),
    Column("target", "to target", "steps to target", 6),
    Column("accuracy", "acc.", "accuracy", 8),
    Column("step", "ms/step", "ms/step", 9),
)
KEPT_UNTUNED = ("rank", "rule", "lr", "loss", "interval", "status", "seeds", "accuracy")
DEFAULT = tuple(replace(c, long="default lr") if c.key == "lr" else c for c in TUNED if c.key in KEPT_UNTUNED)
CURVE = Column("curve", "over the steps", "", 10, right=False)


def cells(line: Line, found: Results) -> dict[str, str]:
    """One line of either table as text, by column key."""
    s = line.standing
    needs, target = found.times_steps.get(line.rule), found.to_target.get(line.rule)
    return {
        "rank": str(s.rank),
        "rule": line.rule,
        "lr": rate(line.lr) + (" edge" if line.edge else ""),
        "loss": loss(s.mean),
        "interval": relative(s),
        "status": f"{s.diverged}/{s.n} diverged" if s.diverged else s.standing,
        "seeds": str(s.n),
        "times": times(needs) if needs else "",
        "target": "" if target is None else f"{target:.0f}" if math.isfinite(target) else "missed",
        "accuracy": share(line.accuracy) if s.diverged < s.n and math.isfinite(line.accuracy) else "–",
        "step": milliseconds(found.step_ms[line.rule]),
    }


def relative(standing: Standing) -> str:
    """The interval of a rule's difference to the leader, in shares of the leader's loss: `+1.2…+9.4 %`."""
    if standing.interval is None:
        return ""
    low, high = (100 * end for end in standing.relative)
    digits = 0 if max(abs(low), abs(high)) >= 10 else 1
    return f"{low:+.{digits}f}…{high:+.{digits}f} %"


def times(factor: float) -> str:
    """`2.1×`; `> 4×` where the leader was better on the shortest of its budgets."""
    return f"{factor:.1f}×" if math.isfinite(factor) else f"> {1 / min(LADDER):.0f}×"


def fitting(columns: Sequence[Column], rows: Sequence[Mapping[str, str]], width: int) -> tuple[list[Column], int]:
    """The columns that fit into `width` characters, and the spaces between them; nothing is ever wrapped.

    First the spaces shrink from two to one, then columns go by their turn, the highest first.
    """
    kept = list(columns)
    while True:
        widths = [max([len(c.short), *(len(row.get(c.key, "")) for row in rows)]) for c in kept]
        for gap in (2, 1):
            if sum(widths) + gap * (len(kept) - 1) <= width:
                return kept, gap
        next_to_go = max(kept, key=lambda c: c.gives_way)
        if not next_to_go.gives_way:
            return kept, 1
        kept.remove(next_to_go)


def spark(curve: Sequence[float], top: float, bottom: float, width: int = 10) -> str:
    """A falling loss as a row of bars, logarithmic from `bottom` to `top`, one bar per part of the run."""
    marks = "▁▂▃▄▅▆▇█"
    picked = [curve[k * (len(curve) - 1) // (width - 1)] for k in range(width)] if curve else []
    span = math.log(top / bottom) or 1.0
    heights = [min(max(math.log(x / bottom) / span, 0), 1) for x in picked]
    return "".join(marks[round(h * (len(marks) - 1))] for h in heights)


def loss(x: float) -> str:
    """A loss: four decimals below 10, three digits above."""
    if not math.isfinite(x):
        return "inf"
    return f"{x:.4f}" if x < 10 else f"{x:.3g}"


def rate(lr: float) -> str:
    """A learning rate: `1e-3`, `3.2e-3`."""
    mantissa, exponent = f"{lr:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def share(x: float) -> str:
    """A share of 0..1 in per cent."""
    return f"{100 * x:.1f} %"


def milliseconds(x: float) -> str:
    return f"{x:.3f}"


def signed(x: float) -> str:
    """A difference of losses, with its sign."""
    return f"{'+' if x >= 0 else '-'}{loss(abs(x))}"


def decades(width: Width | None) -> str:
    """A usable width, `≥` where the grid ended before the loss had risen; a dash where every run diverged."""
    if width is None:
        return "–"
    more = "≥ " if width.open_below or width.open_above else ""
    return f"{more}{width.decades:.1f} decades"


def duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min"
