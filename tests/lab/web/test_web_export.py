"""The page as one file: it asks nobody for anything, shows what the library walked, and can be read without scripts."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from descend.cli import descend as main
from descend.lab.surface import SURFACES, run
from descend.lab.web import bake, export
from descend.lab.web.stories import STORIES
from descend.lab.web.tab import Lab
from descend.lab.web.tabs import explain, surfaces

TOLD = {name: STORIES[name] for name in ("saddle", "edge")}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A file with two of the stories and four rules: all of them take seven seconds."""
    path = tmp_path_factory.mktemp("export") / "lab.html"
    known = explain.known
    few = ("adam", "adamw", "muon", "clip_norm")
    with pytest.MonkeyPatch.context() as patch:
        for module in (bake, surfaces):
            patch.setattr(module, "STORIES", TOLD)
        patch.setattr(explain, "known", lambda *asked: [one for one in known(*asked) if one["name"] in few])
        done = CliRunner().invoke(main, ["lab", "--export", str(path), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == {"files": [str(path)]}
    return path


@pytest.mark.slow
def test_all_of_it_is_less_than_700_kilobytes():
    assert len(export.html(Lab()).encode("utf-8")) < 700_000


def test_it_asks_nobody_for_anything(exported):
    text = exported.read_text(encoding="utf-8")
    assert "default-src &#x27;none&#x27;" in text
    for sign in ('src="', "@import", r"url\((?!#)", 'href="http'):
        assert not re.search(sign, text), sign


@pytest.mark.browser
@pytest.mark.slow
def test_it_works_from_disk(exported, pages, axe, picture):
    page = pages.open("", base=exported.as_uri(), reduced_motion="reduce")
    lab = "__lab.surfaces"
    ours = run("saddle", engine="numpy")
    found = page.evaluate(f"{lab}.paths().map(p => [p.rule, [...p.points], [...p.heights]])")
    for path, (rule, points, heights) in zip(ours, found, strict=True):
        assert path.rule == rule
        low, high = zip(*SURFACES["saddle"].frame, strict=True)
        low, high = np.array(low), np.array(high)
        inside = path.points.clip(low - (high - low), high + (high - low))
        half = (
            (high - low) * (1 + 2 * bake.ROOM) / bake.PLACES / 2
        )  # of a step: nothing is lost but what rounding loses
        assert np.all(np.abs(np.reshape(points, (-1, 2)) - inside) <= half * 1.001 + 1e-6)
        seen = (path.heights - SURFACES["saddle"].lowest).clip(1e-16)
        assert heights == pytest.approx(seen, rel=10 ** (0.5 / bake.A_DECADE) - 1 + 1e-5)
    move = "r => { r.value = Math.log10(0.3); r.dispatchEvent(new Event('input')); }"
    page.evaluate(f"({move})(document.querySelector('.rule input[type=range]'))")
    page.wait_for_timeout(100)
    assert page.evaluate(f"{lab}.paths()[0].lr") == pytest.approx(0.3, rel=1e-3)
    page.evaluate(axe)
    assert page.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))") == []
    picture(page, "exported")


@pytest.mark.browser
@pytest.mark.slow
def test_every_tab_lives_in_the_file_or_says_what_it_needs(exported, pages, axe, picture):
    root = "document.documentElement"
    ran = "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"
    for name, says in {
        "explain?rule=muon": "Where it comes from",
        "schedules": "geometric",
        "matrix": "After 100 steps",
        "race": "Race needs the server of descend lab: it trains.",
        "choose": "Choose needs the server of descend lab: it trains.",
        "rate": "Range test needs the server of descend lab: it trains.",
        "runs": "Runs needs the server of descend lab: it reads the store of this computer.",
    }.items():
        page = pages.open(f"#{name}", base=exported.as_uri(), width=360, reduced_motion="reduce", color_scheme="dark")
        panel = f"#panel-{name.partition('?')[0]}"
        if name == "schedules":
            page.click(".pill[value=wsd]")
            page.wait_for_selector(".pill[value=wsd][aria-pressed=true]")
            page.click(".pill[value=exponential]")
            page.wait_for_selector("pre:has-text('geometric')")
            assert page.input_value(".schedules input >> nth=2") == "200"
        page.wait_for_selector(f"{panel} :text('{says}')" if "needs" not in says else panel)
        assert says in " ".join(page.inner_text(panel).split())
        assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
        page.evaluate(axe)
        assert page.evaluate(ran) == []
        picture(page, f"exported-{name.partition('?')[0]}")
        if name.startswith("explain"):
            assert page.locator("caption:text('Step 1')").count() == 1
            page.select_option(".explain select", "adamw")
            page.click(".explain a:text-is('adam')")
            page.wait_for_selector(".explain h2:text-is('adam')")
            assert page.locator(".explain :text('1 − 0.001')").count() > 0


@pytest.mark.browser
@pytest.mark.slow
def test_without_scripts_there_are_stills(exported, browser, picture):
    page = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 800}).new_page()
    page.goto(exported.as_uri())
    assert page.locator("noscript svg").count() == 2
    assert page.locator("noscript h2").all_inner_texts() == [story.title for story in TOLD.values()]
    picture(page, "exported-without-scripts")
    page.context.close()


def test_another_ending_and_a_folder_that_is_missing_are_refused():
    for name, says in (("lab.pdf", "must end in .html"), ("nowhere/lab.html", "there is no folder nowhere")):
        done = CliRunner().invoke(main, ["lab", "--export", name])
        assert (done.exit_code, says in " ".join(done.output.split())) == (2, True)
