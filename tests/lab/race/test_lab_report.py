"""The report: every number of the terminal in one file that asks nobody for anything."""

import base64
import gzip
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from lab_samples import FINALS, record
from matplotlib.figure import Figure
from rich.console import Console

from descend.draw.scale import Scale, spread, ticks
from descend.lab.race.live import print_results
from descend.lab.race.protocol.stages import STREAM
from descend.lab.race.record import Record, from_json, to_json
from descend.lab.race.report import html
from descend.lab.race.results import results
from descend.lab.race.verdict import verdict


def page_of(sample: Record) -> str:
    return html(sample, results(sample), to_json(sample))


def terminal(sample: Record, width: int, tmp_path: Path) -> str:
    report = tmp_path / "race-digits.html"
    report.write_text(page_of(sample))
    out = StringIO()
    console = Console(file=out, width=width)
    print_results(console, sample, results(sample), report, str(tmp_path / "race-digits.json"))
    return out.getvalue()


class Page(HTMLParser):
    """All text, all tags, and all attributes of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def numbers(text: str) -> set[str]:
    return set(re.findall(r"±?\d+(?:\.\d+)?(?:e-?\d+)?", text))


@pytest.mark.parametrize("off", [1, 12])
def test_every_number_of_the_terminal_is_in_the_report(off: int, tmp_path: Path):
    sample = record(FINALS, off)
    shown = terminal(sample, 200, tmp_path)
    tables = shown[shown.index("Learning rate tuned") : shown.index("Report:")]
    words = numbers(" ".join(Page(page_of(sample)).words))
    assert len(numbers(tables)) >= 30
    assert numbers(tables) - words == set()


def test_the_page_asks_nobody_for_anything():
    source = page_of(record(FINALS))
    page = Page(source)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    addresses = [value for _, name, value in page.attributes if name in ("src", "href", "srcset", "xlink:href")]
    assert len(addresses) == 1
    assert addresses[0].startswith("data:application/gzip;base64,")
    assert set(re.findall(r"url\(([^)]{0,5})", source)) == {"#race", "#diff", "#lr-g", "#lr-a", "#lr-l", "#lr-r"}
    assert "@import" not in source
    assert not re.search(r"https?://", source)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert len(source) < 500_000


def test_the_page_carries_the_record():
    sample = record(FINALS)
    carried = re.search(r"data:application/gzip;base64,([^\"]+)", page_of(sample))
    assert carried is not None
    again = from_json(gzip.decompress(base64.b64decode(carried[1])).decode())
    assert page_of(again) == page_of(sample)


def test_text_from_the_record_is_escaped():
    source = page_of(record(FINALS))
    assert "a &lt;fast&gt; one" in source
    assert "<fast>" not in source


def test_every_seed_of_every_rule_is_in_the_page():
    sample = record(FINALS)
    found = results(sample)
    words = " ".join(Page(page_of(sample)).words)
    for line in found.tuned:
        losses = [f"{run.loss:.4f}" if run.diverged_at is None else "diverged" for run in line.runs]
        assert f"{line.runs[0].seed}–{line.runs[-1].seed} {' '.join(losses)}" in words
    for rates in found.rates.values():
        for tried in rates:
            assert " ".join(f"{x:.4f}" for x in tried.losses) in words


def test_divergence_and_edge_are_said(tmp_path: Path):
    sample = record(FINALS, off=12)
    shown = terminal(sample, 80, tmp_path)
    for text in (shown, page_of(sample)):
        assert "1/5 diverged" in text
        assert "1e2 edge" in text
        assert f"1 of {len(sample.runs)} runs diverged" in " ".join(text.split())
    assert "at the end of the grid, although it was widened: adam (high end, 1e2)" in " ".join(shown.split())
    assert " edge" not in terminal(record(FINALS), 80, tmp_path)


def test_a_partial_race_says_so(tmp_path: Path):
    sample = record(FINALS, partial=True, rounds=3)
    assert "Partial: stopped before adam, lion, rmsprop and gradient_descent finished." in " ".join(
        terminal(sample, 80, tmp_path).split()
    )
    source = page_of(sample)
    assert "Partial: stopped before adam" in source
    assert "<title>descend race: digits, partial</title>" in source
    assert "partial" not in page_of(record(FINALS)).split("</style>")[1]


def test_a_race_stopped_between_looks_says_what_the_last_look_says(tmp_path: Path):
    finals = {"adam": [1.0, 1.3] * 10, "lion": [1.1, 1.2] * 10}
    shown = " ".join(terminal(record(finals, partial=True, rounds=4), 80, tmp_path).split())
    assert "lion is undecided after 8 seeds" in shown
    assert "partial: stopped before the end" in shown


def test_a_race_without_a_finished_rule_still_makes_a_page(tmp_path: Path):
    sample = record({"adam": FINALS["adam"]}, partial=True)
    sample.runs = sample.runs[:3]
    assert "No rule has finished" in page_of(sample)
    assert "No rule has finished" in terminal(sample, 80, tmp_path)


def test_a_race_in_which_all_diverge_makes_a_page(tmp_path: Path):
    sample = record({"adam": [float("inf")] * 2, "lion": [float("inf")] * 2})
    assert "Every rule diverged" in page_of(sample)
    assert "2/2 diverged" in terminal(sample, 80, tmp_path)


def test_the_verdict_comes_first_and_says_what_to_use():
    equal = [x * (1 + 0.001 * (-1) ** k) for k, x in enumerate(FINALS["adam"])]
    sample = record({"adam": FINALS["adam"], "adamw": equal, "lion": FINALS["lion"], "rmsprop": FINALS["rmsprop"]})
    first, *_, last = verdict(sample, results(sample))
    assert first == (
        "Use adam at 3.2e-3 (validation loss 0.0602); adamw is equal; lion is undecided after 5 seeds; "
        "rmsprop is behind by 49–53 % and needs 2.3× the steps."
    )
    assert last.startswith("Easiest to tune: ")


def test_held_against_a_rule_others_are_better():
    sample = record({"rmsprop": FINALS["rmsprop"], "adam": FINALS["adam"]})
    sample.config = replace(sample.config, against="rmsprop")
    assert verdict(sample, results(sample))[0] == (
        "Against rmsprop at 3.2e-2 (validation loss 0.0904); adam is better by 33–35 %."
    )


@pytest.mark.parametrize("width", [40, 50, 60, 80, 100, 140])
def test_no_row_of_a_table_is_wrapped_or_too_wide(width: int, tmp_path: Path):
    names = ("momentum_accumulation", "nesterov_accumulation", "adam", "rmsprop")
    sample = record(dict(zip(names, FINALS.values(), strict=True)), off=12)
    shown = terminal(sample, width, tmp_path)
    tables = shown[: shown.index("\n\n", shown.index("Learning rate left"))]
    for line in results(sample).tuned:
        rows = [row for row in tables.splitlines() if re.match(rf"(\d+ +)?{line.rule} +\S", row)]
        assert len(rows) == 2
        assert all(len(row) <= width for row in rows)
        assert all(f"{line.standing.mean:.4f}" in row for row in rows[:1])
    headings = next(line for line in shown.splitlines() if line.lstrip().startswith("rule "))
    assert ("acc." in headings) == (width >= 100)
    assert ("to leader" in headings) == (width >= 80)


def test_scales_and_ticks():
    assert ticks(0, 600, 6) == [0, 100, 200, 300, 400, 500, 600]
    assert ticks(0, 2.4, 6) == pytest.approx([0, 0.5, 1, 1.5, 2])
    assert ticks(0.05, 3, 8, log=True) == pytest.approx([0.05, 0.1, 0.2, 0.5, 1, 2])
    assert ticks(1e-6, 10, 9, log=True) == pytest.approx([10.0**k for k in range(-6, 2)])
    assert len(ticks(1e-6, 10, 4, log=True)) == 4
    assert Scale(0.01, 100, 10, 50, log=True)(1) == pytest.approx(30)
    assert Scale(1e-6, 10, 0, 700, log=True)(1e-3) == pytest.approx(300)


def test_labels_keep_their_distance_and_their_order():
    places = spread([10, 11, 12, 100], 10, 0, 105)
    assert places == sorted(places)
    assert all(b - a >= 10 for a, b in pairwise(places))
    assert max(places) <= 105


@pytest.mark.browser
@pytest.mark.slow
def test_in_a_browser_nothing_is_requested_and_nothing_overflows(browser: Any, tmp_path: Path):
    path = tmp_path / "race-digits.html"
    path.write_text(page_of(record(FINALS, off=12)), encoding="utf-8")
    asked, said = [], []
    for width in (360, 1200):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
        by_step, by_time = page.locator(".step figure:visible"), page.locator(".time figure:visible")
        assert (by_step.count(), by_time.count()) == (1, 0)
        page.click("label[for=by-time]")
        assert (by_step.count(), by_time.count()) == (0, 1)
    assert asked == [path.as_uri()] * 2
    assert said == []


def test_a_curve_can_be_seen_alone_without_a_script():
    """Each rule has a button, and all that is drawn of its curve stands in one class, which the others' button dims."""
    sample = record(FINALS)
    page = html(sample, results(sample), to_json(sample))
    assert "<script" not in page
    for k, rule in enumerate(FINALS):
        assert re.search(rf'<label><input type="radio" name="alone" id="alone-{k}">.*?{rule}</label>', page)
        assert f".toggle:has(#alone-{k}:checked) .curve:not(.c{k}) {{ opacity: .08; }}" in page
        for chart in charts_of(page):
            mine = re.findall(rf'<g class="curve c{k}">(.*?)</g>', chart)
            assert any('class="line' in part for part in mine)
            drawn = [part for part in re.findall(r'<g class="curve c\d+">(.*?)</g>', chart) if f' s{k}"' in part]
            assert drawn == mine


