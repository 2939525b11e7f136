"""The contact sheet in a browser: marked by mouse and keyboard, marks saved and dropped, nobody asked for anything."""

from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from data_served import folder_of, jpeg

from descend.lab.data import sheet
from descend.lab.data.collect import collect
from descend.lab.data.drop import drop, names_in
from descend.lab.data.manifest import Rejected, Row, read
from descend.lab.data.result import Collected

HOSTILE = "<script>alert('&\"')</script>"


def test_nothing_of_a_stranger_is_taken_for_markup():
    row = Row(f"train/{HOSTILE}/a.jpg", HOSTILE, "train", 9, 9, "", "", f"http://x/{HOSTILE}", "", HOSTILE)
    left = Rejected(HOSTILE, HOSTILE, "label conflict", f"also {HOSTILE}", "a.jpg")
    made = Collected(Path(HOSTILE), [HOSTILE, "b"], 5, [row], [left, Rejected(HOSTILE, HOSTILE, HOSTILE, HOSTILE)])
    html = sheet.html(made)
    assert html.count("<script>") == 1, "its own"
    assert "alert(" not in html.replace("alert(&#x27;&amp;&quot;&#x27;)", "")


def test_the_page_is_readable_without_a_script():
    made = Collected(Path("set"), ["dog", "wolf"], 3, [], [])
    html = sheet.html(made)
    assert "3 of each class were asked for; missing: 3 of dog, 3 of wolf." in html
    assert "<noscript>" in html
    assert "body:not(.alive) .tools" in html


@pytest.mark.slow
@pytest.mark.browser
def test_marks_are_made_saved_and_dropped(browser: Any, tmp_path: Path):
    photos = folder_of(tmp_path / "photos", {c: [jpeg(k + 100 * n) for k in range(12)] for n, c in enumerate("ab")})
    collect([photos], out := tmp_path / "a set", processes=0)
    page_file, asked, said = out / "contact.html", [], []
    for width in (360, 1200):
        context = browser.new_context(viewport={"width": width, "height": 800}, accept_downloads=True)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(page_file.as_uri())
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
        boxes = page.locator(".sheet input")
        assert boxes.count() == 24
        assert page.locator("#save").is_disabled()
        page.locator(".sheet label").nth(1).click(position={"x": 60, "y": 60})
        boxes.nth(0).focus()
        for key in ("ArrowRight", "ArrowRight", "Space", "ArrowDown", "End", "Space"):
            page.keyboard.press(key)
        wanted = [boxes.nth(k).get_attribute("value") for k in (1, 2, 11)]
        assert page.locator("#count").inner_text() == "3 marked"
        assert page.evaluate("document.activeElement.value") == wanted[-1]
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.value") == boxes.nth(12).get_attribute("value"), "one stop a class"
        page.keyboard.press("Enter")
        assert page.locator("#large").is_visible()
        page.keyboard.press("Escape")
        page.check("#only")
        assert page.locator(".sheet li:visible").count() == 3
        page.reload()
        assert page.locator("#count").inner_text() == "3 marked", "kept in the browser"
        assert page.locator("#list").input_value().split() == wanted
        with page.expect_download() as download:
            page.click("#save")
        download.value.save_as(tmp_path / "marks.txt")
        page.click("#clear")
        assert page.locator("#count").inner_text() == "0 marked"
        page.evaluate("document.querySelectorAll('img[loading]').forEach(i => i.loading = 'eager')")
        page.wait_for_function("[...document.querySelectorAll('.sheet img')].every(i => i.naturalWidth)")
        context.close()
    page = browser.new_context(bypass_csp=True, color_scheme="dark").new_page()
    page.goto(page_file.as_uri())
    page.locator(".sheet input").nth(1).check()
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    assert page.evaluate("axe.run().then(r => r.violations.map(v => v.id))") == []
    assert all(unquote(url).startswith(out.as_uri().replace("%20", " ")) or url.startswith("blob:") for url in asked)
    assert said == []
    names = names_in(tmp_path / "marks.txt")
    assert names == wanted
    assert drop(out, names)[1] == 3
    assert not set(names) & {row.file for row in read(out)}
