"""The charts of a race: mean curves, learning-rate sensitivity, differences to the leader."""

import math
from typing import Any

from ...draw import axes
from ...draw.chart import Axis, Band, Chart, Line, Mark, Note, Span
from ...draw.palette import dash_of, mark_of, series
from ...draw.svg import svg
from .protocol.tuning import Rate
from .race import Entry
from .record import Record
from .results import Line as Row
from .results import Results, mean_curve, results
from .table import loss, rate, relative


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


def picture(record: Record) -> str:
    """The mean curves for a notebook; "" before a rule has finished."""
    chart = race_curves(record, results(record))
    return svg(chart, 720, 320) if chart is not None else ""


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
        _losses(lowest, first, 0.92, 1.15),
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


def _losses(low: float, high: float, below: float, above: float = 1.0) -> Axis:
    """The axis of losses: logarithmic, unless a loss is zero or negative."""
    if low > 0:
        return Axis(low * below, high * above, log=True)
    room = 0.05 * ((high - low) or 1.0)
    return Axis(low - room, high + room)


def sensitivity(record: Record, found: Results, entry: Entry) -> Chart | None:
    """Mean final loss of the tuning seeds against the learning rate, with the tuned and the default one marked."""
    trials = found.rates.get(entry.rule)
    if not trials:
        return None
    colour = series(series_of(record)[entry.rule])
    top = max(run.val_loss[0] for run in record.runs) * 3
    finite = [run.loss for run in record.runs if math.isfinite(run.loss)]
    default = found.default_line(entry.rule)
    lrs = [trial.lr for trial in trials] + [entry.default_lr] * (default is not None)
    chart = Chart(
        Axis(min(lrs) / 1.4, max(lrs) * 1.4, log=True),
        _losses(min([*finite, top / 2]), top, 0.85),
        f"{entry.rule}: final validation loss against the learning rate",
    )
    if band := found.widths.get(entry.rule):
        chart.add(Span(band.low, band.high))
    for rule, lr, what in record.task.get("known", ()):
        if rule == entry.rule and min(lrs) / 1.4 <= lr <= max(lrs) * 1.4:
            chart.add(Line([lr, lr], [chart.y.low, chart.y.high], "quiet", (4, 3), width=1.5))
            chart.add(Mark(lr, top, "diamond", "quiet", title=f"theory, {what}: {rate(lr)}"))
    for piece in _unbroken(trials):
        chart.add(Line([trial.lr for trial in piece], [trial.loss for trial in piece], colour))
    for trial in trials:
        said = f"lr {rate(trial.lr)}: "
        if not math.isfinite(trial.loss):
            lost = sum(not math.isfinite(x) for x in trial.losses)
            chart.add(Mark(trial.lr, top, "cross", colour, title=f"{said}{lost}/{len(trial.losses)} diverged"))
        elif trial.loss > top:
            told = f"{said}loss {loss(trial.loss)}, off the scale"
            chart.add(Mark(trial.lr, top, "up", colour, hollow=True, title=told))
        else:
            chart.add(Mark(trial.lr, trial.loss, "circle", colour, title=f"{said}loss {loss(trial.loss)}"))
    tuned = found.line(entry.rule)
    if tuned and math.isfinite(tuned.standing.mean):
        told = f"tuned lr {rate(tuned.lr)}: mean loss {loss(tuned.standing.mean)} on the fresh seeds"
        chart.add(Mark(tuned.lr, min(tuned.standing.mean, top), "circle", colour, size=1.75, title=told))
    if default and math.isfinite(default.standing.mean):
        mean = default.standing.mean
        told = f"default lr {rate(entry.default_lr)}: mean loss {loss(mean)} on the fresh seeds"
        chart.add(Mark(entry.default_lr, min(mean, top), "diamond", "ink", hollow=True, title=told))
    return chart


def _unbroken(trials: list[Rate]) -> list[list[Rate]]:
    """The trials in stretches without a diverged one."""
    pieces: list[list[Rate]] = [[]]
    for trial in trials:
        if math.isfinite(trial.loss):
            pieces[-1].append(trial)
        else:
            pieces.append([])
    return [piece for piece in pieces if piece]


def differences(record: Record, lines: list[Row], wide: bool = True) -> Chart | None:
    """Paired difference to the leader with its interval, one row per rule; shaded: what makes no difference."""
    rows = [line for line in lines if line.standing.interval is not None]
    if not rows:
        return None
    spans = [tuple(100 * x for x in line.standing.relative) for line in rows]
    same = 100 * record.config.delta
    low, high = min(-same, *(span[1] for span in spans)), max(same, *(span[2] for span in spans))
    room = (high - low or 1.0) * 0.04
    middle = {line.rule: k + (0.5 if wide else 0.68) for k, line in enumerate(rows)}
    names = {at: rule for rule, at in middle.items()} if wide else {}
    chart = Chart(
        Axis(low - room, high + room, label="% of the leader's validation loss above it"),
        Axis(len(rows), 0, marks=names, grid=False),
        "difference to the leader's validation loss, one row per rule",
    )
    chart.add(Span(-same, same), Line([0, 0], [0, len(rows)], "quiet", width=1.5))
    for k, (line, (mean, least, most)) in enumerate(zip(rows, spans, strict=True)):
        at, number = middle[line.rule], series_of(record)[line.rule]
        said = f"{relative(line.standing)} {line.standing.standing}"
        chart.add(Line([least, most], [at, at], series(number), width=2.4))
        told = f"{line.rule}: {mean:+.1f} %, {least:+.1f} to {most:+.1f}"
        chart.add(Mark(mean, at, mark_of(number), series(number), title=told))
        if wide:
            chart.beside[at] = said
        else:
            chart.add(Note(low - room, k, f"{line.rule}  {said}", dy=12))
    return chart
