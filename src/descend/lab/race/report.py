"""A record as one static HTML file: no script, no font, no request. The page is `report.html.j2`."""

import base64
import gzip
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from ...draw.svg import swatch
from . import charts
from .race import Entry, Run
from .record import Record
from .results import Results
from .table import DEFAULT, TUNED, cells, decades, duration, loss, milliseconds, rate, share, signed
from .verdict import limits, verdict


def html(record: Record, found: Results, text: str) -> str:
    """The report of a record; `text` is its JSON, carried inside for download.

    Whoever has the report can rebuild everything: `descend race --from race-digits.json.gz`.
    """
    page = Environment(
        loader=PackageLoader("descend.lab.race", "."),
        autoescape=select_autoescape(["j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html.j2")
    series = charts.series_of(record)
    sentences = verdict(record, found)
    missing = sentences.pop(0) if found.unfinished else ""
    return page.render(
        record=record,
        config=record.config,
        missing=missing,
        sentences=sentences,
        limits=limits(record),
        tables=_tables(found),
        swatches={rule: Markup(swatch(k)) for rule, k in series.items()},
        race_charts=_race_charts(record, found),
        sensitivity=_sensitivity(record, found),
        differences=[
            (label, [(css, Markup(charts.differences(record, lines, size))) for css, size in _sizes()])
            for label, lines in (
                ("tuned learning rate", found.tuned),
                ("default learning rate", found.default),
            )
            if len(lines) > 1 and not lines[0].standing.diverged
        ],
        costs=[_cost(record, found, entry) for entry in record.entries if entry.rule in found.step_ms],
        cards=[_card(record, found, entry) for entry in record.entries],
        took=duration(record.seconds),
        download=base64.b64encode(gzip.compress(text.encode("utf-8"), mtime=0)).decode("ascii"),
        rate=rate,
    )


def _sizes() -> tuple[tuple[str, tuple[int, int]], ...]:
    """The same chart drawn for a wide and for a narrow window; the style sheet shows one of them."""
    return (("wide", charts.WIDE), ("narrow", charts.NARROW))


def _tables(found: Results) -> list[dict[str, Any]]:
    return [
        {
            "caption": caption,
            "columns": columns,
            "lines": [(line, cells(line, found)) for line in lines],
        }
        for caption, columns, lines in (
            ("Learning rate tuned: seven tries each, on another seed", TUNED, found.tuned),
            ("Learning rate left at the rule's default", DEFAULT, found.default),
        )
        if lines
    ]


def _race_charts(record: Record, found: Results) -> list[tuple[str, str, Markup]]:
    drawn = [
        (axis, css, Markup(charts.race_curves(record, found, size, over_time)))
        for axis, over_time in (("step", False), ("time", True))
        for css, size in _sizes()
    ]
    return [chart for chart in drawn if chart[2]]


def _sensitivity(record: Record, found: Results) -> list[dict[str, Any]]:
    return [
        {
            "rule": entry.rule,
            "width": decades(found.widths[entry.rule]),
            "chart": Markup(charts.sensitivity(record, found, entry)),
        }
        for entry in record.entries
        if entry.rule in found.widths
    ]


def _cost(record: Record, found: Results, entry: Entry) -> dict[str, str]:
    rule = entry.rule
    return {
        "rule": rule,
        "step": milliseconds(found.step_ms[rule]),
        "train": milliseconds(found.train_step_ms[rule]),
        "state": str(entry.state_bytes),
        "compile": duration(record.compile_s[rule]) if rule in record.compile_s else "–",
        "engine": found.engine[rule],
        "diverged": str(found.diverged[rule]),
    }


def _card(record: Record, found: Results, entry: Entry) -> dict[str, Any]:
    """What unfolds under a rule: its text, its settings, and every run."""
    tuned, default = found.line(entry.rule), found.default_line(entry.rule)
    runs = [("tuned", run) for run in (tuned.runs if tuned else [])]
    if not (tuned and default and tuned.lr == default.lr):
        runs += [("default", run) for run in (default.runs if default else [])]
    return {
        "entry": entry,
        "settings": ", ".join(f"{name}={value:g}" for name, value in entry.settings.items()) or "none",
        "tuned": tuned,
        "difference": signed(tuned.standing.difference) if tuned and tuned.standing.difference is not None else None,
        "plain": loss(tuned.standing.half_plain) if tuned and tuned.standing.half_plain is not None else None,
        "trials": [_run_row(run) for run in record.tuning(entry.rule)],
        "runs": [(label, _run_row(run)) for label, run in runs],
    }


def _run_row(run: Run) -> dict[str, str]:
    diverged = run.diverged_at is not None
    return {
        "lr": rate(run.lr),
        "seed": str(run.seed),
        "loss": f"diverged at step {run.diverged_at}" if diverged else loss(run.loss),
        "accuracy": "–" if diverged else share(run.accuracy),
    }
