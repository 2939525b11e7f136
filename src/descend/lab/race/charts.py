"""The charts of a report: mean curves, learning-rate sensitivity, differences to the leader."""

import math

from ...draw.svg import CROSS, DIAMOND, UP, Plot, Scale, mark_of, spread
from .race import Entry, Run, choose
from .record import Record
from .results import Line, Results, mean_curve
from .stats import Width
from .table import loss, rate, signed

WIDE, NARROW = (760, 430), (340, 320)


def series_of(record: Record) -> dict[str, int]:
    """The number of each rule's colour, dash and mark: its place among the rules asked for."""
    return {entry.rule: k % 8 for k, entry in enumerate(record.entries)}


def race_curves(record: Record, found: Results, size: tuple[int, int], over_time: bool) -> str:
    """Mean validation loss by step, or by time spent training; band: lowest to highest seed."""
    width, height = size
    named = width >= WIDE[0]
    curves = {line.rule: mean_curve(record.looks, line.runs) for line in found.tuned}
    curves = {rule: curve for rule, curve in curves.items() if curve.at}
    if not curves:
        return ""
    pace = {rule: found.train_step_ms[rule] if over_time else 1.0 for rule in curves}
    last = record.config.steps * max(pace.values())
    lowest = min(min(curve.low) for curve in curves.values())
    first = max(curve.high[0] for curve in curves.values())
    x = Scale(0, last, 44, width - (224 if named else 16))
    y = Scale(lowest * 0.92, first * 1.15, height - 40, 12, log=True)
    unit = "milliseconds of training" if over_time else "step"
    key = f"race-{'time' if over_time else 'step'}-{width}"
    plot = Plot(width, height, x, y, f"mean validation loss against {unit}, one line per rule", key)
    plot.grid([(t, f"{t:g}") for t in x.ticks(6 if named else 4)], [(t, f"{t:g}") for t in y.ticks(8)])
    plot.text((x.start + x.end) / 2, height - 6, unit, "middle", "axis")
    series = series_of(record)
    number = {entry.rule: k for k, entry in enumerate(record.entries)}
    for rule, curve in curves.items():
        plot.begin(f"curve c{number[rule]}")
        plot.band([step * pace[rule] for step in curve.at], curve.low, curve.high, series[rule])
        plot.end()
    for rule, curve in curves.items():
        plot.begin(f"curve c{number[rule]}")
        points = [(step * pace[rule], value) for step, value in zip(curve.at, curve.mean, strict=True)]
        plot.line(points, series[rule])
        for point in points[2 + series[rule] % 4 :: 6]:
            plot.mark(point, mark_of(series[rule]), f"mark s{series[rule]}")
        if curve.cut:
            plot.mark(points[-1], CROSS, f"cross s{series[rule]}", f"{rule} diverged on a seed")
        plot.end()
    if named:
        ends = {rule: (x(c.at[-1] * pace[rule]), y(c.mean[-1])) for rule, c in curves.items()}
        places = spread([end for _, end in ends.values()], 17, y.end + 4, y.start)
        for (rule, (from_x, from_y)), to_y in zip(ends.items(), places, strict=True):
            plot.begin(f"curve c{number[rule]}")
            plot.rule(f"M{from_x + 3:.1f} {from_y:.1f}L{x.end + 12:.1f} {to_y:.1f}", f"lead s{series[rule]}")
            plot.stamp(x.end + 20, to_y, mark_of(series[rule]), f"mark s{series[rule]}")
            plot.text(x.end + 30, to_y + 4, rule, classes="name")
            plot.end()
    return str(plot)


