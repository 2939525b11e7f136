"""The tables as text cells: the terminal and the report show the same strings."""

import math
from collections.abc import Sequence
from dataclasses import replace

from ...draw.terminal import Column
from ..trials.trial import Settings
from .protocol.stages import LADDER
from .protocol.standing import Standing
from .results import Line, Results
from .stats import Width

# By the key of the cell. Headings in the terminal are short, those of the report long.
TUNED = {
    "rank": Column("", right=True, gives_way=3, long="rank"),
    "rule": Column("rule"),
    "lr": Column("lr", gives_way=1, long="tuned lr"),
    "loss": Column("loss", right=True, long="validation loss"),
    "interval": Column("to leader", right=True, gives_way=4, long="to the leader"),
    "status": Column("", gives_way=2, long="standing"),
    "seeds": Column("seeds", right=True, gives_way=7, long="fresh seeds"),
    "times": Column("steps", right=True, gives_way=5, long="steps for its loss"),
    "target": Column("to target", right=True, gives_way=6, long="steps to target"),
    "accuracy": Column("acc.", right=True, gives_way=8, long="accuracy"),
}
KEPT_UNTUNED = ("rank", "rule", "lr", "loss", "interval", "status", "seeds", "accuracy")
DEFAULT = {key: replace(TUNED[key], long="default lr") if key == "lr" else TUNED[key] for key in KEPT_UNTUNED}
CURVE = {"curve": Column("over the steps", gives_way=10)}


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
    }


TUNING = {
    "rule": Column("rule"),
    "tried": Column("rates tried", gives_way=2),
    "width": Column("within 10 %", right=True, long="within 10 % of the best"),
    "after": Column("expected after 1, 2, 4 trials", right=True, gives_way=1),
    "target": Column("to target", right=True, gives_way=4),
    "step": Column("ms/step", right=True, gives_way=3),
    "state": Column("bytes/param.", right=True, gives_way=5),
}


def tuning_cells(rule: str, found: Results, state_bytes: int) -> dict[str, str]:
    """What tuning a rule takes and what a step of it costs, as text."""
    rates = found.rates[rule]
    seconds = found.seconds_to_target(rule) if rule in found.to_target else math.inf
    return {
        "rule": rule,
        "tried": f"{len(rates)}: {rate(rates[0].lr)} to {rate(rates[-1].lr)}",
        "width": decades(found.widths[rule]),
        "after": "  ".join(map(loss, found.expected[rule])),
        "target": f"{seconds:.2g} s" if math.isfinite(seconds) else "missed",
        "step": milliseconds(found.step_ms[rule]),
        "state": str(state_bytes),
    }


def settings_of(settings: Settings) -> str:
    """`beta1=0.95 eps=1e-07`."""
    return " ".join(f"{name}={value:.4g}" for name, value in settings)


MANY = 9.0  # times the leader's loss: from there on per cent are told as a factor


def relative(standing: Standing) -> str:
    """The interval of a rule's difference to the leader, in shares of the leader's loss: `+1.2…+9.4 %`, `3…40 ×`."""
    if standing.interval is None:
        return ""
    _, low, high = standing.relative
    if max(abs(low), abs(high)) >= MANY:
        return f"{1 + low:.2g}…{1 + high:.2g} ×"
    digits = 0 if max(abs(low), abs(high)) >= 0.1 else 1
    return f"{100 * low:+.{digits}f}…{100 * high:+.{digits}f} %"


def times(factor: float) -> str:
    """`2.1×`; `> 4×` where the leader was better on the shortest of its budgets."""
    return f"{factor:.1f}×" if math.isfinite(factor) else f"> {1 / min(LADDER):.0f}×"


def spark(curve: Sequence[float], top: float, bottom: float) -> str:
    """A falling loss as a row of bars, from `bottom` to `top`, logarithmic where both are positive."""
    marks, width = "▁▂▃▄▅▆▇█", 10
    picked = [curve[k * (len(curve) - 1) // (width - 1)] for k in range(width)] if curve else []
    if bottom > 0:
        span = math.log(top / bottom) or 1.0
        heights = [min(max(math.log(x / bottom) / span, 0), 1) for x in picked]
    else:
        heights = [min(max((x - bottom) / ((top - bottom) or 1.0), 0), 1) for x in picked]
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
