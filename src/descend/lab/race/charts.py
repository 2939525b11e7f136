"""The charts of a race: mean curves, learning-rate sensitivity, differences to the leader."""

from __future__ import annotations

import math
from typing import Any

from ...draw import axes
from ...draw.chart import Axis, Band, Chart, Line, Mark, Note, Span
from ...draw.palette import dash_of, mark_of, series
from .race import Entry, Run, choose
from .record import Record
from .results import Line as Row
from .results import Results, mean_curve, results
from .table import loss, rate, signed


def series_of(record: Record) -> dict[str, int]:
    """The number of each rule's colour, dash and mark: its place among the rules asked for."""
    return {entry.rule: k % 8 for k, entry in enumerate(record.entries)}


def plot(record: Record, ax: Any) -> Any:
    """The mean curves on matplotlib's axes.

    Raises:
        ValueError: no rule has finished.
    """
    chart = race_curves(record, results(record))
    if chart is None:
        raise ValueError("nothing to draw: no rule of this race has finished")
    return axes.plot(chart, record.__str__, ax)


def race_curves(record: Record, found: Results, over_time: bool = False, names: str = "right") -> Chart | None:
    """Mean validation loss by step, or by time spent training; band: lowest to highest seed."""
    curves = {line.rule: mean_curve(record.looks, line.runs) for line in found.tuned}
    curves = {rule: curve for rule, curve in curves.items() if curve.at}
    if not curves:
        return None
    pace = {rule: found.train_step_ms[rule] if over_time else 1.0 for rule in curves}
    lowest = min(min(curve.low) for curve in curves.values())
    first = max(curve.high[0] for curve in curves.values())
    unit = "milliseconds of training" if over_time else "step"
    chart = Chart(
        Axis(0, record.config.steps * max(pace.values()), label=unit),
        Axis(lowest * 0.92, first * 1.15, log=True),
        f"mean validation loss against {unit}, one line per rule",
        names=names,
    )
    number = {entry.rule: k for k, entry in enumerate(record.entries)}
    at = {rule: [step * pace[rule] for step in curve.at] for rule, curve in curves.items()}
    for rule, curve in curves.items():
        chart.add(Band(at[rule], curve.low, curve.high, series(number[rule]), group=f"c{number[rule]}"))
    for rule, curve in curves.items():
        k = number[rule]
        colour, sign, group = series(k), mark_of(k), f"c{k}"
        chart.add(Line(at[rule], curve.mean, colour, dash_of(k), name=rule, mark=sign, group=group))
        points = list(zip(at[rule], curve.mean, strict=True))
        chart.add(*(Mark(*point, sign, colour, group=group) for point in points[2 + k % 4 :: 6]))
        if curve.cut:
            chart.add(Mark(*points[-1], "cross", colour, title=f"{rule} diverged on a seed", group=group))
    return chart


def sensitivity(record: Record, found: Results, entry: Entry) -> Chart | None:
    """Final loss of the tuning seed against the learning rate, with the tuned and the default one marked."""
    trials = record.tuning(entry.rule)
    if not trials:
        return None
    colour = series(series_of(record)[entry.rule])
    top = max(run.val_loss[0] for run in record.runs) * 3
    finite = [run.loss for run in record.runs if math.isfinite(run.loss)]
    default = found.default_line(entry.rule)
    lrs = [run.lr for run in trials] + [entry.default_lr] * (default is not None)
    chart = Chart(
        Axis(min(lrs) / 1.4, max(lrs) * 1.4, log=True),
        Axis(min([*finite, top / 2]) * 0.85, top, log=True),
        f"{entry.rule}: final validation loss against the learning rate",
    )
    if band := found.widths.get(entry.rule):
        chart.add(Span(band.low, band.high))
    for piece in _unbroken(trials):
        chart.add(Line([run.lr for run in piece], [run.loss for run in piece], colour))
    best = choose(trials).lr
    for run in trials:
        said = f"lr {rate(run.lr)}: "
        if not math.isfinite(run.loss):
            chart.add(Mark(run.lr, top, "cross", colour, title=f"{said}diverged at step {run.diverged_at}"))
        elif run.loss > top:
            chart.add(Mark(run.lr, top, "up", colour, hollow=True, title=f"{said}loss {loss(run.loss)}, off the scale"))
        else:
            size = 1.75 if run.lr == best else 1.0
            chart.add(Mark(run.lr, run.loss, "circle", colour, size=size, title=f"{said}loss {loss(run.loss)}"))
    if default and math.isfinite(default.standing.mean):
        mean = default.standing.mean
        told = f"default lr {rate(entry.default_lr)}: mean loss {loss(mean)} on the fresh seeds"
        chart.add(Mark(entry.default_lr, min(mean, top), "diamond", "ink", hollow=True, title=told))
    return chart


def _unbroken(trials: list[Run]) -> list[list[Run]]:
    """The trials in stretches without a diverged one."""
    pieces: list[list[Run]] = [[]]
    for run in trials:
        if math.isfinite(run.loss):
            pieces[-1].append(run)
        else:
            pieces.append([])
    return [piece for piece in pieces if piece]


def differences(record: Record, lines: list[Row], wide: bool = True) -> Chart | None:
    """Paired difference to the leader with its Holm-corrected 95 % interval, one row per rule."""
    rows = [line for line in lines if line.standing.difference is not None]
    if not rows:
        return None
    spans = [(line.standing.difference or 0.0, line.standing.half_holm or 0.0) for line in rows]
    low, high = min(0.0, *(d - h for d, h in spans)), max(0.0, *(d + h for d, h in spans))
    room = (high - low or 1.0) * 0.04
    middle = {line.rule: k + (0.5 if wide else 0.68) for k, line in enumerate(rows)}
    names = {at: rule for rule, at in middle.items()} if wide else {}
    chart = Chart(
        Axis(low - room, high + room, label="validation loss above the leader's"),
        Axis(len(rows), 0, marks=names, grid=False),
        "difference to the leader's validation loss, one row per rule",
    )
    chart.add(Line([0, 0], [0, len(rows)], "quiet", width=1.5))
    for k, (line, (mean, half)) in enumerate(zip(rows, spans, strict=True)):
        at, number = middle[line.rule], series_of(record)[line.rule]
        said = f"{signed(mean)} ±{loss(half)}"
        chart.add(Line([mean - half, mean + half], [at, at], series(number), width=2.4))
        chart.add(Mark(mean, at, mark_of(number), series(number), title=f"{line.rule}: {said}"))
        if wide:
            chart.beside[at] = said + " tied" * line.standing.tied
        else:
            chart.add(Note(low - room, k, f"{line.rule}  {said}", dy=12))
    return chart