def sensitivity(record: Record, found: Results, entry: Entry) -> str:
    """Final loss of the tuning seed against the learning rate, with the tuned and the default one marked."""
    width, height = 330, 210
    trials = record.tuning(entry.rule)
    if not trials:
        return ""
    series = series_of(record)[entry.rule]
    top = max(run.val_loss[0] for run in record.runs) * 3
    finite = [run.loss for run in record.runs if math.isfinite(run.loss)]
    default = found.default_line(entry.rule)
    lrs = [run.lr for run in trials] + [entry.default_lr] * (default is not None)
    x = Scale(min(lrs) / 1.4, max(lrs) * 1.4, 44, width - 16, log=True)
    y = Scale(min([*finite, top / 2]) * 0.85, top, height - 24, 12, log=True)
    plot = Plot(
        width,
        height,
        x,
        y,
        f"{entry.rule}: final validation loss against the learning rate",
        f"lr-{entry.rule}",
    )
    band: Width | None = found.widths.get(entry.rule)
    if band:
        plot.shade(band.low, band.high)
    plot.grid([(t, rate(t)) for t in x.ticks(5)], [(t, f"{t:g}") for t in y.ticks(6)])
    for piece in _unbroken(trials):
        plot.line([(run.lr, run.loss) for run in piece], series)
    best = choose(trials).lr
    for run in trials:
        if not math.isfinite(run.loss):
            plot.mark(
                (run.lr, top),
                CROSS,
                f"cross s{series}",
                f"lr {rate(run.lr)}: diverged at step {run.diverged_at}",
            )
        elif run.loss > top:
            plot.mark(
                (run.lr, top),
                UP,
                f"open s{series}",
                f"lr {rate(run.lr)}: loss {loss(run.loss)}, off the scale",
            )
        else:
            chosen = "chosen" if run.lr == best else "mark"
            plot.mark(
                (run.lr, run.loss),
                mark_of(0),
                f"{chosen} s{series}",
                f"lr {rate(run.lr)}: loss {loss(run.loss)}",
            )
    if default and math.isfinite(default.standing.mean):
        mean = default.standing.mean
        told = f"default lr {rate(entry.default_lr)}: mean loss {loss(mean)} on the fresh seeds"
        plot.mark((entry.default_lr, min(mean, top)), DIAMOND, "open default", told)
    return str(plot)


def _unbroken(trials: list[Run]) -> list[list[Run]]:
    """The trials in stretches without a diverged one."""
    pieces: list[list[Run]] = [[]]
    for run in trials:
        if math.isfinite(run.loss):
            pieces[-1].append(run)
        else:
            pieces.append([])
    return [piece for piece in pieces if piece]


def differences(record: Record, lines: list[Line], size: tuple[int, int]) -> str:
    """Paired difference to the leader with its Holm-corrected 95 % interval, one row per rule."""
    rows = [line for line in lines if line.standing.difference is not None]
    if not rows:
        return ""
    width = size[0]
    wide = width >= WIDE[0]
    height = 44 + 30 * len(rows)
    spans = [(line.standing.difference or 0.0, line.standing.half_holm or 0.0) for line in rows]
    low, high = min(0.0, *(d - h for d, h in spans)), max(0.0, *(d + h for d, h in spans))
    room = (high - low or 1.0) * 0.04
    x = Scale(low - room, high + room, 208 if wide else 16, width - (150 if wide else 16))
    y = Scale(0, len(rows), 8, height - 36)
    plot = Plot(width, height, x, y, "difference to the leader's validation loss, one row per rule", f"diff{width}")
    for tick in x.ticks(6 if wide else 4):
        at = x(tick)
        plot.rule(f"M{at:.1f} {y.start:g}V{y.end:g}", "grid")
        plot.text(at, y.end + 16, f"{tick:g}", "middle")
    plot.rule(f"M{x(0):.1f} {y.start:g}V{y.end:g}", "zero")
    series = series_of(record)
    for k, (line, (mean, half)) in enumerate(zip(rows, spans, strict=True)):
        at, s = y(k + (0.5 if wide else 0.68)), series[line.rule]
        plot.rule(f"M{x(mean - half):.1f} {at:.1f}H{x(mean + half):.1f}", f"whisker s{s}")
        told = f"{line.rule}: {signed(mean)} ±{loss(half)}"
        plot.mark((mean, k + (0.5 if wide else 0.68)), mark_of(s), f"mark s{s}", told)
        said = f"{signed(mean)} ±{loss(half)}"
        if wide:
            plot.text(x.start - 12, at + 4, line.rule, "end", "name")
            plot.text(x.end + 10, at + 4, said + (" tied" if line.standing.tied else ""), classes="tick")
        else:
            plot.text(0, y(k) + 11, f"{line.rule}  {said}", classes="tick")
    plot.text((x.start + x.end) / 2, height - 4, "validation loss above the leader's", "middle", "axis")
    return str(plot)
