"""The picture of a finding: as a chart, and in the terminal."""

import math
import shutil
import textwrap

import numpy as np

from ...draw.braille import braille
from ...draw.chart import Axis, Band, Chart, Dots, Flag, Line, Mark, Span
from . import words
from .evidence import Found
from .words import loss, rate


def text(finding: Found, width: int | None = None) -> str:
    """The curve in braille signs, the rates below it, and the reason; no line longer than `width`, 36 to 100."""
    width = max(36, min(width or shutil.get_terminal_size((80, 24)).columns, 100))
    lrs, mean = _mean(finding)
    shown = np.where(mean <= _top(finding), mean, np.nan)
    margin = 2 + max(len(f"{v:.4g}") for v in (np.nanmin(shown), np.nanmax(shown)))
    marks = {f"lr {rate(finding.lr)}": finding.lr}
    if width >= 60:
        marks |= finding.suggestions
    drawing = braille(lrs, shown, width - margin, 8 if width < 60 else 12, log_x=True, marks=marks)
    rows = [(name, rate(lr)) for name, lr in finding.suggestions.items()]
    rows += [(name, f"{rate(low)} to {rate(high)}") for name, (low, high) in stretches(finding).items()]
    rows.insert(-1, ("widest stable", rate(finding.widest_stable)))
    table = "\n".join(f"  {name:14} {value}" for name, value in rows)
    return f"{drawing}\n\n{table}\n\n{textwrap.fill(words.reason(finding), width)}"


def stretches(finding: Found) -> dict[str, tuple[float, float]]:
    return {"band": finding.band, "plateau": finding.plateau, "one cycle": finding.one_cycle}


def chart(finding: Found) -> Chart:
    """Curves, band of the repeats, suggestions, probes, plateau, the chosen rate."""
    lrs, mean = _mean(finding)
    n, top = len(lrs), _top(finding)
    floor = min([float(np.nanmin(mean)), *(p.loss for p in finding.probes if math.isfinite(p.loss))])
    bottom = 0.0 if floor >= 0 else floor - 0.08 * (top - floor)
    flags = {**finding.suggestions, "widest stable": finding.widest_stable}
    last = max(float(lrs[-1]), finding.lr, *flags.values())
    made = Chart(
        Axis(float(lrs[0]), last, log=True, label="learning rate"),
        Axis(bottom, top),
        f"learning-rate range test of {finding.rule}: {rate(finding.lr)}",
        head=f"{finding.rule}: learning rate {rate(finding.lr)}",
        aside=f"{words.confidence(words.doubts(finding))} confidence · {finding.evaluations} gradients"
        f" · {finding.seconds:.1f} s",
        names="below",
    )
    raw = [(lr, v) for c in finding.curves for lr, v in zip(c.lr, c.raw, strict=True) if bottom <= v <= top]
    made.add(Dots(*_sides([point for point in raw if point[0] <= last]), "s0"))
    every = np.clip([c.smoothed[:n] for c in finding.curves], bottom, top)
    made.add(Band(lrs, every.min(axis=0), every.max(axis=0), "s0", 0.2))
    inside = int(np.argmax(mean > top)) if (mean > top).any() else n
    made.add(Line(lrs[:inside], mean[:inside], "s0", width=2.4, name=f"smoothed loss, {len(finding.curves)} sweeps"))
    val = [(lr, v) for lr, v in finding.curve.val if bottom <= v <= top]
    if len(val) > 1:
        made.add(Line(*_sides(val), "s3", (6, 3), 1.8, name="validation loss"))
    for name, lr in flags.items():
        colour = "s3" if name == "widest stable" else "ink"
        ends = (
            min(float(np.interp(math.log(lr), np.log(lrs), mean)), top) if lr <= lrs[-1] and colour == "ink" else None
        )
        made.add(Flag(lr, name, colour, y=ends))
        if ends is not None:
            made.add(Mark(lr, ends, colour="ink", size=0.9))
    made.add(Flag(finding.lr, f"lr {rate(finding.lr)}", "s1", bold=True))
    made.add(*_probes(finding, bottom, top))
    made.add(
        Span(*finding.plateau, "s2", 0.12, "nearly as good as the best" if finding.probes else "band of the repeats")
    )
    return made


def _probes(finding: Found, bottom: float, top: float) -> list[Mark]:
    """A ring at the loss that each reached; a cross at the top where it diverged."""
    if not finding.probes:
        return []
    best, made = min(finding.probes, key=lambda p: p.loss), []
    told = f"probe: loss after {max(p.steps for p in finding.probes)} steps (best {loss(best.loss)})"
    for probe in finding.probes:
        if math.isfinite(probe.loss) and probe.loss < top:
            colour = "s2" if finding.evidence.plateau and probe.lr in finding.evidence.plateau else "quiet"
            said = f"lr {rate(probe.lr)}: loss {loss(probe.loss)}"
            made.append(Mark(probe.lr, probe.loss, "circle", colour, True, 1.25, said, told if probe is best else ""))
        else:
            made.append(
                Mark(
                    probe.lr, top - 0.04 * (top - bottom), "cross", "quiet", title=f"lr {rate(probe.lr)}: off the scale"
                )
            )
    return made


def _sides(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _mean(finding: Found) -> tuple[np.ndarray, np.ndarray]:
    """The mean smoothed curve over the repeats, as far as the first of them got."""
    n = min(int(np.isfinite(c.smoothed).sum()) for c in finding.curves)
    return finding.curve.lr[:n], np.mean([c.smoothed[:n] for c in finding.curves], axis=0)


def _top(finding: Found) -> float:
    """What lies above a little more than the first loss is off the picture."""
    firsts = [float(c.smoothed[0]) for c in finding.curves]
    lowest = min(float(c.smoothed[c.minimum]) for c in finding.curves)
    return max(firsts) + 0.25 * max(max(firsts) - lowest, 0.04 * abs(max(firsts)), 1e-12)
