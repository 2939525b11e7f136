"""The page as one file: it asks nobody for anything, shows what the library walked, and can be read without scripts."""

import json
import re

import pytest
from click.testing import CliRunner

from descend.cli import descend as main
from descend.lab.surface import SURFACES, run
from descend.lab.web import bake
from descend.lab.web.stories import STORIES
from descend.lab.web.tabs import surfaces

TOLD = {name: STORIES[name] for name in ("saddle", "edge")}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A file with two of the stories: all of them take five seconds."""
    path = tmp_path_factory.mktemp("export") / "lab.html"
    with pytest.MonkeyPatch.context() as patch:
        for module in (bake, surfaces):
            patch.setattr(module, "STORIES", TOLD)
        done = CliRunner().invoke(main, ["lab", "--export", str(path), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == {"files": [str(path)]}
    return path


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
        inside = path.points.clip([a - (b - a) for a, b in zip(low, high, strict=True)])
        assert points == pytest.approx(inside.ravel(), abs=2e-4)
        seen = (path.heights - SURFACES["saddle"].lowest).clip(1e-16)
        assert heights == pytest.approx(seen, rel=0.02)
    move = "r => { r.value = Math.log10(0.3); r.dispatchEvent(new Event('input')); }"
    page.evaluate(f"({move})(document.querySelector('.rule input[type=range]'))")
    page.wait_for_timeout(100)
    assert page.evaluate(f"{lab}.paths()[0].lr") == pytest.approx(0.3, rel=1e-3)
    page.evaluate(axe)
    assert page.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))") == []
    picture(page, "exported")


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
