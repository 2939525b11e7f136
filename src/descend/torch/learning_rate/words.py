"""A finding in words: why this rate, and what speaks against it."""

import math
from collections.abc import Iterable
from typing import Any

from ..optim.group import given
from . import curve as curves
from .arguments import lead
from .evidence import Found


def doubts(found: Found) -> list[str]:
    """What speaks against trusting a finding, worst first, each "low: ..." or "medium: ..."."""
    above, below = math.log10(found.lr / found.range[0]), math.log10(found.range[1] / found.lr)
    spread = found.band[1] / found.band[0]
    three = [found.suggestions[rule] for rule in curves.RULES]
    said = []
    if not found.fell:
        said.append("low: the loss hardly fell, so check the loss or give more steps")
    if found.probes and not found.evidence.plateau:
        said.append("low: no probe ended below the loss before it")
    if above < 0.3 or below < 0.3:
        said.append("low: the rate sits at an end of the range, so widen it with low= and high=")
    if found.evidence.lost:
        said.append(f"low: {found.evidence.lost} of the sweeps diverged at once")
    if spread > 10:
        said.append(f"low: the repeats differ by ×{spread:.0f}")
    if max(three) > 100 * min(three) and not found.evidence.plateau:
        said.append(f"low: the rules of thumb differ by ×{max(three) / min(three):.0f}")
    if found.late:
        said.append("medium: the time budget ended it early")
    if len(found.curves) < 2:
        said.append("medium: one sweep, not repeated")
    elif 4 < spread <= 10:
        said.append(f"medium: the repeats differ by ×{spread:.0f}")
    if not found.probes:
        said.append("medium: no probes, the curve alone decided")
    return said


def confidence(against: list[str]) -> str:
    """ "high", "medium" or "low": what the worst of the doubts says."""
    return against[0].partition(":")[0] if against else "high"


def reason(found: Found) -> str:
    """One sentence: how the rate was chosen, and how far to trust it."""
    parts = [_choice(found)]
    if len(found.curves) > 1:
        parts.append(f"{len(found.curves)} sweeps agree within ×{found.band[1] / found.band[0]:.2g}")
    if found.evidence.extended:
        parts.append(f"the range was extended {found.evidence.extended}wards once")
    if found.free:
        parts.append("this rule finds its rate itself, and 1 is its usual lr")
    doubted = doubts(found)
    against = "; ".join(doubt.partition(": ")[2] for doubt in doubted)
    return f"{'; '.join(parts)} ({confidence(doubted)} confidence{': ' + against if against else ''})."


def _choice(found: Found) -> str:
    if not found.evidence.plateau:
        if found.fell:
            return f"{rate(found.lr)} is the geometric median of valley, steepest and minimum/10"
        whose = "the rate it had" if found.lr == lead(found.bases) else "the widest stable rate, below the one it had"
        return f"{rate(found.lr)} is {whose}: nothing speaks for another"
    best = min(found.probes, key=lambda probe: probe.loss)
    tried = f"of {len(found.probes)} rates tried for {best.steps} steps each"
    if best.lr == found.lr:
        return f"{rate(found.lr)} reached the lowest loss {tried} ({loss(best.loss)})"
    own = next(probe.loss for probe in found.probes if probe.lr == found.lr)
    return (
        f"{rate(found.lr)} is the smallest {tried} that does nearly as well as the best "
        f"({loss(own)}, against {loss(best.loss)} at {rate(best.lr)})"
    )


def overruled(groups: Iterable[dict[str, Any]], multiplier: float) -> list[str]:
    """What someone who sets rates in these groups ought to know."""
    groups, said = list(groups), []
    if any(callable(given(group)["lr"]) for group in groups):
        said.append(
            "the schedule of lr is replaced by a constant rate; to keep its shape make the optimizer with "
            f"lr={multiplier:.4g}·schedule instead (.multiplier)"
        )
    if any("initial_lr" in group for group in groups):
        said.append(
            "a scheduler that was attached before sets its own rates again at its next step: make the scheduler anew "
            "after apply()"
        )
    return said


def rate(lr: float) -> str:
    """A learning rate in two digits: 0.5, 0.0013, 2e-05."""
    return f"{lr:.2g}"


def loss(value: float) -> str:
    return f"{value:.3g}"