def charts_of(page: str) -> list[str]:
    part = page[page.index('id="curves"') : page.index('id="sensitivity"')]
    return re.findall(r'<svg class="chart" viewBox="0 0 (?:760|340) .*?</svg>', part)


def test_who_leads_stands_out_and_a_failed_rule_is_named():
    sample = record(FINALS)
    page = page_of(sample)
    tuned = page[page.index("Learning rate tuned") : page.index("Learning rate left")]
    leading = [line.rule for line in results(sample).tuned if line.standing.rank == 1]
    assert re.findall(r"<tr class=first>.*?</svg>(\w+)</th>", tuned) == leading
    assert "<td>failed</td>" not in page_of(sample)
    sample.runs = [run for run in sample.runs if run.rule != "lion"]
    sample.failed = {"lion": "no matrix"}
    assert re.search(r"</svg>lion</th>.*<td>failed</td>", page_of(sample))


def test_plot_returns_axes_with_a_line_for_each_rule():
    sample, ax = record(FINALS), Figure().add_subplot()
    assert sample.plot(ax) is ax
    assert {text.get_text() for text in ax.texts} == set(FINALS)
    by_name = {line.get_label(): line for line in ax.lines}
    found = results(sample).line("adam")
    assert found
    assert by_name["adam"].get_ydata()[-1] == pytest.approx(found.standing.mean)
    with pytest.raises(ValueError, match="no rule of this race has finished"):
        replace(sample, runs=[]).plot(ax)


