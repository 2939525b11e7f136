"""A choice as one page: the answer, what was tried, what it cost."""

import math
from dataclasses import replace
from html import escape
from statistics import fmean

from ...draw import palette
from ...draw.chart import Axis, Chart, Flag, Line, Mark
from ...draw.page import both, download, page, report, scroll, table
from ...draw.svg import svg
from . import words
from .found import Found
from .lattice import rate
from .outcomes import Level


def chart(choice: Found) -> Chart:
    """The loss by rate: each rule in its longest runs, mean over the seeds; a flag at the answer."""
    curves = {rule: _curve(choice, rule) for rule in dict.fromkeys(o.trial.rule for o in choice.outcomes)}
    curves = {rule: points for rule, points in curves.items() if points}
    rates = [lr for points in curves.values() for lr, _ in points] + [choice.lr]
    best = min(loss for points in curves.values() for _, loss in points)
    top = min(max(loss for points in curves.values() for _, loss in points), _top(choice, best))
    log = best > 0 and top / best > 5
    room = (top / best) ** 0.06 if log else 0.06 * (max(top - best, 1e-6 * abs(best)) or 1.0)  # all may be equal
    y = Axis(best / room if log else best - room, top * room if log else top + room, log, "loss at the end of a run")
    drawn = Chart(Axis(min(rates) / 1.3, max(rates) * 1.3, True, "learning rate"), y, f"loss by rate, {choice.name}",
                  head="The longest runs of each rule", names="right")  # fmt: skip
    order = [o.rule for o in choice.options] + [rule for rule in curves if rule not in {o.rule for o in choice.options}]
    for k, rule in enumerate(rule for rule in order if rule in curves):
        points = [(lr, min(loss, y.high)) for lr, loss in curves[rule]]
        x, v = zip(*points, strict=True)
        drawn.add(Line(x, v, palette.series(k), palette.dash_of(k), 2.0 if k < 2 else 1.3, rule, group=rule))
        drawn.add(*(Mark(a, b, palette.mark_of(k), palette.series(k), title=f"{rule} at {a:g}: {b:.4g}", group=rule)
                    for a, b in points))  # fmt: skip
    drawn.add(Flag(choice.lr, f"{choice.rule} at {choice.lr:g}", bold=True))
    return drawn


def _top(choice: Found, best: float) -> float:
    """Where the picture ends: half of what was gained above the best, for above it nobody looks."""
    return best + 0.5 * max(choice.start - best, 1e-12)


def _curve(choice: Found, rule: str) -> list[tuple[float, float]]:
    """(rate, mean loss) of a rule's longest linear runs, where they did not diverge; of two rates, if there are."""
    runs = [o for o in choice.outcomes if o.trial.rule == rule and o.trial.schedule == "linear"]
    by_length: dict[int, dict[float, list[float]]] = {}
    for o in runs:
        by_length.setdefault(o.trial.steps, {}).setdefault(o.trial.lr, []).append(o.loss)
    curves = [
        [(lr, fmean(of)) for lr, of in sorted(by_length[steps].items()) if all(map(math.isfinite, of))]
        for steps in sorted(by_length, reverse=True)
    ]
    return next((points for points in curves if len(points) > 1), next(filter(None, curves), []))


def html(choice: Found, code: str, raw: str) -> str:
    """The page. `code` trains so, `raw` is every number as JSON, carried inside for download."""
    return page(f"{choice.name}: what to train with", body(choice, code, raw))


def body(choice: Found, code: str, raw: str = "") -> str:
    """The same without the page around it; without the numbers for download if there are no `raw` ones."""
    drawn = replace(chart(choice), head="")
    levels = [(words.fraction(level.share), str(level.cells), _ranked(level)) for level in choice.levels]
    sentences = [
        f"{words.reason(choice)}.",
        f"Confidence: {choice.confidence}.",
        *(f"{doubt[0].upper() + doubt[1:]}." for doubt in choice.doubts),
        f"It cost {choice.spent:.1f} trainings of {choice.asked_steps} steps, {choice.seconds:.0f} seconds.",
    ]
    evidence = [
        "<h2>To train so</h2>",
        scroll(f"<pre>{escape(code)}</pre>", "Python code"),
        "<h2>What was tried</h2>",
        both(svg(drawn, 860, 380, "curve"), svg(replace(drawn, names="below"), 340, 400, "curve-narrow")),
        table(words.rows(choice), words.HEAD, right=range(1, 6), first=(0,), label="rules at their best"),
        table(levels, ("length of runs", "rates and schedules", "best of each rule, the best first")),
        table(list(choice.dropped.items()), ("left out", "why")) if choice.dropped else "",
    ]
    method = [
        "Every run is a whole training of fewer steps: its rate warms up over a thirtieth of them, then falls to zero, "
        "for curves that are cut off rank rules wrongly.",
        "Rules with slower steps get fewer of them, where seconds are the price.",
        "What the runs say of the end of the training is a Gaussian process over rules, rates, lengths and schedules, "
        "learnt from sweeps of other tasks; the next run is the one that is expected to improve the answer most for "
        "what it costs. Rate, expected loss and interval are that process's.",
        "What this does not show: other settings than the rate, which are the rules' defaults; other lengths, models "
        "or data.",
    ]
    data = download("choice.json.gz", raw, "Every number as JSON") if raw else ""
    answer = f"{choice.name}: {choice.rule} at {choice.lr:g}, {choice.schedule} to zero"
    return report("choice", answer, sentences, evidence, method, data)


def _ranked(level: Level) -> str:
    """The best of each rule, the best first."""
    return ", ".join(f"{rule} {words.number(of.loss)} at {rate(of.place):g}" for rule, of in level.ranked)
