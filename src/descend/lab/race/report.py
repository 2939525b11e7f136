"""A record as one page; its text is `report.html.j2`."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from ...draw.chart import Chart
from ...draw.page import Markup, both, download, page, table
from ...draw.svg import svg, swatch
from . import charts
from .race import Entry, Run
from .record import Record
from .results import Results
from .table import DEFAULT, TUNED, TUNING, cells, decades, duration, loss, milliseconds, rate, relative, tuning_cells
from .verdict import limits, verdict

STYLE = """
.partial { border-left: 4px solid var(--s1); padding: .4em .8em; background: var(--wash); }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); gap: 8px 28px; }
.toggle input { position: absolute; opacity: 0; }
.toggle label { display: inline-block; padding: .25em .8em; border: 1px solid var(--rule); border-radius: 4px;
  font-size: .88rem; cursor: pointer; }
.toggle input:checked + label { background: var(--ink); color: var(--paper); border-color: var(--ink); }
.toggle input:focus-visible + label { outline: 2px solid var(--s0); outline-offset: 2px; }
#by-step:checked ~ .time, #by-time:checked ~ .step { display: none; }
.toggle .legend { display: flex; flex-wrap: wrap; gap: .2em .5em; margin: .7em 0; }
.toggle .legend label { white-space: nowrap; padding: .1em .6em; border-color: transparent; }
.toggle .legend label:has(:checked) { border-color: var(--ink); }
.toggle .legend label:focus-within:has(:focus-visible) { outline: 2px solid var(--s0); outline-offset: 2px; }
@media print { .toggle input, .toggle label { display: none; } }
"""


def html(record: Record, found: Results, text: str) -> str:
    """The report of a record; `text` is its JSON, carried inside for download.

    Whoever has the report can rebuild everything: `descend race --from race-TASK.json.gz`.
    """
    title = f"descend race: {escape(record.config.task)}{', partial' if record.partial else ''}"
    return page(title, body(record, found, text), style(len(charts.series_of(record))))


def style(series: int) -> str:
    """What the blocks of a report look like, with so many rules at most."""
    return STYLE + "".join(
        f".toggle:has(#alone-{k}:checked) .curve:not(.c{k}) {{ opacity: .08; }}\n" for k in range(series)
    )


def body(record: Record, found: Results, text: str = "") -> str:
    """The report without the page around it; without the numbers for download if there is no `text`."""
    template = Environment(
        loader=PackageLoader("descend.lab.race", "."),
        autoescape=select_autoescape(["j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html.j2")
    series = charts.series_of(record)
    swatches = {rule: Markup(swatch(k)) for rule, k in series.items()}
    sentences = verdict(record, found)
    missing = sentences.pop(0) if found.unfinished else ""
    return template.render(
        record=record,
        config=record.config,
        missing=missing,
        sentences=sentences,
        limits=limits(record),
        standings=_standings(record, found, swatches),
        swatches=swatches,
        race_charts=_race_charts(record, found),
        sensitivity=_sensitivity(record, found),
        differences=_differences(record, found),
        pairs=_pairs(found, swatches),
        costs=_costs(record, found, swatches),
        tuning=_tuning(record, found, swatches),
        space=_space(record, found, swatches),
        cards=[_card(found, entry) for entry in record.entries],
        took=duration(record.seconds),
        download=download(f"race-{record.config.task}.json.gz", text, "Every run as JSON") if text else "",
        target=loss(found.target) if found.target is not None else "",
    )


def _standings(record: Record, found: Results, swatches: dict[str, Markup]) -> list[Markup]:
    made = []
    for caption, columns, lines in (
        ("Learning rate tuned: the same number of trials for each rule, on other seeds", TUNED, found.tuned),
        ("Learning rate left at the rule's default", DEFAULT, found.default),
    ):
        rows = [{**cells(line, found), "rule": _named(line.rule, swatches)} for line in lines]
        rows += [{"rule": _named(rule, swatches), "status": "failed"} for rule in record.failed]
        shown = [[row.get(key, "") for key in columns] for row in rows]
        right = [k for k, column in enumerate(columns.values()) if column.right]
        first = [k for k, line in enumerate(lines) if line.standing.rank == 1]
        made += (
            [table(shown, [c.long or c.name for c in columns.values()], right, caption, first=first, name=1)]
            if lines
            else []
        )
    return made


def _named(rule: str, swatches: dict[str, Markup]) -> Markup:
    return Markup(swatches[rule] + rule)


def _drawn(wide: Chart | None, narrow: Chart | None, height: int, key: str) -> str:
    return both(svg(wide, 760, height, key), svg(narrow, 340, height, f"{key}-narrow")) if wide and narrow else ""


def _race_charts(record: Record, found: Results) -> list[tuple[str, str]]:
    made = []
    for axis, over_time in (("step", False), ("time", True)):
        wide, narrow = (charts.race_curves(record, found, over_time, names) for names in ("right", ""))
        made.append((axis, _drawn(wide, narrow, 360, f"race-{axis}")))
    return [chart for chart in made if chart[1]]


def _sensitivity(record: Record, found: Results) -> list[dict[str, str]]:
    drawn = {entry.rule: charts.sensitivity(record, found, entry) for entry in record.entries}
    return [
        {
            "rule": rule,
            "width": decades(found.widths[rule]),
            "chart": Markup(svg(chart, 330, 170, f"lr-{rule.replace('#', '-')}")),
        }
        for rule, chart in drawn.items()
        if chart
    ]


def _differences(record: Record, found: Results) -> list[tuple[str, str]]:
    made = []
    for label, lines in (("tuned learning rate", found.tuned), ("default learning rate", found.default)):
        if len(lines) > 1 and not lines[0].standing.diverged:
            wide, narrow = (charts.differences(record, lines, wide) for wide in (True, False))
            made.append((label, _drawn(wide, narrow, 30 * len(lines) - 30, f"difference-{label[:5].strip()}")))
    return made


def _pairs(found: Results, swatches: dict[str, Markup]) -> Markup:
    """Every rule against every other."""
    rules = [line.rule for line in found.tuned]
    if len(rules) < 3 or not found.pairs:
        return Markup("")

    def cell(rule: str, other: str) -> str:
        if rule == other:
            return ""
        said, ends = found.pair(rule, other)
        return (
            said
            if ends is None or said == "equal"
            else f"{said} {100 * abs(ends[0]):.{1 if abs(ends[0]) < 0.1 else 0}f} %"
        )

    rows = [(_named(rule, swatches), *(cell(rule, other) for other in rules)) for rule in rules]
    caption = "Each rule against the one above; the difference in shares of the loss of one of the two"
    return table(rows, ("", *rules), (), caption)


def _costs(record: Record, found: Results, swatches: dict[str, Markup]) -> Markup:
    head = (
        "rule",
        "optimizer step, ms",
        "training step, ms",
        "state, bytes/parameter",
        "to target, s",
        "compiling, once",
    )
    rows = [
        (
            _named(entry.rule, swatches),
            milliseconds(found.step_ms[entry.rule]),
            milliseconds(found.train_step_ms[entry.rule]),
            str(entry.state_bytes),
            _seconds(found, entry.rule),
            duration(record.compile_s[entry.rule]) if entry.rule in record.compile_s else "–",
            str(found.diverged[entry.rule]),
            found.engine[entry.rule],
        )
        for entry in record.entries
        if entry.rule in found.step_ms
    ]
    caption = "Medians over all runs, measured inside the race; compiling is not in them"
    return table(rows, (*head, "runs diverged", "engine"), range(1, 7), caption) if rows else Markup("")


def _seconds(found: Results, rule: str) -> str:
    """Steps to the target times what a training step takes."""
    if rule not in found.to_target:
        return "–"
    seconds = found.seconds_to_target(rule)
    return f"{seconds:.3g}" if math.isfinite(seconds) else "missed"


def _tuning(record: Record, found: Results, swatches: dict[str, Markup]) -> Markup:
    rows = []
    for line in found.tuned:
        cells = tuning_cells(line.rule, found, record.entry(line.rule).state_bytes)
        rows.append([{**cells, "rule": _named(line.rule, swatches)}[key] for key in TUNING])
    head = [column.long or column.name for column in TUNING.values()]
    right = [k for k, column in enumerate(TUNING.values()) if column.right]
    caption = (
        "Expected: the loss of the best of so many rates drawn from those tried. To target: training alone, in seconds"
    )
    return table(rows, head, right, caption) if rows else Markup("")


def _space(record: Record, found: Results, swatches: dict[str, Markup]) -> Markup:
    rows = [
        (
            _named(entry.rule, swatches),
            " ".join(rate(trial.lr) for trial in found.rates.get(entry.rule, [])),
            rate(entry.default_lr),
            f"{rate(entry.usual_lr)} ({entry.usual_reason})",
            _searched(entry),
        )
        for entry in record.entries
    ]
    return table(rows, ("rule", "learning rates tried", "default lr", "usual lr", "other settings"))


def _searched(entry: Entry) -> str:
    """The other settings: their values, or what was searched."""
    told = []
    for name, value in entry.settings.items():
        low, high, how = entry.space.get(name, (value, value, ""))
        told.append(f"{name} {low:g} to {high:g} ({how}; default {value:g})" if how else f"{name}={value:g}")
    return ", ".join(told) or "none"


def _card(found: Results, entry: Entry) -> dict[str, Any]:
    """What unfolds under a rule: its text, and every run."""
    tuned, default = found.line(entry.rule), found.default_line(entry.rule)
    trials = [(rate(trial.lr), loss(trial.loss), _losses(trial.losses)) for trial in found.rates.get(entry.rule, [])]
    raced = [("tuned", tuned)] if tuned else []
    if default and not (tuned and tuned.lr == default.lr):
        raced.append(("default", default))
    runs = [
        (f"{label} {rate(line.lr)}", _seeds(line.runs), _losses([run.loss for run in line.runs]))
        for label, line in raced
    ]
    tables = [table(trials, ("lr", "mean", "on each seed"), (1,), "Tuning")] * bool(trials)
    tables += [table(runs, ("learning rate", "seeds", "validation loss, in their order"), (), "Race")] * bool(runs)
    return {
        "entry": entry,
        "tuned": tuned,
        "difference": relative(tuned.standing) if tuned else "",
        "tables": tables,
    }


def _seeds(runs: Sequence[Run]) -> str:
    return f"{runs[0].seed}–{runs[-1].seed}"


def _losses(losses: Sequence[float]) -> str:
    return " ".join(loss(x) if math.isfinite(x) else "diverged" for x in losses)