@pytest.mark.parametrize("shift", [0.0602, 1.0], ids=["to zero", "below zero"])
def test_losses_that_are_not_positive_are_drawn_too(shift: float, tmp_path: Path):
    finals = {rule: [x - shift for x in FINALS[rule]] for rule in ("adam", "rmsprop")}
    finals["adam"][0] = 0.0 if shift < 1 else finals["adam"][0]
    sample = record(finals)
    assert "rmsprop" in page_of(sample)
    assert "rmsprop" in terminal(sample, 140, tmp_path)


def test_a_rule_raced_against_itself_has_pictures_of_its_own():
    sample = record({"adam": FINALS["adam"], "lion": FINALS["lion"]})
    sample.entries[1] = replace(sample.entries[1], rule="adam#2")
    sample.config = replace(sample.config, rules=("adam", "adam#2"))
    shift = STREAM * 1
    sample.runs = [replace(r, rule="adam#2", seed=r.seed + shift) if r.rule == "lion" else r for r in sample.runs]
    page = page_of(sample)
    assert "adam#2" in page
    assert not re.search(r"url\(#[^)]*#", page)


def test_what_theory_knows_of_a_rate_is_drawn_in_the_rules_own_chart():
    sample = record({"adam": FINALS["adam"], "rmsprop": FINALS["rmsprop"]})
    sample.task["known"] = [["adam", 3e-3, "largest stable rate"], ["adam", 1e9, "far away"]]
    page = page_of(sample)
    assert page.count("theory, largest stable rate: 3e-3") == 1
    assert "far away" not in page


def test_seconds_to_the_target_stand_with_the_cost():
    page = page_of(record({"adam": FINALS["adam"], "rmsprop": FINALS["rmsprop"]}))
    cost = " ".join(Page(page[page.index('id="cost"') : page.index('id="space"')]).words)
    assert "to target, s" in cost
    assert "missed" in cost
    assert f"{54 * 0.0765 / 1000:.3g}" in cost
