"""The sentences of alarms: what was seen, and what people do about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from ...core.shown import Shown
from ..step.telemetry import Measured

HINT = "about 1e-3 is common in healthy runs, a hint and no law"
ADVICE = {
    "nonfinite": (
        "People look at the loss and the batch of this step, lower lr, clip, search with "
        'torch.autograd.set_detect_anomaly(True), or leave such steps out with nonfinite="skip".'
    ),
    "exploding": "People look at the batch of this step, lower lr, lengthen the warm-up, or clip (clip_norm=1.0).",
    "dead": (
        "People check that the loss depends on it (detach(), no_grad(), a mask of zeros) and look for ReLUs that never "
        "fire; lower lr or another initialisation helps those. If it is meant to stand still: requires_grad_(False)."
    ),
    "frozen": (
        "People raise the lr of its group, check that the schedule has not ended, compare eps with the size of the "
        "gradients, and keep float32 weights where 16 bits round the update away. At the end of a run it is no fault."
    ),
}


@dataclass(frozen=True)
class Alarm(Shown):
    """What was seen of one tensor.

    Attributes:
        kind: "exploding", "dead", "frozen" or "nonfinite". name, group: of the tensor.
        step: at which it is said. since: from which step on it was so.
        seen: with the numbers. advice: what people do about it.
    """

    kind: str
    name: str
    group: int
    step: int
    since: int
    seen: str
    advice: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}, since step {self.since}: {self.seen}. {self.advice}"


def nonfinite(m: Measured) -> str:
    if m.nonfinite:
        count = round(m.nonfinite * m.elements)
        return f"{count} of the {m.elements} elements of its gradient are NaN or infinite ({m.nonfinite:.2g})"
    return f"the norm of its weights is {m.weight_norm}, while its gradient is finite"


def exploding(over: Sequence[tuple[str, float, float, int]]) -> str:
    """Of (what, value, median, looks)."""
    found = []
    for what, value, usual, looks in over:
        hint = f" ({HINT})" if "ratio" in what else ""
        found.append(f"{what} {value:.3g}, {value / usual:.3g} times its median {usual:.3g} of {looks} looks{hint}")
    return "; ".join(found)


def runaway(m: Measured, grown: float, ratio: float) -> str:
    """``grown``: all gradients over those of the first look. ``ratio``: of the whole update to all weights."""
    return (
        f"gradient norm {m.gradient_norm:.3g}; all gradients together are {grown:.3g} times those of the first look, "
        f"and a step changes the weights by {ratio:.2g} of their size"
    )


def missing(looks: int) -> str:
    return f"it had no gradient at {looks} looks in a row, while others had"


def dead(m: Measured, looks: int) -> str:
    return f"its gradient was exactly zero at {looks} looks in a row (weight norm {m.weight_norm:.3g})"


def frozen(m: Measured, lr: float | None, same: int, dtype: torch.dtype) -> str:
    """``same``: how many weights of 16 bits were compared and found to have kept their bits."""
    at = "" if lr is None else f" at lr {lr:.3g}"
    moved = "did not move" if m.update_norm == 0 else f"update/weight ratio {m.ratio:.2g}{at} ({HINT})"
    if m.update_norm == 0:
        moved += at
    if same:
        name = str(dtype).removeprefix("torch.")
        moved = f"all {same} weights compared kept their bits, as {name} rounds the update away; {moved}"
    return f"{moved}, while its gradient norm is {m.gradient_norm:.3g}"


def summary(alarms: Iterable[Alarm], most: int = 3) -> list[str]:
    """A line per alarm; where one look raised more than ``most`` of a kind, the others are counted."""
    lines: list[str] = []
    by_kind: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        by_kind.setdefault(alarm.kind, []).append(alarm)
    for kind, found in by_kind.items():
        lines += [str(alarm) for alarm in found[:most]]
        if rest := found[most:]:
            names = ", ".join(alarm.name for alarm in rest[:most]) + (", …" if len(rest) > most else "")
            lines.append(f"{kind}: {len(rest)} more {'tensor' if len(rest) == 1 else 'tensors'} ({names})")
    return lines
